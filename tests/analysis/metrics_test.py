"""Metrics against their definitions, other implementations and exhaustive tie-breaking."""

import csv
import functools
import gzip
import itertools
import math
import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from nngp_tf.analysis import metrics

pytestmark = pytest.mark.fast

CORRELATIONS = [metrics.kendall_tau, metrics.pearson, metrics.spearman]
ALL = [
    *CORRELATIONS,
    functools.partial(metrics.pqetp, threshold=0.5),
    functools.partial(metrics.discovered_performance, k=2),
    functools.partial(metrics.regret, k=2),
]


@st.composite
def pairs(draw, max_size=8):
    """Truth and score of a few architectures, with ties in both."""
    size = draw(st.integers(2, max_size))
    values = st.lists(st.integers(0, 4), min_size=size, max_size=size)
    return np.array(draw(values)) / 4, np.array(draw(values)) / 4


def _noisy(size=200, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random(size)
    return truth, np.round(truth + rng.normal(size=size), 1)


def _tau_b_from_pairs(truth, score):
    # Kendall (1945): concordant minus discordant pairs over the geometric mean of untied pairs.
    products, truth_pairs, score_pairs = 0, 0, 0
    for i, j in itertools.combinations(range(len(truth)), 2):
        by_truth, by_score = np.sign(truth[i] - truth[j]), np.sign(score[i] - score[j])
        products += by_truth * by_score
        truth_pairs += abs(by_truth)
        score_pairs += abs(by_score)
    return products / math.sqrt(truth_pairs * score_pairs)


@pytest.mark.filterwarnings("ignore:.*is undefined:RuntimeWarning")
@given(pairs())
def test_kendall_tau_is_tau_b(pair):
    truth, score = pair
    value = metrics.kendall_tau(truth, score).value
    if len(set(truth)) == 1 or len(set(score)) == 1:
        assert math.isnan(value)
    else:
        np.testing.assert_allclose(value, _tau_b_from_pairs(truth, score), atol=1e-12)


def test_pearson_and_spearman_equal_other_implementations():
    truth, score = _noisy()
    pearson = np.corrcoef(truth, score)[0, 1]
    np.testing.assert_allclose(metrics.pearson(truth, score).value, pearson, rtol=1e-12)
    spearman = scipy.stats.spearmanr(truth, score)[0]
    np.testing.assert_allclose(metrics.spearman(truth, score).value, spearman, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:PQETP is undefined:RuntimeWarning")
@given(pairs(max_size=20), st.sampled_from([0.2, 0.5, 0.75]))
def test_pqetp_is_the_area_under_the_roc_curve(pair, threshold):
    truth, score = pair
    above = truth > threshold
    value = metrics.pqetp(truth, score, threshold).value
    if above.all() or not above.any():
        assert math.isnan(value)
    else:
        expected = sklearn.metrics.roc_auc_score(above, score)
        np.testing.assert_allclose(value, expected, atol=1e-12)


def test_pqetp_excludes_the_threshold_itself():
    # The notebook's rule is "greater than".
    assert metrics.pqetp([0.91, 0.92, 0.5], [1, 2, 3], threshold=0.91).value == 0.5


def test_constant_score_is_chance_for_pqetp():
    assert metrics.pqetp([0.1, 0.9, 0.8], [1, 1, 1], threshold=0.5).value == 0.5


@given(pairs(max_size=6), st.data())
def test_discovered_performance_is_the_mean_over_all_orders_of_ties(pair, data):
    truth, score = pair
    k = data.draw(st.integers(1, len(truth)))
    # Each order of the architectures breaks ties in its own way under a stable sort.
    outcomes = []
    for order in itertools.permutations(range(len(truth))):
        order = np.array(order)
        best_last = order[np.argsort(score[order], kind="stable")]
        outcomes.append(truth[best_last[-k:]].max())
    expected = np.mean(outcomes)
    value = metrics.discovered_performance(truth, score, k).value
    np.testing.assert_allclose(value, expected, atol=1e-12)
    regret = metrics.regret(truth, score, k).value
    np.testing.assert_allclose(regret, truth.max() - expected, atol=1e-12)
    assert regret >= 0


def test_discovered_performance_without_ties_is_the_notebooks():
    truth, _ = _noisy()
    score = np.random.default_rng(1).permutation(len(truth))
    expected = truth[np.argsort(score)[-10:]].max()
    assert metrics.discovered_performance(truth, score).value == expected
    assert metrics.regret(truth, score).value == truth.max() - expected


def test_discovered_performance_among_many_ties_stays_exact():
    # 10 of 10,000 at random: the best of the drawn has expectation (N + 1) k / (k + 1) for truth
    # 1..N (the maximum of a sample without replacement).
    truth = np.random.default_rng(0).permutation(np.arange(1.0, 10_001))
    value = metrics.discovered_performance(truth, np.zeros(10_000)).value
    np.testing.assert_allclose(value, 10_001 * 10 / 11, rtol=1e-12)


def test_perfect_and_reversed_scores():
    truth = np.linspace(0.8, 0.95, 40)
    for metric in CORRELATIONS:
        np.testing.assert_allclose(metric(truth, truth).value, 1, rtol=1e-12)
        np.testing.assert_allclose(metric(truth, -truth).value, -1, rtol=1e-12)
    assert metrics.pqetp(truth, truth, 0.9).value == 1
    assert metrics.pqetp(truth, -truth, 0.9).value == 0
    assert metrics.regret(truth, truth).value == 0
    assert metrics.discovered_performance(truth, -truth, k=1).value == 0.8
    assert metrics.regret(truth, -truth, k=40).value == 0


@pytest.mark.parametrize("metric", ALL)
def test_intervals_enclose_the_value_and_only_on_request(metric):
    truth, score = _noisy()
    bare = metric(truth, score)
    assert bare.low is None
    assert bare.high is None
    wide = metric(truth, score, confidence=0.99, num_resamples=300)
    narrow = metric(truth, score, confidence=0.5, num_resamples=300)
    assert wide.value == narrow.value == bare.value
    assert wide.low <= narrow.low <= narrow.high <= wide.high
    assert wide.low <= bare.value <= wide.high
    assert wide == metric(truth, score, confidence=0.99, num_resamples=300)
    if metric in CORRELATIONS:  # The interval of a maximum takes few values, whatever the seed.
        assert wide != metric(truth, score, confidence=0.99, num_resamples=300, seed=1)


def test_interval_of_pearson_agrees_with_fishers():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=500)
    score = 0.5 * truth + rng.normal(size=500)
    found = metrics.pearson(truth, score, confidence=0.95)
    expected = scipy.stats.pearsonr(truth, score).confidence_interval(0.95)
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.02)


