"""Bootstrap resamples shared by many scores, and the metrics on all of them at once.

A resample draws N of the N architectures with replacement; it is kept as how often each is drawn.
The same resamples serve every score, so that differences between two of them have intervals, too.
On each resample the metrics are those of `nngp_tf.analysis.metrics` on the drawn architectures:

    ranks           (weight of the lower ones) + (weight of the equal ones + 1) / 2
    Kendall's tau   counts^T S counts, S[i, j] = sign(truth_i - truth_j) sign(score_i - score_j)
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
import scipy.stats

from nngp_tf.analysis import metrics

# Elements of one block of intermediate results: bounds memory at some 50 MB an array.
_BLOCK = 6_000_000
# Above so many architectures the products of all pairs cost more than sorting each resample.
_MOST_PAIRED = 6_000


def draw(num_architectures: int, num_resamples: int, seed: int) -> np.ndarray:
    """Draw resamples.

    Returns:
      How often each architecture is drawn [B, N], uint8; each row sums to N.

    Raises:
      ValueError: `num_resamples` is not positive.
    """
    if operator.index(num_resamples) < 1:
        raise ValueError(f"num_resamples must be at least 1, got {num_resamples}")
    rng = np.random.default_rng(seed)
    counts = np.empty([num_resamples, num_architectures], np.uint8)
    for row in counts:
        drawn = rng.integers(num_architectures, size=num_architectures)
        row[:] = np.bincount(drawn, minlength=num_architectures)
    return counts


def kendall_tau(truth: np.ndarray, score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return Kendall's tau-b on each resample [B]; NaN where one is constant there.

    Args:
      truth: [N].
      score: [N].
      counts: [B, N]; rows may be of any sum.
    """
    if len(truth) > _MOST_PAIRED:
        return _each(lambda t, s: scipy.stats.kendalltau(t, s).statistic, truth, score, counts)
    pairs = _untied(truth, counts) * _untied(score, counts)
    truth, score = _groups(truth)[1], _groups(score)[1]
    # Sums of counts stay exact in float32: they are integers far below 2**24.
    weights = counts.astype(np.float32)
    total = np.zeros(len(counts))
    rows = max(1, _BLOCK // max(len(truth), len(counts)))
    for start in range(0, len(truth), rows):
        block = slice(start, start + rows)
        signs = np.sign(truth[block, None] - truth) * np.sign(score[block, None] - score)
        products = weights @ signs.T.astype(np.float32)
        total += np.einsum("bn,bn->b", products, weights[:, block], dtype=np.float64)
    return _divide(total / 2, np.sqrt(pairs))


def pearson(truth: np.ndarray, score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation on each resample [B]; arguments as in `kendall_tau`."""
    defined = (_untied(truth, counts) > 0) & (_untied(score, counts) > 0)
    found = _in_blocks(lambda weights: _correlation(truth, score, weights), counts)
    # Rounding may make a constant score vary.
    return np.where(defined, found, np.nan)


def spearman(truth: np.ndarray, score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation on each resample [B]; arguments as in `kendall_tau`."""

    def block(weights):
        return _correlation(ranks(truth, weights), ranks(score, weights), weights)

    return _in_blocks(block, counts)


def pqetp(truth: np.ndarray, score: np.ndarray, counts: np.ndarray, threshold: float) -> np.ndarray:
    """Return `metrics.pqetp` on each resample [B]; other arguments as in `kendall_tau`."""
    above = truth > threshold

    def block(weights):
        positive = weights[:, above].sum(axis=1)
        negative = weights.sum(axis=1) - positive
        rank_sum = (ranks(score, weights)[:, above] * weights[:, above]).sum(axis=1)
        return _divide(rank_sum - positive * (positive + 1) / 2, positive * negative)

    return _in_blocks(block, counts)


def discovered_performance(
    truth: np.ndarray, score: np.ndarray, counts: np.ndarray, k: int
) -> np.ndarray:
    """Return `metrics.discovered_performance` on each resample [B].

    Args:
      truth: [N].
      score: [N].
      counts: [B, N].
      k: Architectures chosen; all of a resample that holds fewer.
    """

    def discovered(truth, score):
        return metrics.discovered_performance(truth, score, min(k, len(truth))).value

    return _each(discovered, truth, score, counts)


def ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the rank [B, N] that each architecture has in each resample, equal ones sharing it."""
    order, groups, starts = _groups(values)
    weights = np.add.reduceat(counts[:, order], starts, axis=1, dtype=np.float64)
    below = np.cumsum(weights, axis=1) - weights
    return (below + (weights + 1) / 2)[:, groups]


def _groups(values):
    """Return the order that sorts values [N], each one's group of equals, where groups start."""
    order = np.argsort(values, kind="stable")
    is_first = np.concatenate([[True], np.diff(values[order]) > 0])
    groups = np.empty(len(values), np.int64)
    groups[order] = np.cumsum(is_first) - 1
    return order, groups, np.flatnonzero(is_first)


def _untied(values, counts):
    """Return the number of drawn pairs of unequal values [B]."""
    order, _, starts = _groups(values)

    def block(weights):
        equal = np.add.reduceat(weights[:, order], starts, axis=1)
        return (weights.sum(axis=1) ** 2 - (equal**2).sum(axis=1)) / 2

    return _in_blocks(block, counts)


def _correlation(first, second, weights):
    """Return the correlation [B] of columns [N] or [B, N] under weights [B, N]."""
    num = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        first = first - (weights * first).sum(axis=1, keepdims=True) / num
        second = second - (weights * second).sum(axis=1, keepdims=True) / num
    variances = (weights * first**2).sum(axis=1) * (weights * second**2).sum(axis=1)
    return _divide((weights * first * second).sum(axis=1), np.sqrt(variances))


def _each(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    truth: np.ndarray,
    score: np.ndarray,
    counts: np.ndarray,
) -> np.ndarray:
    values = np.full(len(counts), np.nan)
    for number, row in enumerate(counts):
        drawn = np.repeat(np.arange(len(row)), row)
        if len(drawn) >= 2:
            values[number] = statistic(truth[drawn], score[drawn])
    return values


def _in_blocks(statistic, counts):
    size = max(1, _BLOCK // counts.shape[1])
    blocks = [
        statistic(counts[start : start + size].astype(np.float64))
        for start in range(0, len(counts), size)
    ]
    return np.concatenate(blocks)


def _divide(numerator, denominator):
    """Divide; NaN by zero."""
    defined = denominator > 0
    return np.where(defined, numerator, np.nan) / np.where(defined, denominator, 1.0)
