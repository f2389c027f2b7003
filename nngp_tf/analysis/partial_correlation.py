"""Partial rank correlation: what a score says of the truth beyond what others say already.

Spearman's correlation of truth and score, both less their linear regression on the ranks of the
given scores; from the inverse P of the matrix of rank correlations,

    -P[truth, score] / sqrt(P[truth, truth] P[score, score])
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

from nngp_tf.analysis import resampling
from nngp_tf.analysis.bootstrap import Bootstrap
from nngp_tf.analysis.estimates import Estimate

_SINGULAR = 1e-9
_CONSTANT = 1e-6  # Variance of ranks: beyond rounding, and below that of any that vary.


def partial_spearman(
    truth: np.ndarray, score: np.ndarray, given: Sequence[np.ndarray], bootstrap: Bootstrap
) -> Estimate:
    """Estimate the partial rank correlation of truth and score, given other scores.

    It is near 0 for a score that adds nothing to them, and undefined, with a warning, where one of
    them all follows from the others.

    Args:
      truth: [N].
      score: [N].
      given: Vectors [N].
      bootstrap: Of the N architectures.
    """
    columns = [truth, score, *given]
    whole = np.ones([1, len(truth)], np.uint8)
    value = float(_partial(columns, whole)[0])
    if math.isnan(value):
        warnings.warn(
            "the partial rank correlation is undefined: a score is constant, or follows from the "
            "others",
            RuntimeWarning,
            stacklevel=2,
        )
        return Estimate(value, math.nan, math.nan)
    return bootstrap.estimate(value, _partial(columns, bootstrap.counts))


def _partial(columns, counts):
    weights = counts / counts.sum(axis=1, keepdims=True)
    centred = []
    for column in columns:
        ranks = resampling.ranks(column, counts)
        centred.append(ranks - (weights * ranks).sum(axis=1, keepdims=True))
    covariance = np.stack(
        [[(weights * a * b).sum(axis=1) for a in centred] for b in centred], axis=-1
    ).transpose(1, 0, 2)
    variances = np.einsum("bqq->bq", covariance)
    scale = np.sqrt(np.where(variances > _CONSTANT, variances, 1.0))
    correlation = covariance / (scale[:, :, None] * scale[:, None, :])
    singular = (variances <= _CONSTANT).any(axis=1) | (np.linalg.det(correlation) < _SINGULAR)
    correlation[singular] = np.eye(len(columns))
    inverse = np.linalg.inv(correlation)
    partial = -inverse[:, 0, 1] / np.sqrt(inverse[:, 0, 0] * inverse[:, 1, 1])
    return np.where(singular, np.nan, np.clip(partial, -1, 1))
