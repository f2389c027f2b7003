"""Combining signals into one score, and what each of them gains by it.

rank average    mean of the ranks: nothing is fitted
regression      ridge regression of the truth's rank on the ranks, each architecture predicted
by fits to other folds, within which leave-one-out chooses the penalty
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.stats

from nngp_tf.analysis.bootstrap import Bootstrap
from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.signals import Signal

METHODS = ("rank average", "regression")
_FOLDS = 10
_REPEATS = 5
FEWEST = 10  # Architectures that a regression is fitted to.
_PENALTIES = np.logspace(-3, 3, 13)


@dataclasses.dataclass(frozen=True)
class CombinationRow:
    """One combination, beside its parts.

    Attributes:
      parts: Names of the signals combined.
      method: One of `METHODS`.
      kendall_tau: Of the combination with the truth. Of a regression, the interval is that of its
        predictions as they are: it leaves out how another fit would predict.
      gains: For each part, the tau of the combination less that of the part alone.
    """

    parts: tuple[str, ...]
    method: str
    kendall_tau: Estimate
    gains: dict[str, Estimate]


def rank_average(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of the ranks [N] of scores [N], equal ones sharing theirs."""
    return np.mean([scipy.stats.rankdata(score) for score in scores], axis=0)


def cross_validated_regression(
    truth: np.ndarray, scores: Sequence[np.ndarray], seed: int = 0
) -> np.ndarray:
    """Return predictions [N], each from fits to other architectures, averaged over repeats.

    Args:
      truth: [N]; within the folds that fit, it is replaced by its ranks there.
      scores: Vectors [N], replaced by their ranks, which say nothing of the truth.
      seed: Of the folds.

    Raises:
      ValueError: If there are fewer than 10 architectures.
    """
    # On first use: its import takes seconds.
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold

    num = len(truth)
    _check_enough(num)
    inputs = _ranked(scores)
    predictions = np.zeros(num)
    for repeat in range(_REPEATS):
        folds = KFold(_FOLDS, shuffle=True, random_state=seed + repeat)
        for fit, predict in folds.split(inputs):
            model = RidgeCV(_PENALTIES)
            model.fit(inputs[fit], scipy.stats.rankdata(truth[fit]) / len(fit))
            predictions[predict] += model.predict(inputs[predict]) / _REPEATS
    return predictions


def rank_regression(
    truth: np.ndarray, scores: Sequence[np.ndarray], others: Sequence[np.ndarray]
) -> np.ndarray:
    """Return predictions [n] of other architectures from a fit to these.

    Args:
      truth: [N] of those fitted to.
      scores: Vectors [N], of the same.
      others: Vectors [n], the same scores of those predicted; ranked among themselves.

    Raises:
      ValueError: If there are fewer than 10 architectures to fit to.
    """
    from sklearn.linear_model import RidgeCV

    _check_enough(len(truth))
    model = RidgeCV(_PENALTIES).fit(_ranked(scores), scipy.stats.rankdata(truth) / len(truth))
    return model.predict(_ranked(others))


def combine(
    truth: np.ndarray, parts: Sequence[Signal], bootstrap: Bootstrap, seed: int = 0
) -> list[CombinationRow]:
    """Return a row for each method; the regression needs 10 architectures, and is left out below.

    Args:
      truth: [N].
      parts: At least two signals without missing values.
      bootstrap: Of the N architectures.
      seed: Of the folds.
    """
    scores = [part.values for part in parts]
    combined = {"rank average": rank_average(scores)}
    if len(truth) >= FEWEST:
        combined["regression"] = cross_validated_regression(truth, scores, seed)
    return [
        CombinationRow(
            parts=tuple(part.name for part in parts),
            method=method,
            kendall_tau=bootstrap.kendall_tau(truth, score),
            gains={
                part.name: bootstrap.tau_difference(truth, score, part.values) for part in parts
            },
        )
        for method, score in combined.items()
    ]


def _ranked(scores):
    """Return shares of the ranks [N, scores], so that fits to other numbers of them compare."""
    return np.stack([scipy.stats.rankdata(score) / len(score) for score in scores], axis=1)


def _check_enough(num):
    if num < FEWEST:
        raise ValueError(f"a regression on ranks needs at least {FEWEST} architectures, got {num}")
