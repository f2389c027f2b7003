"""The end of a run on the terminal: the best architectures, and agreement with the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nngp_tf.analysis import metrics
from nngp_tf.data.benchmark_table import BenchmarkTable
from nngp_tf.gaussian_process import scan
from nngp_tf.runs.inference import score

CONFIDENCE = 0.95


def report(
    rows: Sequence[Mapping[str, Any]],
    criterion: str,
    truth: BenchmarkTable | None = None,
    num_best: int = 10,
) -> str:
    """Return a table of the best architectures, and Kendall's tau where truth is known.

    Args:
      rows: Of a run directory.
      criterion: The score that ranks them; see `nngp_tf.gaussian_process.Scan.best`.
      truth: Trained accuracies, if there are any.
      num_best: Lines of the table.

    Returns:
      Lines of text.
    """
    scores = np.array([score(row, criterion) for row in rows])
    ascending = criterion in scan.SMALLER_IS_BETTER
    return table(rows, scores, criterion, truth, num_best, ascending)


def table(
    rows: Sequence[Mapping[str, Any]],
    scores: np.ndarray,
    criterion: str,
    truth: BenchmarkTable | None = None,
    num_best: int = 10,
    ascending: bool = False,
) -> str:
    """Do as `report` for rows of any kind of run.

    Args:
      rows: Of a run directory.
      scores: One a row, NaN where it failed.
      criterion: What the scores are.
      truth: Trained accuracies, if there are any.
      num_best: Lines of the table.
      ascending: Whether the smallest score is the best.

    Returns:
      Lines of text.
    """
    # A failed architecture is last whichever way the score runs.
    order = np.argsort(scores if ascending else -scores, kind="stable")[:num_best]
    known = [
        None if truth is None or row["key"] not in truth else truth[row["key"]] for row in rows
    ]
    accuracies = [None if r is None else r.accuracy("test", 108) for r in known]
    lines = [f"{'':>3} {criterion:>24} {'parameters':>12} {'trained':>8}  architecture"]
    for rank, index in enumerate(order, start=1):
        trained = "" if accuracies[index] is None else f"{accuracies[index]:.4f}"
        lines.append(
            f"{rank:>3} {scores[index]:>24.4f} {rows[index]['parameters']:>12,} {trained:>8}  "
            f"{rows[index]['architecture']}"
        )
    lines.append(_seconds(rows))
    if truth is not None:
        sign = "-" if ascending else ""
        lines.append(_agreement(-scores if ascending else scores, accuracies, sign + criterion))
    return "\n".join(lines)


def _seconds(rows):
    seconds = np.array([row["seconds"] for row in rows])
    failed = sum(row["status"] != "ok" for row in rows)
    return (
        f"{len(rows)} architectures ({failed} failed), {seconds.mean():.2f} s each on average, "
        f"{np.median(seconds):.2f} s in the median"
    )


def _agreement(scores, accuracies, criterion):
    both = [i for i, a in enumerate(accuracies) if a is not None and np.isfinite(scores[i])]
    if len(both) < 2:
        return f"truth is known for {len(both)} of {len(scores)} architectures: too few to compare"
    tau = metrics.kendall_tau([accuracies[i] for i in both], scores[both], confidence=CONFIDENCE)
    return (
        f"Kendall's tau of {criterion} with the trained test accuracy: {tau} "
        f"({CONFIDENCE:.0%} bootstrap interval, {len(both)} architectures)"
    )
