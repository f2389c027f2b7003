"""How far a run is over all its shards; repair of what is damaged in it.

python -m launchers.status --run_dir=runs/digits [--watch=10] [--tensorboard=runs/digits/curves]
python -m launchers.status --run_dir=runs/digits --repair
"""

from __future__ import annotations

import time

from absl import flags

from nngp_tf.runs import curves, repair, status, status_report
from nngp_tf.runs import record as record_lib

from . import app

_WATCH = flags.DEFINE_float(
    "watch", None, "Look again after so many seconds, until all is done.", lower_bound=0.1
)
_TENSORBOARD = flags.DEFINE_string(
    "tensorboard", None, "Directory for TensorBoard: done, failed and rows an hour over time."
)
_REPAIR = flags.DEFINE_bool(
    "repair", False, "Keep the good rows of damaged files, and set the rest aside."
)


def show_status() -> str:
    """Print how far the run is, or repair it.

    Returns:
      The line that names what was looked at.
    """
    run_dir = app.required(app.RUN_DIR)
    if _REPAIR.value:
        lines = repair.repair(run_dir)
        print("\n".join(lines or ["nothing is damaged"]))
        return f"repaired {run_dir}" if lines else f"left {run_dir} as it is"
    watcher = status.Watcher(run_dir)
    progress = watcher.look()
    written = curves.Curves(_TENSORBOARD.value) if _TENSORBOARD.value else None
    while True:
        print(status_report.report(progress), flush=True)
        if written is not None:
            written.update(progress)
        if _WATCH.value is None or progress.is_done:
            break
        time.sleep(_WATCH.value)
        progress = watcher.look()
    if written is not None:
        written.close()
    if progress.damages:
        raise ValueError(
            f"{run_dir} is damaged in {len(progress.damages)} places: repair it with "
            f"`{record_lib.repair_command(run_dir)}`"
        )
    return f"wrote {_TENSORBOARD.value}" if _TENSORBOARD.value else f"read {run_dir}"


def run() -> None:
    """Return the console script."""
    app.run(show_status)


if __name__ == "__main__":
    run()
