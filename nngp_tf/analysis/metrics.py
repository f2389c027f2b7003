"""How well a score predicts the truth over a set of architectures, with bootstrap intervals.

The definitions are those of Park et al., "Towards NNGP-guided Neural Architecture Search" (2020),
and of its notebook nngp_nas/NNGP_on_NASBench101.ipynb, except that ties are treated exactly instead
of by position in the list.

Every function takes `truth` [N] (such as accuracies after training) first and `score` [N] (such as
NNGP accuracies) second; architecture i is described by truth[i] and score[i]. With `confidence`
given, the estimate's `low` and `high` are the percentile bootstrap interval over architectures,
drawn with replacement; resamples in which the metric is undefined are left out.

Where the metric is undefined on the data themselves the value is NaN and a warning says why. All
raise ValueError if truth and score differ in length, hold fewer than 2 architectures or something
not finite, or if an option is out of range.
"""

import math
import operator
import warnings

import numpy as np
import numpy.typing as npt
import scipy.stats

from nngp_tf.analysis.estimates import Estimate, estimate

__all__ = [
    "Estimate",
    "discovered_performance",
    "kendall_tau",
    "pearson",
    "pqetp",
    "regret",
    "spearman",
]


def kendall_tau(
    truth: npt.ArrayLike,
    score: npt.ArrayLike,
    *,
    confidence: float | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Compute Kendall's rank correlation tau-b in [-1, 1], which corrects for ties.

    Args:
      truth: [N].
      score: [N].
      confidence: Probability that the interval is to cover, such as 0.95; none by default.
      num_resamples: Bootstrap resamples of the interval.
      seed: Seed of the resamples.
    """
    truth, score = _checked_pair(truth, score)
    _warn_if_constant("Kendall's tau", truth, score)
    return estimate(_kendall_tau, truth, score, confidence, num_resamples, seed)


def pearson(
    truth: npt.ArrayLike,
    score: npt.ArrayLike,
    *,
    confidence: float | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Compute Pearson's linear correlation in [-1, 1]; arguments as in `kendall_tau`."""
    truth, score = _checked_pair(truth, score)
    _warn_if_constant("Pearson's correlation", truth, score)
    return estimate(_pearson, truth, score, confidence, num_resamples, seed)


def spearman(
    truth: npt.ArrayLike,
    score: npt.ArrayLike,
    *,
    confidence: float | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Compute Spearman's rank correlation in [-1, 1]; arguments as in `kendall_tau`."""
    truth, score = _checked_pair(truth, score)
    _warn_if_constant("Spearman's correlation", truth, score)
    return estimate(_spearman, truth, score, confidence, num_resamples, seed)


def pqetp(
    truth: npt.ArrayLike,
    score: npt.ArrayLike,
    threshold: float,
    *,
    confidence: float | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Compute the prediction quality for exceedance of a threshold performance, in [0, 1].

    It is the area under the ROC curve of "truth > threshold" predicted by the score: the
    probability that an architecture above the threshold scores higher than one that is not, a tie
    counting one half. 0.5 is chance, also for a constant score. NaN, with a warning, where all
    architectures are on one side of the threshold.

    Args:
      truth: [N].
      score: [N].
      threshold: In units of truth.
      confidence: As in `kendall_tau`.
      num_resamples: As in `kendall_tau`.
      seed: As in `kendall_tau`.
    """
    truth, score = _checked_pair(truth, score)
    if not math.isfinite(threshold):
        raise ValueError(f"threshold must be a finite number, got {threshold}")
    num_above = np.count_nonzero(truth > threshold)
    if num_above in (0, len(truth)):
        which = "no architecture has" if num_above == 0 else "every architecture has"
        _warn(f"PQETP is undefined: {which} a truth above the threshold {threshold}")

    def statistic(truth: np.ndarray, score: np.ndarray) -> float:
        return _area_under_roc(truth > threshold, score)

    return estimate(statistic, truth, score, confidence, num_resamples, seed)


def discovered_performance(
    truth: npt.ArrayLike,
    score: npt.ArrayLike,
    k: int = 10,
    *,
    confidence: float | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Compute the best truth among the k architectures of highest score, in units of truth.

    Where architectures tie for the last of the k places the value is the expectation over a
    uniformly random choice among them, computed exactly; so it does not depend on their order.

    Args:
      truth: [N].
      score: [N].
      k: Number of architectures chosen, 1 to N.
      confidence: As in `kendall_tau`. The bootstrap of a maximum is coarse: read the interval as
        an indication only.
      num_resamples: As in `kendall_tau`.
      seed: As in `kendall_tau`.
    """
    truth, score = _checked_pair(truth, score)
    k = _checked_k(k, len(truth))

    def statistic(truth: np.ndarray, score: np.ndarray) -> float:
        return _discovered_performance(truth, score, k)

    return estimate(statistic, truth, score, confidence, num_resamples, seed)


def regret(
    truth: npt.ArrayLike,
    score: npt.ArrayLike,
    k: int = 10,
    *,
    confidence: float | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Compute the best truth of all minus the discovered performance, in units of truth, >= 0.

    Arguments as in `discovered_performance`.
    """
    truth, score = _checked_pair(truth, score)
    k = _checked_k(k, len(truth))

    def statistic(truth: np.ndarray, score: np.ndarray) -> float:
        return float(truth.max()) - _discovered_performance(truth, score, k)

    return estimate(statistic, truth, score, confidence, num_resamples, seed)


def _kendall_tau(truth: np.ndarray, score: np.ndarray) -> float:
    if _is_constant(truth) or _is_constant(score):
        return math.nan
    return float(scipy.stats.kendalltau(truth, score).statistic)


def _pearson(truth: np.ndarray, score: np.ndarray) -> float:
    if _is_constant(truth) or _is_constant(score):
        return math.nan
    return float(scipy.stats.pearsonr(truth, score).statistic)


def _spearman(truth: np.ndarray, score: np.ndarray) -> float:
    return _pearson(scipy.stats.rankdata(truth), scipy.stats.rankdata(score))


def _area_under_roc(is_positive: np.ndarray, score: np.ndarray) -> float:
    num_positive = np.count_nonzero(is_positive)
    num_negative = len(is_positive) - num_positive
    if num_positive == 0 or num_negative == 0:
        return math.nan
    # Mann and Whitney: the ranks of the positives, less the smallest sum they could have, count
    # the pairs in which a positive is ahead.
    rank_sum = scipy.stats.rankdata(score)[is_positive].sum()
    pairs_ahead = rank_sum - num_positive * (num_positive + 1) / 2
    return float(pairs_ahead / (num_positive * num_negative))


def _discovered_performance(truth: np.ndarray, score: np.ndarray, k: int) -> float:
    boundary = np.partition(score, len(score) - k)[len(score) - k]  # The k-th highest score.
    chosen = truth[score > boundary]
    tied = np.sort(truth[score == boundary])
    num_tied, num_places = len(tied), k - len(chosen)
    # The j-th smallest of the tied (j = 1..T) is the largest of P drawn among them with probability
    # C(j - 1, P - 1) / C(T, P). From j = T, where that is P / T, each follows from the one above.
    j = np.arange(num_tied, 1, -1)
    factors = np.maximum(j - num_places, 0) / (j - 1)
    probabilities = num_places / num_tied * np.cumprod(np.concatenate([[1.0], factors]))[::-1]
    best = np.maximum(tied, chosen.max(initial=-np.inf))
    # Written as a difference from the maximum, so that rounding never exceeds it.
    return float(best[-1] - probabilities @ (best[-1] - best))


def _checked_pair(truth: npt.ArrayLike, score: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    pair = []
    for name, given in (("truth", truth), ("score", score)):
        values = np.asarray(given, dtype=np.float64)
        if values.ndim != 1:
            raise ValueError(f"{name} must be a vector [N], got shape {list(values.shape)}")
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise ValueError(
                f"{name} must be finite, got {values[bad[0]]} at index {bad[0]}; "
                "leave out architectures that failed"
            )
        pair.append(values)
    if len(pair[0]) != len(pair[1]):
        raise ValueError(
            f"truth and score must have equal length, got {len(pair[0])} and {len(pair[1])}"
        )
    if len(pair[0]) < 2:
        raise ValueError(f"at least 2 architectures are needed, got {len(pair[0])}")
    return pair[0], pair[1]


def _checked_k(k: int, num_architectures: int) -> int:
    k = operator.index(k)
    if not 1 <= k <= num_architectures:
        raise ValueError(
            f"k must be between 1 and the number of architectures ({num_architectures}), got {k}"
        )
    return k


def _is_constant(values: np.ndarray) -> bool:
    return bool((values == values[0]).all())


def _warn_if_constant(metric: str, truth: np.ndarray, score: np.ndarray) -> None:
    for name, values in (("truth", truth), ("score", score)):
        if _is_constant(values):
            _warn(f"{metric} is undefined: every {name} is {values[0]}", stacklevel=4)


def _warn(message: str, stacklevel: int = 3) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=stacklevel)
