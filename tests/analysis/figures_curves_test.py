"""Curves: gaps, points alone, ticks, and legends that give way where there are many."""

import math

import numpy as np
import pytest

from nngp_tf.analysis import figures, figures_style
from nngp_tf.analysis.estimates import Estimate
from tests.analysis import drawn

pytestmark = pytest.mark.fast

NAN = math.nan


def test_curves_name_where_they_are_undefined():
    curves = {"a": [Estimate(0.5), Estimate(NAN)], "b": [Estimate(NAN), Estimate(NAN)]}
    assert "Undefined, not shown: all at 0.95, b." in drawn.texts(
        figures.pqetp_curves([0.9, 0.95], curves)
    )


def test_many_places_without_a_value_are_counted():
    curves = {"a": [Estimate(NAN)] * 5 + [Estimate(0.5)], "b": [Estimate(0.5)] * 6}
    written = drawn.texts(figures.against_num_inits([1, 2, 4, 8, 16, 32], curves, "tau"))
    assert "Undefined, not shown: a at 1, 2, 4 and 2 more." in written


def test_an_estimate_between_gaps_keeps_its_interval():
    estimates = [Estimate(NAN), Estimate(0.5, 0.4, 0.6), Estimate(NAN)]
    figure = figures.against_diag_reg([0.1, 1.0, 10.0], {"a": estimates}, "tau")
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    # Of the band and the line of the point alone, the line.
    (line,) = axes.collections[-1].get_segments()
    np.testing.assert_array_equal(line, [[1.0, 0.4], [1.0, 0.6]])


def test_the_numbers_of_initialisations_are_the_ticks():
    figure = figures.against_num_inits([1, 3, 8], {"a": [Estimate(0.5)] * 3}, "tau")
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.get_xticks(), [1, 3, 8])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "3", "8"]


def test_words_name_the_highest_of_each_curve():
    curves = {"a": [Estimate(0.25), Estimate(0.5)], "b": [Estimate(NAN)] * 2}
    figure = figures.against_diag_reg([0.1, 10.0], curves, "tau")
    assert figures_style.description(figure) == (
        "tau against the regulariser: a highest 0.500 at 10; b undefined."
    )


@pytest.mark.parametrize(("number", "has_legend"), [(8, True), (9, False)])
def test_many_learning_curves_have_a_colour_bar_for_a_legend(number, has_legend):
    curves = {f"cell {i}": [(2, 0.5 + 0.01 * i), (1, 0.1)] for i in range(number)}
    figure = figures.learning_curves(curves | {"lost": [(1, NAN)]})
    assert len(figure.legends) == has_legend
    # The second axes are those of the bar.
    assert len(figure.axes) == 2 - has_legend
    lines = figure.axes[0].get_lines()
    assert len(lines) == number
    # Epochs in order, whatever that of the pairs.
    np.testing.assert_array_equal(lines[0].get_xdata(), [1, 2])
    assert "Undefined, not shown: lost." in drawn.texts(figure)
    assert figures_style.description(figure) == (
        f"Validation accuracy by epoch: {number} curves, ending between 0.5 and "
        f"{0.49 + 0.01 * number:.3g}."
    )
