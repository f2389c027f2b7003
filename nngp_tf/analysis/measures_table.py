"""The table of measures: how well each signal predicts the truth, and what it costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from nngp_tf.analysis.bootstrap import Bootstrap
from nngp_tf.analysis.comparison import Comparison
from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.signals import Signal


@dataclasses.dataclass(frozen=True)
class MeasureRow:
    """What a signal is worth; costs are means over the architectures, None where unknown.

    Attributes:
      name: Of the signal.
      label: Of the signal.
      kind: Of the signal.
      num_architectures: Those with a value.
      kendall_tau: With the truth, as all measures.
      pearson: Linear correlation.
      spearman: Rank correlation.
      pqetp: At each threshold.
      discovered: Best truth among the k highest.
      regret: Best truth of all, less that.
      difference: Kendall's tau, less that of the reference signal on the same architectures.
      seconds: Of one architecture.
      multiply_adds: Of one architecture.
      times_cheaper: By how much one training of the truth costs more: in multiply-adds where both
        are known, in seconds otherwise; infinite for what is free.
      cost_note: How seconds were found where they were not measured.
      is_chosen_here: Whether it was chosen as the best on these very data: it is optimistic then.
    """

    name: str
    label: str
    kind: str
    num_architectures: int
    kendall_tau: Estimate
    pearson: Estimate
    spearman: Estimate
    pqetp: tuple[Estimate, ...]
    discovered: Estimate
    regret: Estimate
    difference: Estimate
    seconds: float | None
    multiply_adds: float | None
    times_cheaper: float | None
    cost_note: str
    is_chosen_here: bool


def table(
    comparison: Comparison,
    bootstrap: Bootstrap,
    thresholds: Sequence[float],
    k: int,
    reference: str,
    chosen_here: Collection[str] = (),
) -> list[MeasureRow]:
    """Return a row for each shown signal.

    Args:
      comparison: What is compared.
      bootstrap: Of its architectures.
      thresholds: Of PQETP, in units of truth.
      k: Architectures chosen by discovered performance.
      reference: Name of the signal that differences are taken from.
      chosen_here: Names of signals that were chosen as the best on these data.

    Raises:
      ValueError: If `k` is out of range, or the reference unknown.
    """
    if not 1 <= k <= len(comparison):
        raise ValueError(
            f"k must be between 1 and the number of architectures ({len(comparison)}), got {k}"
        )
    truth = comparison.truth.values
    base = comparison[reference].values
    rows = []
    for signal in comparison.shown_signals():
        score = signal.values
        discovered, regret = bootstrap.discovered(truth, score, k)
        rows.append(
            MeasureRow(
                name=signal.name,
                label=signal.label,
                kind=signal.kind,
                num_architectures=int(np.isfinite(score).sum()),
                kendall_tau=bootstrap.kendall_tau(truth, score),
                pearson=bootstrap.pearson(truth, score),
                spearman=bootstrap.spearman(truth, score),
                pqetp=tuple(bootstrap.pqetp(truth, score, t) for t in thresholds),
                discovered=discovered,
                regret=regret,
                difference=bootstrap.tau_difference(truth, score, base),
                seconds=mean_cost(signal.cost_seconds),
                multiply_adds=mean_cost(signal.cost_multiply_adds),
                times_cheaper=_times_cheaper(signal, comparison.truth),
                cost_note=signal.cost_note,
                is_chosen_here=signal.name in chosen_here,
            )
        )
    return rows


def mean_cost(costs: np.ndarray | None) -> float | None:
    """Return the mean of the known costs, or None."""
    if costs is None or np.isnan(costs).all():
        return None
    return float(np.nanmean(costs))


def _times_cheaper(signal: Signal, truth: Signal) -> float | None:
    for cost, of_truth in (
        (mean_cost(signal.cost_multiply_adds), mean_cost(truth.cost_multiply_adds)),
        (mean_cost(signal.cost_seconds), mean_cost(truth.cost_seconds)),
    ):
        if cost is not None and of_truth is not None:
            return of_truth / cost if cost else np.inf
    return None
