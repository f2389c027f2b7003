"""The choice of a score on data: the regulariser of each criterion, and the best score of all.

A choice is optimistic about the architectures that it was made on; make it on one half of them and
report on the other.
"""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

from nngp_tf.analysis import metrics
from nngp_tf.analysis.comparison import Comparison
from nngp_tf.analysis.signals import NNGP

# Of these the best fixed regulariser is chosen; a score of likelihoods is on another scale.
_CRITERIA = ("test_accuracy@fixed", "loo_accuracy@fixed")


@dataclasses.dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
      fixed: Of each criterion's family, the signal at the regulariser with the highest tau.
      best: The NNGP signal with the highest tau of all that are shown and those; None if none is.
      tau: Its Kendall's tau on the architectures that chose it.
      num_candidates: How many scores it is the best of.
      num_architectures: That it was chosen on.
    """

    fixed: tuple[str, ...]
    best: str | None
    tau: float
    num_candidates: int
    num_architectures: int


def choose(comparison: Comparison, fixes_regularisers: bool = True) -> Choice:
    """Choose by Kendall's tau with the truth.

    A regulariser at which the kernel of any architecture fails is not chosen.

    Args:
      comparison: Whose architectures choose.
      fixes_regularisers: Whether the best regulariser of each criterion is sought; otherwise the
        choice is among the signals shown alone.
    """
    num_candidates, fixed = 0, []
    for suffix in _CRITERIA if fixes_regularisers else ():
        for members in comparison.families(suffix).values():
            taus = {s.name: _tau(comparison, s.values) for s in members}
            num_candidates += len(taus)
            if taus := {name: tau for name, tau in taus.items() if not np.isnan(tau)}:
                fixed.append(max(taus, key=taus.get))
    shown = [s.name for s in comparison.shown_signals() if s.kind == NNGP]
    taus = {
        name: _tau(comparison, comparison[name].values) for name in dict.fromkeys(shown + fixed)
    }
    num_candidates += len(set(shown) - set(fixed))
    taus = {name: tau for name, tau in taus.items() if not np.isnan(tau)}
    best = max(taus, key=taus.get, default=None)
    return Choice(
        fixed=tuple(fixed),
        best=best,
        tau=taus.get(best, np.nan),
        num_candidates=num_candidates,
        num_architectures=len(comparison),
    )


def _tau(comparison, score):
    if not np.isfinite(score).all():
        return np.nan
    with warnings.catch_warnings():
        # At many regularisers all accuracies may be equal.
        warnings.simplefilter("ignore", RuntimeWarning)
        return metrics.kendall_tau(comparison.truth.values, score).value
