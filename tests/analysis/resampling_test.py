"""Metrics on all resamples at once, against the metrics on each."""

import functools
import math

import numpy as np
import pytest

from nngp_tf.analysis import metrics, resampling

pytestmark = [
    pytest.mark.fast,
    pytest.mark.filterwarnings("ignore:.*is undefined:RuntimeWarning"),
]

PAIRS = [
    (resampling.kendall_tau, metrics.kendall_tau, {}),
    (resampling.pearson, metrics.pearson, {}),
    (resampling.spearman, metrics.spearman, {}),
    (resampling.pqetp, metrics.pqetp, {"threshold": 0.5}),
    (resampling.discovered_performance, metrics.discovered_performance, {"k": 3}),
]


def _tied(size, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.round(rng.random(size), 1)
    return truth, np.round(truth + rng.normal(size=size), 1)


def _on_each(metric, truth, score, counts):
    drawn = [np.repeat(np.arange(len(truth)), row) for row in counts]
    return [metric(truth[rows], score[rows]).value for rows in drawn]


def test_resamples_are_draws_with_replacement():
    counts = resampling.draw(200, 500, seed=0)
    assert counts.shape == (500, 200)
    np.testing.assert_array_equal(counts.sum(axis=1), 200)
    # Each count is binomial with mean 1, and zero with probability (1 - 1/200)**200 = 0.367.
    np.testing.assert_allclose(np.mean(counts == 0), 0.367, atol=0.005)
    np.testing.assert_array_equal(counts, resampling.draw(200, 500, seed=0))
    assert (counts != resampling.draw(200, 500, seed=1)).any()


def test_no_resamples_are_refused():
    with pytest.raises(ValueError, match="num_resamples must be at least 1, got 0"):
        resampling.draw(10, 0, seed=0)


@pytest.mark.parametrize(("on_all", "metric", "options"), PAIRS)
@pytest.mark.parametrize("size", [3, 40])
def test_equal_to_the_metric_on_each(on_all, metric, options, size):
    # Of three architectures many resamples are constant, or on one side of the threshold.
    truth, score = _tied(size)
    counts = resampling.draw(size, 60, seed=0)
    expected = _on_each(functools.partial(metric, **options), truth, score, counts)
    np.testing.assert_allclose(on_all(truth, score, counts, **options), expected, atol=1e-12)
    assert size > 3 or math.isnan(np.sum(expected)) or metric is metrics.discovered_performance


@pytest.mark.parametrize(("on_all", "metric", "options"), PAIRS)
def test_rows_may_be_of_any_sum(on_all, metric, options):
    # As they are where some architectures have no score.
    truth, score = _tied(40)
    counts = resampling.draw(80, 20, seed=0)[:, ::2]
    expected = _on_each(functools.partial(metric, **options), truth, score, counts)
    np.testing.assert_allclose(on_all(truth, score, counts, **options), expected, atol=1e-12)


def test_a_resample_without_architectures_is_undefined():
    truth, score = _tied(5)
    counts = np.zeros([1, 5], np.uint8)
    for on_all, _, options in PAIRS:
        assert math.isnan(on_all(truth, score, counts, **options)[0])


def test_values_far_from_zero_and_constant_ones():
    truth, score = _tied(30)
    counts = resampling.draw(30, 20, seed=0)
    found = resampling.pearson(truth, score + 1e6, counts)
    np.testing.assert_allclose(found, resampling.pearson(truth, score, counts), rtol=1e-8)
    assert np.isnan(resampling.pearson(truth, np.full(30, 0.1), counts)).all()


def test_many_architectures_are_taken_in_blocks_and_then_one_resample_at_a_time(monkeypatch):
    truth, score = _tied(50)
    counts = resampling.draw(50, 30, seed=0)
    expected = {on_all: on_all(truth, score, counts, **options) for on_all, _, options in PAIRS}
    monkeypatch.setattr(resampling, "_BLOCK", 300)
    for on_all, _, options in PAIRS:
        found = on_all(truth, score, counts, **options)
        np.testing.assert_allclose(found, expected[on_all], rtol=1e-12)
    monkeypatch.setattr(resampling, "_MOST_PAIRED", 49)
    found = resampling.kendall_tau(truth, score, counts)
    np.testing.assert_allclose(found, expected[resampling.kendall_tau], rtol=1e-12)


def test_ranks():
    counts = np.array([[1, 1, 1, 1], [2, 0, 1, 1]], np.uint8)
    ranks = resampling.ranks(np.array([5.0, 1.0, 5.0, 7.0]), counts)
    # 1, 5, 5, 7 and then 5, 5, 5, 7; what is not drawn stands where it would.
    np.testing.assert_array_equal(ranks, [[2.5, 1, 2.5, 4], [2, 0.5, 2, 4]])
