"""Leave-one-out scores anew from the features that a run has kept; no network runs.

python -m launchers.rescore --from_run=runs/nngp --run_dir=runs/rescored
"""

from __future__ import annotations

from collections.abc import Sequence

import gin
from absl import flags

from nngp_tf.kernels import transforms
from nngp_tf.runs import rescoring
from nngp_tf.runs.reading import read_run
from nngp_tf.runs.store import RunDirectory

from . import app

_FROM_RUN = flags.DEFINE_string(
    "from_run", None, "Run directory of nngp_inference with save_features = True."
)


@gin.configurable
def rescore(kernels: Sequence[str] = transforms.DEFAULT_KERNELS) -> str:
    """Rescore a run as the flags and gin say.

    Args:
      kernels: Of which leave-one-out is scanned; see `nngp_tf.kernels.transforms`.

    Returns:
      The line that names the results.
    """
    source = app.required(_FROM_RUN)
    run_dir = app.required(app.RUN_DIR)
    kernels = app.names("kernels", kernels, transforms.KERNELS)
    run = read_run(source)
    rescoring.load_labels(run)  # Before a run directory is made.
    directory = RunDirectory(
        run_dir,
        run.config | {"leave_one_out": list(kernels), "rescored_from": source},
        run.about,
        resume=app.RESUME.value,
        patience=app.PATIENCE.value,
    )
    rows = rescoring.rescore(run, kernels, directory)
    failed = sum(row["status"] != "ok" for row in rows)
    print(f"{len(rows)} architectures ({failed} failed)")
    return f"wrote {directory.results_path}"


def run() -> None:
    """Return the console script."""
    app.run(rescore)


if __name__ == "__main__":
    run()
