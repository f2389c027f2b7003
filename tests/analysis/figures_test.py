"""Figures: what every one of them has to withstand, and what single ones show."""

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from nngp_tf.analysis import figures, figures_style
from nngp_tf.analysis.estimates import Estimate

pytestmark = pytest.mark.fast

NAN = math.nan
LONG = "leave-one-out accuracy over all images, its ranks added to those of $the$ _parameters_ " * 3
FULL = [Estimate(0.3, 0.2, 0.4), Estimate(0.5, 0.45, 0.6), Estimate(0.4)]
KINDS = {
    "one undefined": ("score", [FULL[0], Estimate(NAN, NAN, NAN), FULL[1]]),
    "all undefined": ("score", [Estimate(NAN), Estimate(NAN, NAN, NAN), Estimate(math.inf)]),
    "single": ("score", FULL[:1]),
    "tied": ("score", [Estimate(0.5, 0.5, 0.5)] * 3),
    "empty": ("score", []),
}


def _values(estimates):
    return [estimate.value for estimate in estimates]


def _reduction(name, estimates):
    fractions = [0.1, 1.0, 0.5][: len(estimates)]
    survivors = {fraction: [e.value] * 3 for fraction, e in zip(fractions, estimates, strict=True)}
    return figures.reduction(fractions, {name: estimates, "other": estimates}, survivors, name)


# Every figure from a name and at most three estimates.
FIGURES = {
    "scatter": lambda name, e: figures.scatter(
        _values(e), np.arange(len(e)), name, name, e[0] if e else None
    ),
    "scatter in colour": lambda name, e: figures.scatter(
        _values(e), _values(e), name, name, colour=[1e4, 1e6, NAN][: len(e)], colour_name=name
    ),
    "pqetp_curves": lambda name, e: figures.pqetp_curves([0.85, 0.9, 0.93][: len(e)], {name: e}),
    "against_cost": lambda name, e: figures.against_cost(
        [figures.CostPoint(f"{name} {i}", 10.0 * i, value) for i, value in enumerate(e)], name, name
    ),
    "against_diag_reg": lambda name, e: figures.against_diag_reg(
        [1e-7, 1e-3, 1.0][: len(e)], {name: e, "other": e}, name
    ),
    "against_num_inits": lambda name, e: figures.against_num_inits(
        [1, 2, 4][: len(e)], {name: e}, name
    ),
    "reduction": _reduction,
    "combination": lambda name, e: figures.combination([(name, value) for value in e], name),
    "learning_curves": lambda name, e: figures.learning_curves(
        {f"{name} {i}": list(enumerate(_values(e), start=1)) for i in range(len(e))}, name
    ),
    "many learning_curves": lambda name, e: figures.learning_curves(
        {f"{name} {i}": list(enumerate(_values(e), start=1)) for i in range(12)}, name
    ),
}


