"""Scatter: what it says of its points, and axes that a few of them do not spoil."""

import math

import numpy as np
import pytest

from nngp_tf.analysis import figures
from nngp_tf.analysis.estimates import Estimate
from tests.analysis import drawn

pytestmark = pytest.mark.fast


def test_scatter_says_how_well_the_score_predicts_and_what_it_leaves_out():
    figure = figures.scatter(
        [0.9, 0.91, math.nan, 0.93],
        [1, 2, 3, math.nan],
        "test accuracy",
        "NNGP accuracy",
        Estimate(0.35, 0.25, 0.45),
    )
    texts = drawn.texts(figure)
    assert "Kendall's tau 0.35 [0.25, 0.45]; 2 architectures." in texts
    assert "2 without a value, not shown." in texts
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("NNGP accuracy", "test accuracy")


def test_scatter_keeps_failures_from_pressing_the_others_into_a_corner():
    truth = np.concatenate([np.linspace(0.85, 0.94, 98), [0.1, 0.1]])
    figure = figures.scatter(truth, np.arange(100), "truth", "score")
    assert figure.axes[0].get_ylim()[0] > 0.7
    assert "2 beyond the axes (triangles)." in drawn.texts(figure)


def test_scatter_takes_a_logarithmic_axis_for_what_spreads_widely():
    figure = figures.scatter([0.1, 0.9, 0.8], [2e5, 1e6, 5e7], "truth", "parameters")
    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_yscale() == "linear"
    assert "beyond" not in drawn.texts(figure)


@pytest.mark.parametrize(
    ("colour", "scale", "bar"), [([1e4, 1e5, 1e6], "log", "parameters"), ([1, 2, 3], "linear", "")]
)
def test_a_third_quantity_is_a_colour_with_a_bar(colour, scale, bar):
    figure = figures.scatter([1, 2, 3], [3, 1, 2], "truth", "score", None, colour, bar)
    _, axes = figure.axes
    assert axes.get_ylabel() == bar
    assert axes.get_yscale() == scale
    np.testing.assert_allclose(axes.get_ylim(), [min(colour), max(colour)])
