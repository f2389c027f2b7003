"""Comparison of signals: run directories and tables in, CSV files, figures and a report out.

python -m launchers.compare --run=runs/nngp --table=nasbench101.csv.gz --out=comparison
"""

from __future__ import annotations

from collections.abc import Sequence

import gin
from absl import flags

from nngp_tf.analysis import figures, reduction, sources, study_report
from nngp_tf.analysis.findings import findings
from nngp_tf.analysis.study import Settings, study

from . import app

_RUNS = flags.DEFINE_multi_string(
    "run",
    [],
    "Run directory of NNGP inference or of training, DIR or NAME=DIR; may be repeated. DIR may "
    "hold equals signs: what is there as it is written is a DIR without a NAME.",
)
_TABLES = flags.DEFINE_multi_string(
    "table", [], "Benchmark file, PATH or NAME=PATH, as --run; may be repeated."
)


@gin.configurable
def compare(
    truth: str | None = None,
    signals: Sequence[str] | None = None,
    architectures: str = "common",
    thresholds: Sequence[float] | None = None,
    k: int = 10,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
    split: str = "none",
    reference: str | None = None,
    score: str | None = None,
    fractions: Sequence[float] = reduction.FRACTIONS,
) -> str:
    """Compare runs and tables as the flags and gin say.

    Args:
      truth: Name of the signal that is the truth; see `nngp_tf.analysis.study.Settings`, as are all
        the others, and `nngp_tf.analysis.signals` for names.
      signals: Names or patterns of the signals shown.
      architectures: "common" or "each".
      thresholds: Of PQETP.
      k: Architectures chosen by discovered performance.
      confidence: Of the intervals.
      num_resamples: Of the bootstrap.
      seed: Of resamples, halves, folds and random subsets.
      split: "none" or "half".
      reference: Signal with which the others are compared.
      score: Signal that reduces and improves; see `nngp_tf.analysis.study.Settings`.
      fractions: Of the space that a reduction keeps.

    Returns:
      The line that names the report.
    """
    asked = Settings(**locals())
    out = app.required(app.OUT)
    app.check_integers(k=k, num_resamples=num_resamples, seed=seed)
    figures.require_matplotlib()
    loaded = sources.load(_RUNS.value, _TABLES.value)
    found = study(loaded, asked)
    print("\n".join([*found.whole.coverage.lines(), *findings(found)]))
    return f"wrote {study_report.write(found, loaded, out)}"


def run() -> None:
    """Return the console script."""
    app.run(compare)


if __name__ == "__main__":
    run()
