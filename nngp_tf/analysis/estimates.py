"""A statistic of paired data together with its bootstrap confidence interval."""

import dataclasses
import math
import operator
import warnings
from collections.abc import Callable

import numpy as np
import scipy.stats

# Elements of one block of resampled data: bounds memory at some 50 MB whatever N is.
_BLOCK = 2_000_000


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A metric's value and, where asked for, its confidence interval.

    Attributes:
      value: The metric on the data; NaN where undefined.
      low: Lower end of the interval, or None.
      high: Upper end of the interval, or None.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def from_resamples(cls, value: float, resampled: np.ndarray, confidence: float) -> "Estimate":
        """Return the value with the percentile interval of its values [B] on resamples.

        Undefined resamples are left out: SciPy's own interval is NaN as soon as there is one. The
        interval is NaN where none remains, or the value itself is.
        """
        defined = resampled[~np.isnan(resampled)]
        if math.isnan(value) or not len(defined):
            return cls(value, math.nan, math.nan)
        ends = [(1 - confidence) / 2, (1 + confidence) / 2]
        return cls(value, *np.quantile(defined, ends).tolist())

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return format(self, ".3f")

    def __format__(self, spec: str) -> str:
        """Format each number by `spec`, three decimals by default: "0.183 [0.101, 0.262]"."""
        spec = spec or ".3f"
        if self.low is None or self.high is None:
            return format(self.value, spec)
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def estimate(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    truth: np.ndarray,
    score: np.ndarray,
    confidence: float | None,
    num_resamples: int,
    seed: int,
) -> Estimate:
    """Evaluate a statistic of paired data and bootstrap its percentile interval over the pairs.

    Args:
      statistic: Function of truth [N] and score [N]; NaN where undefined.
      truth: [N], N >= 2.
      score: [N].
      confidence: Probability that the interval is to cover, in (0, 1); None for no interval.
      num_resamples: Number of resamples of N pairs drawn with replacement. Those for which the
        statistic is NaN are left out; the interval is NaN where none remains.
      seed: Seed of the resamples.

    Raises:
      ValueError: `confidence` or `num_resamples` is out of range.
    """
    if confidence is not None and not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, got {confidence}")
    if operator.index(num_resamples) < 1:
        raise ValueError(f"num_resamples must be at least 1, got {num_resamples}")
    value = statistic(truth, score)
    if confidence is None:
        return Estimate(value)
    if math.isnan(value):
        return Estimate(value, math.nan, math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy's remarks on single resamples.
        resampled = scipy.stats.bootstrap(
            (truth, score),
            statistic,
            paired=True,
            vectorized=False,
            method="percentile",
            n_resamples=num_resamples,
            batch=max(1, _BLOCK // len(truth)),
            confidence_level=confidence,
            random_state=np.random.default_rng(seed),  # `rng` since SciPy 1.15; both are taken.
        ).bootstrap_distribution
    return Estimate.from_resamples(value, resampled, confidence)
