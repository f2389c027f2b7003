"""Combinations of scores: what they gain where scores complement each other, and do not fit."""

import numpy as np
import pytest

from nngp_tf.analysis import metrics
from nngp_tf.analysis.bootstrap import Bootstrap
from nngp_tf.analysis.combination import (
    combine,
    cross_validated_regression,
    rank_average,
    rank_regression,
)
from nngp_tf.analysis.signals import NNGP, Signal

pytestmark = pytest.mark.fast


def signal(name, values):
    return Signal(name, name, np.asarray(values, float), NNGP)


def test_rank_average_by_hand():
    average = rank_average([np.array([10.0, 30.0, 20.0]), np.array([5.0, 5.0, 1.0])])
    np.testing.assert_array_equal(average, [(1 + 2.5) / 2, (3 + 2.5) / 2, (2 + 1) / 2])


def test_scores_that_complement_each_other_gain():
    rng = np.random.default_rng(0)
    first, second, noise = rng.normal(size=(3, 300))
    truth = first + second + 0.3 * noise
    rows = combine(truth, [signal("a", first), signal("b", second)], Bootstrap(300))
    assert [row.method for row in rows] == ["rank average", "regression"]
    for row in rows:
        assert row.parts == ("a", "b")
        alone = metrics.kendall_tau(truth, first).value
        assert row.gains["a"].value == pytest.approx(row.kendall_tau.value - alone)
        assert row.gains["a"].low > 0.1
        assert row.kendall_tau.value > 0.75


def test_the_regression_weighs_and_turns_scores():
    rng = np.random.default_rng(0)
    truth, noise, useless = rng.normal(size=(3, 300))
    # Small is good.
    reversed_ = -truth + 0.1 * noise
    parts = [signal("reversed", reversed_), signal("useless", useless)]
    average, regression = combine(truth, parts, Bootstrap(300))
    assert average.kendall_tau.value < -0.3
    assert regression.kendall_tau.value > 0.85


def test_predictions_are_of_architectures_that_were_not_fitted():
    # Of scores that know nothing any fit within the sample would correlate: 20 of them on 40
    # architectures by some 0.7.
    taus = []
    for seed in range(5):
        truth, *scores = np.random.default_rng(seed).normal(size=(21, 40))
        predictions = cross_validated_regression(truth, scores, seed)
        taus.append(metrics.kendall_tau(truth, predictions).value)
    assert np.mean(taus) < 0.1


def test_predictions_depend_on_ranks_and_the_seed_alone():
    rng = np.random.default_rng(0)
    truth, score = rng.normal(size=(2, 50))
    found = cross_validated_regression(truth, [score, truth], seed=0)
    np.testing.assert_array_equal(
        found, cross_validated_regression(np.exp(truth), [score**3, truth], seed=0)
    )
    assert (found != cross_validated_regression(truth, [score, truth], seed=1)).any()


def test_too_few_for_a_regression():
    with pytest.raises(ValueError, match="at least 10 architectures, got 9"):
        cross_validated_regression(np.arange(9.0), [np.arange(9.0)])
    parts = [signal("a", np.arange(9.0)), signal("b", np.arange(9.0) ** 2)]
    (row,) = combine(np.arange(9.0), parts, Bootstrap(9))
    assert row.method == "rank average"
    assert row.kendall_tau.value == pytest.approx(1)


def test_a_fit_to_others():
    rng = np.random.default_rng(0)
    first, second, useless = rng.normal(size=(3, 200))
    truth = first - second
    fitted, other = np.arange(120), np.arange(120, 200)
    scores = [first, second, useless]
    found = rank_regression(truth[fitted], [s[fitted] for s in scores], [s[other] for s in scores])
    assert metrics.kendall_tau(truth[other], found).value > 0.8
    with pytest.raises(ValueError, match="at least 10 architectures, got 9"):
        rank_regression(truth[:9], [first[:9]], [first[9:]])
