"""Reducing a search space: keep the best fraction by a cheap score, pick by a dearer one.

    survivors = the best `fraction` of the architectures by the first score
    found     = best truth among the `num_picked` survivors that the second score puts first
    cost      = first score of all + second score of the survivors

Where architectures tie for the last places among the survivors they are drawn at random; the value
is the mean over many draws.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from nngp_tf.analysis import metrics
from nngp_tf.analysis.bootstrap import Bootstrap
from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.signals import Signal

FRACTIONS = (1.0, 0.5, 0.25, 0.1, 0.05)
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_DRAWS = 200


@dataclasses.dataclass(frozen=True, eq=False)
class ReductionRow:
    """What is left at one fraction, and what is found in it.

    Attributes:
      first: Name of the score that reduces.
      second: Name of the score that picks.
      fraction: Kept, as asked for.
      num_survivors: Kept.
      num_picked: Of them, picked by the second score.
      found: Best truth of those picked.
      found_at_random: The same among as many drawn at random.
      best_surviving: Best truth of the survivors.
      mean_surviving: Their mean truth.
      survivors: Their truth [num_survivors], of one draw where there are ties.
      multiply_adds: Of both scores, in total; None where unknown.
      seconds: As `multiply_adds`.
      share_of_cost: Cost relative to the second score of all: in multiply-adds where known, in
        seconds otherwise; None where neither is.
    """

    first: str
    second: str
    fraction: float
    num_survivors: int
    num_picked: int
    found: Estimate
    found_at_random: Estimate
    best_surviving: Estimate
    mean_surviving: Estimate
    survivors: np.ndarray
    multiply_adds: float | None
    seconds: float | None
    share_of_cost: float | None

    @property
    def quantiles(self) -> dict[float, float]:
        """Quantiles of the survivors' truth."""
        values = np.quantile(self.survivors, _QUANTILES).tolist()
        return dict(zip(_QUANTILES, values, strict=True))


def reduce(
    truth: np.ndarray,
    first: Signal,
    second: Signal,
    bootstrap: Bootstrap,
    fractions: Sequence[float] = FRACTIONS,
    num_picked: int = 1,
    seed: int = 0,
) -> list[ReductionRow]:
    """Return a row for each fraction.

    Args:
      truth: [N].
      first: Reduces; its values are known, as those of `second`.
      second: Picks.
      bootstrap: Of the N architectures.
      fractions: To keep, in (0, 1]; at least one architecture is kept.
      num_picked: Survivors that the second score picks, to be trained in earnest; all of fewer.
      seed: Of the draws.

    Raises:
      ValueError: If an option is out of range, or a value is missing.
    """
    if bad := [fraction for fraction in fractions if not 0 < fraction <= 1]:
        raise ValueError(f"fractions to keep must lie in (0, 1], got {bad[0]}")
    if num_picked < 1:
        raise ValueError(f"num_picked must be at least 1, got {num_picked}")
    for signal in (first, second):
        if missing := int(np.isnan(signal.values).sum()):
            raise ValueError(
                f"a reduction needs every value, but {signal.name} lacks {missing} of "
                f"{len(truth)}: leave those architectures out"
            )
    rows = []
    for fraction in fractions:
        rng = np.random.default_rng(seed)
        keep = _Keep(truth, first.values, second.values, fraction, num_picked)
        everything = np.arange(len(truth))
        values = (*keep.best(everything, rng), keep.at_random(everything, rng))
        # Each resample draws once: what is left to chance is part of its spread.
        resampled = []
        for row in bootstrap.counts:
            drawn = np.repeat(everything, row)
            resampled.append((*keep.best(drawn, rng, 1), keep.at_random(drawn, rng, 1)))
        found, best, mean, at_random = map(bootstrap.estimate, values, np.transpose(resampled))
        kept = keep.survivors(first.values, np.random.default_rng(seed))
        multiply_adds = _cost(first.cost_multiply_adds, second.cost_multiply_adds, kept)
        seconds = _cost(first.cost_seconds, second.cost_seconds, kept)
        rows.append(
            ReductionRow(
                first=first.name,
                second=second.name,
                fraction=fraction,
                num_survivors=len(kept),
                num_picked=min(num_picked, len(kept)),
                found=found,
                found_at_random=at_random,
                best_surviving=best,
                mean_surviving=mean,
                survivors=truth[kept],
                multiply_adds=multiply_adds,
                seconds=seconds,
                share_of_cost=_share(multiply_adds, second.cost_multiply_adds)
                if multiply_adds is not None
                else _share(seconds, second.cost_seconds),
            )
        )
    return rows


class _Keep:
    """Keeps a fraction and picks from it, on resamples of the architectures."""

    def __init__(self, truth, first, second, fraction, num_picked):
        self._truth, self._first, self._second = truth, first, second
        self._fraction, self._num_picked = fraction, num_picked

    def num_survivors(self, num_architectures):
        # Less what rounding adds to a product that is whole.
        return max(1, math.ceil(self._fraction * num_architectures - 1e-9))

    def survivors(self, score, rng):
        """Return the positions of the best by score, ties broken at random."""
        order = np.lexsort((rng.random(len(score)), -score))
        return np.sort(order[: self.num_survivors(len(score))])

    def best(self, rows, rng, num_draws=_DRAWS):
        """Return found, best and mean surviving [3] of the best of some architectures."""
        truth, first, second = self._truth[rows], self._first[rows], self._second[rows]
        num = self.num_survivors(len(rows))
        last_places = np.sort(first)[-num - 1 : len(first) - num + 1]
        if len(set(last_places)) == len(last_places):
            num_draws = 1  # No tie, and so nothing left to chance.
        values = []
        for _ in range(num_draws):
            kept = self.survivors(first, rng)
            found = self._found(truth[kept], second[kept])
            values.append((found, truth[kept].max(), truth[kept].mean()))
        return np.mean(values, axis=0).tolist()

    def at_random(self, rows, rng, num_draws=_DRAWS):
        """Return what is found among as many of some architectures, drawn at random."""
        truth, second = self._truth[rows], self._second[rows]
        values = []
        for _ in range(num_draws):
            kept = rng.choice(len(rows), self.num_survivors(len(rows)), replace=False)
            values.append(self._found(truth[kept], second[kept]))
        return float(np.mean(values))

    def _found(self, truth, second):
        if len(truth) == 1:
            return truth[0]
        k = min(self._num_picked, len(truth))
        return metrics.discovered_performance(truth, second, k).value


def _cost(first, second, kept):
    if first is None or second is None:
        return None
    total = first.sum() + second[kept].sum()
    return None if np.isnan(total) else float(total)


def _share(cost, second):
    whole = None if second is None else float(second.sum())
    return None if cost is None or not whole else cost / whole
