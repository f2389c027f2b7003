"""What all figures share: numbers and names as they are written, and how they become files."""

import math

import numpy as np
import pytest

from nngp_tf.analysis import figures, figures_style
from nngp_tf.analysis.estimates import Estimate

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (9000, "9,000"),
        (9999.5, "9,999.5"),
        (10_000, "10k"),
        (-20_000, "-20k"),
        (1_500_000, "1.5M"),
        (3e9, "3G"),
        (2.5e12, "2500G"),
        (1e13, "1e+13"),
    ],
)
def test_amounts_are_short(value, text):
    assert figures_style.amount(value) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  a\n b\t c ", "a b c"),
        ("$5", r"\$5"),
        ("_private", "\u200a_private"),
        ("10\u00a0architectures", "10\u00a0architectures"),
    ],
)
def test_texts_are_shown_as_they_stand(text, shown):
    assert figures_style.plain(text) == shown


def test_wrapped_lines_are_as_short_as_asked_for():
    text = "leave-one-out accuracy of the standardised kernel"
    assert figures_style.wrap(text, 60) == text
    assert figures_style.wrap(text, 25) == "leave-one-out accuracy of\nthe standardised kernel"
    assert figures_style.wrap(text, 25, max_lines=1) == "leave-one-out accuracy …"


def test_balanced_lines_are_about_equally_long():
    assert figures_style.wrap("one two three four", 13) == "one two three\nfour"
    assert figures_style.wrap("one two three four", 13, balanced=True) == "one two\nthree four"
    # Nothing more is cut off for it.
    cut = figures_style.wrap("one two three four five", 13, max_lines=1, balanced=True)
    assert cut == figures_style.wrap("one two three four five", 13, max_lines=1)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], ""),
        (["a"], "Undefined, not shown: a."),
        (list("abc"), "Undefined, not shown: a, b, c."),
        (list("abcde"), "Undefined, not shown: a, b, c and 2 more."),
    ],
)
def test_what_is_missing_is_named(names, sentence):
    assert figures_style.missing(names) == sentence


def test_words_of_estimates():
    assert figures_style.words(Estimate(0.35, 0.25, 0.45), ".2f") == "0.35 [0.25, 0.45]"
    assert figures_style.words(Estimate(math.inf)) == "undefined"
    assert figures_style.words(Estimate(math.nan, 0.1, 0.2)) == "undefined"


def test_values_of_estimates_are_nan_where_there_is_none():
    given = [Estimate(0.5, 0.25, 0.75), Estimate(0.5), Estimate(-math.inf, math.nan, 1.0)]
    expected = [[0.5, 0.25, 0.75], [0.5, np.nan, np.nan], [np.nan, np.nan, 1.0]]
    np.testing.assert_array_equal(figures_style.values(given), expected)
    assert figures_style.values([]).shape == (0, 3)


def test_error_bars_are_of_whole_intervals():
    figure, axes = figures_style.new_figure(2.0)
    found = np.array([[0.5, 0.25, 0.75], [0.5, np.nan, np.nan]])
    figures_style.error_bars(axes, [1, 2], found, "black")
    figures_style.error_bars(axes, [1, 2], found, "black", horizontal=True)
    upright, level = (lines.get_segments() for lines in axes.collections)
    np.testing.assert_array_equal(upright, [[[1, 0.25], [1, 0.75]]])
    np.testing.assert_array_equal(level, [[[0.25, 1], [0.75, 1]]])
    assert figure.get_figwidth() == figures_style.WIDTH


@pytest.mark.parametrize(
    ("numbers", "ticks"),
    [
        ([1, 20], [1, 2, 5, 10, 20]),
        ([1, 200], [1, 3, 10, 30, 100]),
        ([1, 1e6], [1, 10, 100, 1e3, 1e4, 1e5, 1e6]),
    ],
)
def test_logarithmic_axes_have_more_ticks_the_shorter_they_are(numbers, ticks):
    _, axes = figures_style.new_figure(2.0)
    axes.set_xscale("log")
    axes.set_xlim(*numbers)
    figures_style.set_ticks(axes.xaxis, "log", np.array(numbers))
    low, high = numbers
    shown = [tick for tick in axes.xaxis.get_ticklocs() if low <= tick <= high]
    np.testing.assert_allclose(shown, ticks)


def test_a_legend_takes_its_room_below_the_axes():
    figure, axes = figures_style.new_figure(2.0)
    handles = axes.plot([0, 1], [[0, 1], [1, 2]])
    figures_style.legend(figure, [], [])
    assert (figure.legends, figure.get_figheight()) == ([], 2.0)
    figures_style.legend(figure, handles, ["a", "b"])
    of_one_line = figure.get_figheight()
    assert of_one_line > 2.0
    # Two long names stand one below the other.
    figures_style.legend(figure, handles, ["a long name " * 4, "another long name " * 3])
    assert figure.get_figheight() - of_one_line > of_one_line - 2.0


def test_save_figure_makes_the_directory_and_leaves_nothing_aside(tmp_path):
    figure = figures.combination([("score", Estimate(0.5, 0.4, 0.6))], "tau")
    path = figures_style.save_figure(figure, tmp_path / "new" / "forest.png", dpi=40)
    assert (tmp_path / "new" / "forest.png").read_bytes() == figures_style.png(figure, dpi=40)
    assert path == str(tmp_path / "new" / "forest.png")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["forest.png"]


def test_save_figure_names_a_path_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    figure = figures.combination([("score", Estimate(0.5, 0.4, 0.6))], "tau")
    with pytest.raises(ValueError, match=r"forest\.png cannot be written \(.+\): name another"):
        figures_style.save_figure(figure, tmp_path / "file" / "forest.png")
