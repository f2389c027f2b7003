"""Measures of many scores of the same architectures, with intervals from the same resamples."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nngp_tf.analysis import metrics, resampling
from nngp_tf.analysis.estimates import Estimate

_UNDEFINED = Estimate(math.nan, math.nan, math.nan)


class Bootstrap:
    """Resamples of N architectures, and measures on them.

    Truth and scores are vectors [N]; where a score is NaN the architecture plays no part in its
    measures. Those are undefined where fewer than 2 architectures are left.
    """

    def __init__(
        self,
        num_architectures: int,
        confidence: float = 0.95,
        num_resamples: int = 1000,
        seed: int = 0,
    ):
        """Draw the resamples.

        Args:
          num_architectures: N.
          confidence: Probability that intervals are to cover, in (0, 1).
          num_resamples: Their number.
          seed: Of the resamples.

        Raises:
          ValueError: `confidence` or `num_resamples` is out of range.
        """
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, got {confidence}")
        self.confidence = confidence
        self.counts = resampling.draw(num_architectures, num_resamples, seed)

    def estimate(self, value: float, resampled: np.ndarray) -> Estimate:
        """Return a value with the interval of its values [B] on the resamples."""
        return Estimate.from_resamples(value, resampled, self.confidence)

    def kendall_tau(self, truth: np.ndarray, score: np.ndarray) -> Estimate:
        """Estimate Kendall's tau."""
        return self._measure(metrics.kendall_tau, resampling.kendall_tau, truth, score)

    def pearson(self, truth: np.ndarray, score: np.ndarray) -> Estimate:
        """Estimate Pearson's correlation."""
        return self._measure(metrics.pearson, resampling.pearson, truth, score)

    def spearman(self, truth: np.ndarray, score: np.ndarray) -> Estimate:
        """Estimate Spearman's correlation."""
        return self._measure(metrics.spearman, resampling.spearman, truth, score)

    def pqetp(self, truth: np.ndarray, score: np.ndarray, threshold: float) -> Estimate:
        """Estimate the prediction quality for exceedance of a threshold performance."""
        options = {"threshold": threshold}
        return self._measure(metrics.pqetp, resampling.pqetp, truth, score, **options)

    def discovered(self, truth: np.ndarray, score: np.ndarray, k: int) -> tuple[Estimate, Estimate]:
        """Estimate the discovered performance, and the regret, of the k best by score.

        A score known of fewer than k architectures chooses all of them.
        """
        truth, score, counts = self._known(truth, score)
        if len(truth) < 2:
            return _UNDEFINED, _UNDEFINED
        k = min(k, len(truth))
        value = metrics.discovered_performance(truth, score, k).value
        resampled = resampling.discovered_performance(truth, score, counts, k)
        best = np.where(counts > 0, truth, -np.inf).max(axis=1)
        return (
            self.estimate(value, resampled),
            self.estimate(float(truth.max()) - value, best - resampled),
        )

    def tau_difference(self, truth: np.ndarray, first: np.ndarray, second: np.ndarray) -> Estimate:
        """Estimate Kendall's tau of the first score minus that of the second, on the same ones."""
        known = np.isfinite(first) & np.isfinite(second)
        truth, first, second, counts = truth[known], first[known], second[known], self.counts
        if len(truth) < 2:
            return _UNDEFINED
        value = metrics.kendall_tau(truth, first).value - metrics.kendall_tau(truth, second).value
        counts = counts[:, known]
        resampled = resampling.kendall_tau(truth, first, counts)
        return self.estimate(value, resampled - resampling.kendall_tau(truth, second, counts))

    def _measure(
        self,
        metric: Callable[..., Estimate],
        on_resamples: Callable[..., np.ndarray],
        truth: np.ndarray,
        score: np.ndarray,
        **options: float,
    ) -> Estimate:
        truth, score, counts = self._known(truth, score)
        if len(truth) < 2:
            return _UNDEFINED
        value = metric(truth, score, **options).value
        if math.isnan(value):
            return _UNDEFINED
        return self.estimate(value, on_resamples(truth, score, counts, **options))

    def _known(self, truth, score):
        known = np.isfinite(score)
        return truth[known], score[known], self.counts[:, known]
