"""Estimates: their printed form and the bootstrap interval."""

import math
import warnings

import numpy as np
import pytest

from nngp_tf.analysis.estimates import Estimate, estimate

pytestmark = pytest.mark.fast


def _mean_difference(truth, score):
    return float(np.mean(truth - score))


def test_printed_form():
    bare = Estimate(0.18277)
    interval = Estimate(0.18277, 0.1012, 0.2621)
    assert str(bare) == f"{bare}" == "0.183"
    assert str(interval) == f"{interval}" == "0.183 [0.101, 0.262]"
    assert f"{interval:.1%}" == "18.3% [10.1%, 26.2%]"
    assert str(Estimate(math.nan)) == "nan"
    assert float(interval) == 0.18277
    with pytest.raises(AttributeError):
        interval.value = 1.0


def test_interval_of_a_mean_has_the_width_of_normal_theory():
    rng = np.random.default_rng(0)
    truth, score = rng.normal(size=400), np.zeros(400)
    found = estimate(_mean_difference, truth, score, 0.9, num_resamples=4000, seed=0)
    assert found.value == truth.mean()
    half_width = 1.645 * truth.std() / math.sqrt(400)
    np.testing.assert_allclose(found.low, truth.mean() - half_width, atol=0.1 * half_width)
    np.testing.assert_allclose(found.high, truth.mean() + half_width, atol=0.1 * half_width)


def test_pairs_are_resampled_together():
    truth = np.arange(50.0)
    found = estimate(_mean_difference, truth, truth - 3, 0.95, num_resamples=50, seed=0)
    assert (found.value, found.low, found.high) == (3.0, 3.0, 3.0)


def test_interval_depends_on_the_seed_alone():
    truth, score = np.random.default_rng(0).normal(size=(2, 30))
    first, again, other = (
        estimate(_mean_difference, truth, score, 0.95, num_resamples=100, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_undefined_resamples_are_left_out_silently():
    def undefined_when_constant(truth, score):
        return math.nan if np.ptp(truth) == 0 else 1.0

    truth = np.array([0.0, 1.0])  # Half of all resamples are constant.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = estimate(undefined_when_constant, truth, truth, 0.95, num_resamples=200, seed=0)
    assert found == Estimate(1.0, 1.0, 1.0)


def test_undefined_value_has_an_undefined_interval():
    found = estimate(lambda t, s: math.nan, np.zeros(3), np.zeros(3), 0.95, 10, 0)
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@pytest.mark.parametrize("confidence", [0, 1, -0.1, 95, math.nan])
def test_confidence_outside_the_unit_interval_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        estimate(_mean_difference, np.zeros(3), np.zeros(3), confidence, 10, 0)


def test_no_resamples_are_refused():
    with pytest.raises(ValueError, match="num_resamples must be at least 1, got 0"):
        estimate(_mean_difference, np.zeros(3), np.zeros(3), 0.95, 0, 0)
