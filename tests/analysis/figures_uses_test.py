"""Figures of the uses of a score: boxes of survivors, and a forest of estimates."""

import math

import numpy as np
import pytest

from nngp_tf.analysis import figures, figures_style
from nngp_tf.analysis.estimates import Estimate
from tests.analysis import drawn

pytestmark = pytest.mark.fast

NAN = math.nan
FULL = [Estimate(0.3, 0.2, 0.4), Estimate(0.5, 0.45, 0.6), Estimate(0.4)]


def test_reduction_draws_a_box_a_fraction_from_the_largest_to_the_smallest():
    survivors = {0.1: np.array([0.9]), 1.0: np.linspace(0.8, 0.9, 20), 0.5: np.array([])}
    figure = figures.reduction(
        [0.1, 1.0, 0.5], {"b": FULL}, survivors, "test accuracy after 108 epochs"
    )
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["100%\nn = 20", "50%\nn = 0", "10%\nn = 1"]
    (line,) = figure.axes[1].get_lines()
    np.testing.assert_array_equal(line.get_ydata(), [0.5, 0.4, 0.3])


def test_combination_writes_values_and_intervals():
    texts = drawn.texts(figures.combination([("both", FULL[1]), ("one", Estimate(NAN))], "tau"))
    assert "0.50 [0.45, 0.60]" in texts
    assert "undefined" in texts


def test_words_of_a_reduction_are_its_medians():
    survivors = {1.0: [0.2, 0.4, NAN, 0.6], 0.5: []}
    figure = figures.reduction([0.5, 1.0], {}, survivors, "accuracy")
    assert figures_style.description(figure) == (
        "Median accuracy of what is kept, by fraction: 100%: 0.400, 50%: none."
    )


def test_rows_of_a_forest_stand_in_order_with_a_line_at_zero():
    figure = figures.combination([("first", Estimate(-0.5)), ("second", FULL[0])], "tau")
    axes = figure.axes[0]
    points, zero = axes.get_lines()
    np.testing.assert_array_equal(points.get_xdata(), [-0.5, 0.3])
    assert np.all(np.diff(points.get_ydata()) < 0)
    assert set(zero.get_xdata()) == {0}
    # Only the second has an interval.
    (segment,) = axes.collections[0].get_segments()
    np.testing.assert_array_equal(segment[:, 0], [0.2, 0.4])


def test_without_estimates_on_both_sides_there_is_no_line_at_zero():
    (_,) = figures.combination([("first", FULL[0])], "tau").axes[0].get_lines()