@pytest.mark.parametrize("metric", ALL)
def test_degenerate_resamples_neither_fail_nor_warn(metric):
    # With three architectures many resamples are constant or on one side of the threshold.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metric([0.2, 0.6, 0.9], [1, 3, 2], confidence=0.95, num_resamples=200)
    assert math.isfinite(found.low)
    assert math.isfinite(found.high)


@pytest.mark.parametrize("metric", CORRELATIONS)
@pytest.mark.parametrize(
    ("truth", "score", "which"), [([1, 1, 1], [1, 2, 3], "truth"), ([1, 2, 3], [2, 2, 2], "score")]
)
def test_constant_input_gives_nan_and_one_warning(metric, truth, score, which):
    with pytest.warns(RuntimeWarning, match=f"undefined: every {which} is") as caught:
        found = metric(truth, score, confidence=0.95)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@pytest.mark.parametrize(("threshold", "which"), [(0.0, "every"), (0.9, "no")])
def test_one_empty_class_gives_nan_and_a_warning(threshold, which):
    with pytest.warns(RuntimeWarning, match=f"{which} architecture has a truth above") as caught:
        assert math.isnan(metrics.pqetp([0.1, 0.9], [1, 2], threshold).value)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("truth", "score", "message"),
    [
        ([1, 2, 3], [1, 2], "equal length, got 3 and 2"),
        ([1], [1], "at least 2 architectures are needed, got 1"),
        ([], [], "at least 2 architectures are needed, got 0"),
        ([1, math.nan, 3], [1, 2, 3], "truth must be finite, got nan at index 1"),
        ([1, 2, 3], [1, 2, math.inf], "score must be finite, got inf at index 2"),
        ([[1, 2], [3, 4]], [1, 2], r"truth must be a vector \[N\], got shape \[2, 2\]"),
    ],
)
def test_bad_input_is_refused(metric, truth, score, message):
    with pytest.raises(ValueError, match=message):
        metric(truth, score)


@pytest.mark.parametrize("metric", ALL)
def test_bad_options_are_refused(metric):
    with pytest.raises(ValueError, match=r"confidence must lie .* got 95"):
        metric([0.1, 0.2, 0.9], [1, 2, 3], confidence=95)
    with pytest.raises(ValueError, match="num_resamples"):
        metric([0.1, 0.2, 0.9], [1, 2, 3], confidence=0.95, num_resamples=0)


@pytest.mark.parametrize("metric", [metrics.discovered_performance, metrics.regret])
@pytest.mark.parametrize("k", [0, 4, -1])
def test_k_out_of_range_is_refused(metric, k):
    with pytest.raises(ValueError, match=rf"number of architectures \(3\), got {k}"):
        metric([1, 2, 3], [1, 2, 3], k=k)


def test_threshold_must_be_finite():
    with pytest.raises(ValueError, match="threshold must be a finite number, got nan"):
        metrics.pqetp([1, 2], [1, 2], threshold=math.nan)


def test_reference_points_of_short_training(shared_data):
    # data/README.md gives 0.318, 0.444, 0.690 and 0.303 over 30,001 architectures, of which the
    # file holds 20,001: the standard error of the difference is about 0.003.
    with gzip.open(shared_data / "nasbench101_20k.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    truth = [float(row["test_accuracy_108"]) for row in rows]
    for column, expected in (
        ("validation_accuracy_4", 0.318),
        ("validation_accuracy_12", 0.444),
        ("validation_accuracy_36", 0.690),
        ("trainable_parameters", 0.303),
    ):
        score = [float(row[column]) for row in rows]
        np.testing.assert_allclose(metrics.kendall_tau(truth, score).value, expected, atol=0.01)