def _texts(figure):
    """All that is written in a figure, on one line."""
    from matplotlib.text import Text

    written = (text.get_text() for text in figure.findobj(Text) if text.get_visible())
    return " ".join(" ".join(written).split())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_from_whatever_is_there(name, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Matplotlib warns of layouts that fail, and empty slices.
        figure = FIGURES[name](*KINDS[kind])
    assert isinstance(figure, Figure)
    assert figures_style.description(figure).endswith(".")
    is_undefined = not np.isfinite(_values(KINDS[kind][1])).any()
    if is_undefined and (name, kind) != ("combination", "all undefined"):  # Has its rows' names.
        assert "nothing to show" in _texts(figure)
    if kind == "one undefined":
        assert "ndefined" in _texts(figure) or "without a value" in _texts(figure)


@pytest.mark.parametrize("name", FIGURES)
def test_same_values_give_the_same_bytes_whatever_the_users_style(name):
    figure = FIGURES[name]("score", FULL)
    content = figures.png(figure, dpi=60)
    assert content.startswith(b"\x89PNG")
    assert figures.png(figure, dpi=60) == content  # Drawing it again changes nothing.
    with rc_context({"font.size": 30, "axes.facecolor": "red", "text.usetex": True}):
        assert figures.png(FIGURES[name]("score", FULL), dpi=60) == content
    for chunk in (b"tEXt", b"iTXt", b"tIME"):  # Where programs write their name and the time.
        assert chunk not in content


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off_or_wider_than_a_phone(name):
    figure = FIGURES[name](LONG, FULL)
    width, height = figure.get_size_inches()
    assert width == figures_style.WIDTH
    box = figure.get_tightbbox()  # Inches.
    assert box.x0 >= -0.01
    assert box.y0 >= -0.01
    assert box.x1 <= width + 0.01
    assert box.y1 <= height + 0.01


def test_no_figure_touches_pyplot():
    code = """
import sys
from nngp_tf.analysis import figures
from nngp_tf.analysis.estimates import Estimate
figures.png(figures.combination([("a", Estimate(0.5, 0.4, 0.6))], "tau"), dpi=40)
assert "matplotlib.pyplot" not in sys.modules
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_modules_are_imported_and_drawing_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # Python's own way to hide a module.
    for module in [name for name in sys.modules if name.startswith("nngp_tf.analysis")]:
        monkeypatch.delitem(sys.modules, module)
    from nngp_tf.analysis import figures as fresh
    from nngp_tf.analysis import report

    assert report.Report("title", [], []).to_html()
    sentence = r"figures need the package matplotlib.*pip install 'nngp_tf\[figures\]'"
    with pytest.raises(ValueError, match=sentence):
        fresh.require_matplotlib()
    with pytest.raises(ValueError, match=sentence):
        fresh.scatter([1.0], [1.0], "truth", "score")


def test_save_figure_makes_the_directory_and_leaves_nothing_aside(tmp_path):
    figure = FIGURES["combination"]("score", FULL)
    path = figures.save_figure(figure, tmp_path / "new" / "forest.png", dpi=40)
    assert (tmp_path / "new" / "forest.png").read_bytes() == figures.png(figure, dpi=40)
    assert path == str(tmp_path / "new" / "forest.png")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["forest.png"]


def test_save_figure_names_a_path_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    figure = FIGURES["combination"]("score", FULL)
    with pytest.raises(ValueError, match=r"forest\.png cannot be written \(.+\): name another"):
        figures.save_figure(figure, tmp_path / "file" / "forest.png")


def test_scatter_says_how_well_the_score_predicts_and_what_it_leaves_out():
    figure = figures.scatter(
        [0.9, 0.91, NAN, 0.93],
        [1, 2, 3, NAN],
        "test accuracy",
        "NNGP accuracy",
        Estimate(0.35, 0.25, 0.45),
    )
    texts = _texts(figure)
    assert "Kendall's tau 0.35 [0.25, 0.45]; 2 architectures." in texts
    assert "2 without a value, not shown." in texts
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("NNGP accuracy", "test accuracy")


def test_scatter_keeps_failures_from_pressing_the_others_into_a_corner():
    truth = np.concatenate([np.linspace(0.85, 0.94, 98), [0.1, 0.1]])
    figure = figures.scatter(truth, np.arange(100), "truth", "score")
    assert figure.axes[0].get_ylim()[0] > 0.7
    assert "2 beyond the axes (triangles)." in _texts(figure)


def test_scatter_takes_a_logarithmic_axis_for_what_spreads_widely():
    figure = figures.scatter([0.1, 0.9, 0.8], [2e5, 1e6, 5e7], "truth", "parameters")
    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_yscale() == "linear"
    assert "beyond" not in _texts(figure)


def test_curves_name_where_they_are_undefined():
    curves = {"a": [Estimate(0.5), Estimate(NAN)], "b": [Estimate(NAN), Estimate(NAN)]}
    assert "Undefined, not shown: all at 0.95, b." in _texts(
        figures.pqetp_curves([0.9, 0.95], curves)
    )


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
    texts = _texts(figures.combination([("both", FULL[1]), ("one", Estimate(NAN))], "tau"))
    assert "0.50 [0.45, 0.60]" in texts
    assert "undefined" in texts


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: figures.scatter([1, 2], [1], "t", "s"), r"equal length, got truth \[2\]"),
        (
            lambda: figures.pqetp_curves([0.9], {"a": FULL}),
            r"curve 'a' must have an estimate for each threshold \(1\), got 3",
        ),
        (
            lambda: figures.against_diag_reg([0.0], {"a": FULL[:1]}, "tau"),
            "diag_reg must be positive and finite, got 0",
        ),
        (
            lambda: figures.against_num_inits([[1, 2]], {}, "tau"),
            r"num_inits must be a vector, got shape \[1, 2\]",
        ),
        (
            lambda: figures.reduction([1.0], {}, {0.5: np.ones(2)}, "t"),
            r"survivors must be given for each of the fractions \[1.0\], got them for \[0.5\]",
        ),
        (
            lambda: figures.reduction([1.0], {"b": FULL}, {1.0: np.ones(2)}, "t"),
            "'b' finds must have an estimate for each of 1 fractions, got 3",
        ),
    ],
)
def test_values_that_do_not_match_are_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
