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
from tests.analysis import drawn

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
    "against_num_known": lambda name, e: figures.against_num_known(
        [12, 25, 50][: len(e)], {name: e}, name
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
        assert "nothing to show" in drawn.texts(figure)
    if kind == "one undefined":
        assert "ndefined" in drawn.texts(figure) or "without a value" in drawn.texts(figure)


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
