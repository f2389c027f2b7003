"""Measures with intervals from shared resamples, and differences between scores."""

import math

import numpy as np
import pytest

from nngp_tf.analysis import metrics
from nngp_tf.analysis.bootstrap import Bootstrap

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def data():
    """The truth of 120 architectures, a good and a poor score."""
    rng = np.random.default_rng(0)
    truth = rng.random(120)
    good, poor = (truth + noise * rng.normal(size=120) for noise in (0.2, 1.0))
    return truth, good, poor


def test_values_and_intervals_are_those_of_the_metrics(data):
    truth, good, _ = data
    bootstrap = Bootstrap(120, num_resamples=400)
    for found, metric, options in (
        (bootstrap.kendall_tau(truth, good), metrics.kendall_tau, {}),
        (bootstrap.pearson(truth, good), metrics.pearson, {}),
        (bootstrap.spearman(truth, good), metrics.spearman, {}),
        (bootstrap.pqetp(truth, good, 0.5), metrics.pqetp, {"threshold": 0.5}),
    ):
        # By other resamples.
        expected = metric(truth, good, confidence=0.95, num_resamples=400, **options)
        assert found.value == expected.value
        np.testing.assert_allclose(
            [found.low, found.high], [expected.low, expected.high], atol=0.03
        )
    discovered, regret = bootstrap.discovered(truth, good, 10)
    assert discovered.value == metrics.discovered_performance(truth, good, 10).value
    assert regret.value == metrics.regret(truth, good, 10).value
    assert 0 <= regret.low <= regret.value <= regret.high


def test_the_difference_of_two_scores_is_surer_than_each_of_them(data):
    truth, good, poor = data
    bootstrap = Bootstrap(120)
    found = bootstrap.tau_difference(truth, good, poor)
    first, second = bootstrap.kendall_tau(truth, good), bootstrap.kendall_tau(truth, poor)
    assert found.value == first.value - second.value
    assert 0 < found.low <= found.value <= found.high
    # Nearly equal scores differ by little on every resample, however much tau varies.
    nudged = good + 1e-3 * poor
    close = bootstrap.tau_difference(truth, good, nudged)
    assert close.high - close.low < 0.1 * (first.high - first.low)
    same = bootstrap.tau_difference(truth, good, good)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_architectures_without_a_score_play_no_part(data):
    truth, good, poor = data
    partly = good.copy()
    partly[:40] = np.nan
    bootstrap = Bootstrap(120)
    assert bootstrap.kendall_tau(truth, partly).value == pytest.approx(
        metrics.kendall_tau(truth[40:], good[40:]).value
    )
    difference = bootstrap.tau_difference(truth, partly, poor)
    expected = metrics.kendall_tau(truth[40:], good[40:]).value
    expected -= metrics.kendall_tau(truth[40:], poor[40:]).value
    assert difference.value == pytest.approx(expected)


def test_too_few_scores_are_undefined():
    truth, score = np.arange(5.0), np.full(5, np.nan)
    score[0] = 1.0
    bootstrap = Bootstrap(5, num_resamples=10)
    for found in (
        bootstrap.kendall_tau(truth, score),
        bootstrap.tau_difference(truth, truth, score),
        *bootstrap.discovered(truth, score, 2),
    ):
        assert math.isnan(found.value)
        assert math.isnan(found.low)


def test_undefined_measures_say_why():
    bootstrap = Bootstrap(3, num_resamples=10)
    with pytest.warns(RuntimeWarning, match="every architecture has a truth above"):
        assert math.isnan(bootstrap.pqetp(np.ones(3), np.arange(3.0), 0.5).value)


def test_bad_options():
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        Bootstrap(3, confidence=95)
    with pytest.raises(ValueError, match="num_resamples must be at least 1, got 0"):
        Bootstrap(3, num_resamples=0)
