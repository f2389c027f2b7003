"""Reducing a space by one score and picking by another, where the answer is known."""

import numpy as np
import pytest

from nngp_tf.analysis.bootstrap import Bootstrap
from nngp_tf.analysis.reduction import reduce
from nngp_tf.analysis.signals import NNGP, TRAINING, Signal

pytestmark = pytest.mark.fast


def signal(name, values, **costs):
    kind = NNGP if name == "first" else TRAINING
    return Signal(name, name, np.asarray(values, float), kind, **costs)


def test_by_hand():
    truth = np.array([0.9, 0.8, 0.7, 0.6])
    first = signal("first", [3, 4, 2, 1], cost_multiply_adds=np.full(4, 1.0))
    second = signal("second", [2, 1, 4, 3], cost_multiply_adds=np.array([10.0, 20, 30, 40]))
    whole, half, one = reduce(truth, first, second, Bootstrap(4), (1.0, 0.5, 0.25))
    # The second score of all picks the third; of the two that the first keeps, the first.
    assert (whole.num_survivors, whole.found.value) == (4, 0.7)
    assert (half.num_survivors, half.found.value) == (2, 0.9)
    assert (one.num_survivors, one.found.value) == (1, 0.8)
    assert (half.best_surviving.value, half.mean_surviving.value) == (0.9, pytest.approx(0.85))
    np.testing.assert_array_equal(sorted(half.survivors), [0.8, 0.9])
    assert half.quantiles[0.5] == pytest.approx(0.85)
    # 4 of the first, and the second of those kept: 10 + 20 of 100.
    assert half.multiply_adds == 34
    assert half.share_of_cost == pytest.approx(0.34)
    assert whole.share_of_cost == pytest.approx(1.04)
    assert half.seconds is None


def test_at_random_it_is_the_expectation_over_subsets():
    truth = np.array([0.9, 0.8, 0.7, 0.6])
    first, second = signal("first", [3, 4, 2, 1]), signal("second", [2, 1, 4, 3])
    (half,) = reduce(truth, first, second, Bootstrap(4), (0.5,))
    # Of the 6 pairs the third wins 3, the fourth 2 and the first 1.
    expected = (3 * 0.7 + 2 * 0.6 + 0.9) / 6
    assert half.found_at_random.value == pytest.approx(expected, abs=0.03)


def test_ties_are_averaged_over():
    # A constant first score keeps at random.
    truth = np.linspace(0, 1, 41)
    first, second = signal("first", np.zeros(41)), signal("second", truth)
    (row,) = reduce(truth, first, second, Bootstrap(41), (0.5,))
    # The maximum of 21 of 0..40 without replacement has expectation 42 * 21 / 22 - 1.
    assert row.found.value == pytest.approx((42 * 21 / 22 - 1) / 40, abs=0.01)
    assert row.mean_surviving.value == pytest.approx(0.5, abs=0.02)


def test_more_than_one_may_be_picked():
    truth = np.array([0.6, 0.7, 0.8, 0.9])
    first, second = signal("first", [4, 3, 2, 1]), signal("second", [4, 3, 2, 1])
    two, all_of_it = reduce(truth, first, second, Bootstrap(4), (1.0, 0.5), num_picked=3)
    assert (two.num_picked, two.found.value) == (3, 0.8)
    assert (all_of_it.num_picked, all_of_it.found.value) == (2, 0.7)


def test_a_good_first_score_keeps_what_the_second_would_find():
    rng = np.random.default_rng(0)
    truth = rng.random(200)
    first = signal("first", truth + 0.1 * rng.normal(size=200))
    second = signal("second", truth + 0.5 * rng.normal(size=200))
    (row,) = reduce(truth, first, second, Bootstrap(200), (0.1,))
    assert row.num_survivors == 20
    assert row.found.value > row.found_at_random.value
    assert row.mean_surviving.low > truth.mean()
    assert row.found.low <= row.found.value <= row.found.high


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": (0.5, 0.0)}, r"fractions to keep must lie in \(0, 1\], got 0.0"),
        ({"fractions": (50,)}, "got 50"),
        ({"num_picked": 0}, "num_picked must be at least 1, got 0"),
    ],
)
def test_bad_options(options, message):
    scores = signal("first", [1, 2, 3]), signal("second", [1, 2, 3])
    with pytest.raises(ValueError, match=message):
        reduce(np.arange(3.0), *scores, Bootstrap(3), **options)


def test_missing_values_are_refused():
    scores = signal("first", [1, 2, np.nan]), signal("second", [1, 2, 3])
    with pytest.raises(ValueError, match="first lacks 1 of 3: leave those architectures out"):
        reduce(np.arange(3.0), *scores, Bootstrap(3))
