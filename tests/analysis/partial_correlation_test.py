"""Partial rank correlation, against regressions and known distributions."""

import math

import numpy as np
import pytest
import scipy.stats

from nngp_tf.analysis.bootstrap import Bootstrap
from nngp_tf.analysis.partial_correlation import partial_spearman

pytestmark = pytest.mark.fast


def by_regression(truth, score, given):
    """The correlation of what linear regressions on the ranks of the given leave."""
    ranks = [scipy.stats.rankdata(column) for column in (truth, score, *given)]
    inputs = np.stack([np.ones(len(truth)), *ranks[2:]], axis=1)
    rest = [y - inputs @ np.linalg.lstsq(inputs, y, rcond=None)[0] for y in ranks[:2]]
    return np.corrcoef(*rest)[0, 1]


@pytest.mark.parametrize("num_given", [1, 2, 3])
def test_equals_the_correlation_of_residuals(num_given):
    rng = np.random.default_rng(num_given)
    truth = rng.normal(size=60)
    score, *given = np.round(truth + rng.normal(size=(num_given + 1, 60)), 1)
    found = partial_spearman(truth, score, given, Bootstrap(60))
    assert found.value == pytest.approx(by_regression(truth, score, given))
    assert found.low < found.value < found.high


def test_intervals_are_those_of_resampled_data():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=40)
    score, given = np.round(truth + rng.normal(size=(2, 40)), 1)
    bootstrap = Bootstrap(40, num_resamples=100)
    drawn = [np.repeat(np.arange(40), row) for row in bootstrap.counts]
    resampled = [by_regression(truth[d], score[d], [given[d]]) for d in drawn]
    found = partial_spearman(truth, score, [given], bootstrap)
    np.testing.assert_allclose(
        [found.low, found.high], np.quantile(resampled, [0.025, 0.975]), atol=1e-9
    )


@pytest.mark.parametrize(("own", "expected"), [(0.0, 0.0), (1.0, 0.5)])
def test_a_known_partial_correlation(own, expected):
    # truth = a + b + noise, score = a + own b + noise': given a, of normal variables, they
    # correlate by own / sqrt((1 + 1)(own^2 + 1)), and ranks by nearly as much.
    rng = np.random.default_rng(0)
    a, b, first, second = rng.normal(size=(4, 20_000))
    truth, score = a + b + first, a + own * b + second
    found = partial_spearman(truth, score, [a], Bootstrap(20_000, num_resamples=20))
    assert found.value == pytest.approx(expected, abs=0.03)
    # On its own the score tells of the truth either way.
    assert scipy.stats.spearmanr(truth, score).statistic > 0.3


@pytest.mark.parametrize("score", [np.zeros(5), np.array([2.0, 4.0, 6.0, 8.0, 9.0])])
def test_what_follows_from_the_given_is_undefined(score):
    truth, given = np.array([3.0, 1.0, 2.0, 5.0, 4.0]), np.arange(5.0)
    with pytest.warns(RuntimeWarning, match="partial rank correlation is undefined"):
        found = partial_spearman(truth, score, [given], Bootstrap(5))
    assert math.isnan(found.value)
    assert math.isnan(found.low)
