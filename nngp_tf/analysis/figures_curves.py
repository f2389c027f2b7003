"""Figures of curves: a measure with its interval against a setting, one curve a score."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nngp_tf.analysis import figures_style as fs
from nngp_tf.analysis.estimates import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 3.2
_MOST_IN_LEGEND = 8  # Learning curves beyond these are coloured by where they end.


@fs.style()
def pqetp_curves(
    thresholds: npt.ArrayLike,
    curves: Mapping[str, Sequence[Estimate]],
    truth_name: str = "truth",
) -> Figure:
    """Draw the prediction quality for exceedance of a threshold performance.

    Args:
      thresholds: [K], in units of truth.
      curves: For each score, K estimates.
      truth_name: What the thresholds are of, such as "test accuracy after 108 epochs".

    Raises:
      ValueError: If a curve has another length, or matplotlib is not installed.
    """
    thresholds = _checked(thresholds, "threshold", curves)
    figure, axes = fs.new_figure(_HEIGHT)
    axes.axhline(0.5, color=fs.GREY, linewidth=1, linestyle=(0, (4, 3)))
    fs.label_axes(axes, f"Threshold on {truth_name}", "Area under ROC curve (PQETP)")
    words = _Words("PQETP", f"the threshold on {truth_name}", "0.5 is chance.")
    _finish(figure, axes, thresholds, curves, words)
    return figure


@fs.style()
def against_diag_reg(
    diag_regs: npt.ArrayLike, curves: Mapping[str, Sequence[Estimate]], measure_name: str
) -> Figure:
    """Draw a measure against the regulariser, on a logarithmic axis.

    Args:
      diag_regs: [R], relative to the mean of the kernel's diagonal.
      curves: For each score, R estimates.
      measure_name: What is estimated.

    Raises:
      ValueError: If a curve has another length, a regulariser is not positive, or matplotlib is not
        installed.
    """
    diag_regs = _checked(diag_regs, "diag_reg", curves, positive=True)
    figure, axes = fs.new_figure(_HEIGHT)
    axes.set_xscale("log")
    fs.label_axes(axes, "diag_reg (relative to mean kernel diagonal)", measure_name)
    _finish(figure, axes, diag_regs, curves, _Words(measure_name, "the regulariser"))
    return figure


@fs.style()
def against_num_inits(
    num_inits: npt.ArrayLike, curves: Mapping[str, Sequence[Estimate]], measure_name: str
) -> Figure:
    """Draw a measure against the number of initialisations, on a logarithmic axis.

    Args:
      num_inits: [K], such as 1, 2, 4, 8.
      curves: For each score, K estimates.
      measure_name: What is estimated.

    Raises:
      ValueError: If a curve has another length, a number is not positive, or matplotlib is not
        installed.
    """
    num_inits = _checked(num_inits, "num_inits", curves, positive=True)
    figure, axes = fs.new_figure(_HEIGHT)
    _count_on(axes, num_inits)
    fs.label_axes(axes, "Number of initialisations", measure_name)
    _finish(figure, axes, num_inits, curves, _Words(measure_name, "the number of initialisations"))
    return figure


@fs.style()
def against_num_known(
    num_known: npt.ArrayLike, curves: Mapping[str, Sequence[Estimate]], measure_name: str
) -> Figure:
    """Draw a measure against the number of networks whose truth is known.

    Args:
      num_known: [K].
      curves: For each score, K estimates.
      measure_name: What is estimated.

    Raises:
      ValueError: If a curve has another length, a number is not positive, or matplotlib is not
        installed.
    """
    num_known = _checked(num_known, "num_known", curves, positive=True)
    figure, axes = fs.new_figure(_HEIGHT)
    _count_on(axes, num_known)
    fs.label_axes(axes, "Networks with a known truth", measure_name)
    words = _Words(measure_name, "the known networks", "Bands: 95% of the draws of who is known.")
    _finish(figure, axes, num_known, curves, words)
    return figure


@fs.style()
def learning_curves(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    measure_name: str = "Validation accuracy",
) -> Figure:
    """Draw accuracy against epochs, one curve an architecture.

    Args:
      curves: For each architecture, pairs of epoch and accuracy.
      measure_name: What the second number of a pair is.

    Raises:
      ValueError: If matplotlib is not installed.
    """
    pairs = {
        name: np.array(sorted(curve), dtype=np.float64).reshape(-1, 2)
        for name, curve in curves.items()
    }
    known = {name: curve[np.isfinite(curve).all(axis=1)] for name, curve in pairs.items()}
    shown = {name: curve for name, curve in known.items() if len(curve)}
    figure, axes = fs.new_figure(_HEIGHT)
    if not shown:
        fs.say_empty(axes)
    elif len(shown) <= _MOST_IN_LEGEND:
        handles = [
            axes.plot(*curve.T, **_look(index), markersize=4)[0]
            for index, curve in enumerate(shown.values())
        ]
        fs.legend(figure, handles, list(shown))
    else:
        _draw_by_last_value(figure, axes, list(shown.values()), measure_name)
    fs.label_axes(axes, "Epoch", measure_name)
    undefined = [name for name in pairs if len(known[name]) < max(1, len(pairs[name]))]
    fs.note(axes, fs.missing(undefined))
    last = [curve[-1, 1] for curve in shown.values()]
    ends = f", ending between {min(last):.3g} and {max(last):.3g}" if last else ""
    fs.finish(figure, f"{measure_name} by epoch: {len(shown)} curves{ends}.")
    return figure


@dataclasses.dataclass(frozen=True)
class _Words:
    """What a figure is of, its setting, and what is noted above it."""

    measure_name: str
    setting: str
    note: str = ""


def _count_on(axes, numbers):
    """Put numbers on a logarithmic axis, each with its tick."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
    axes.minorticks_off()


def _finish(figure, axes, x, curves, words):
    """Draw curves and say what there is."""
    undefined = _draw(figure, axes, x, curves)
    fs.note(axes, words.note, fs.missing(undefined))
    fs.finish(figure, _in_words(words.measure_name, words.setting, x, curves))


def _draw_by_last_value(figure, axes, curves, measure_name):
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    last = [curve[-1, 1] for curve in curves]
    colours = ScalarMappable(Normalize(min(last), max(last)), matplotlib.colormaps["viridis"])
    for curve in curves:
        marker = "o" if len(curve) == 1 else None
        axes.plot(*curve.T, color=colours.to_rgba(curve[-1, 1]), linewidth=1, marker=marker)
    figure.colorbar(colours, ax=axes, label=fs.wrap(f"{measure_name}, last", 40), pad=0.02)


def _draw(
    figure: Figure, axes: Axes, x: np.ndarray, curves: Mapping[str, Sequence[Estimate]]
) -> list[str]:
    """Draw curves and their legend; return the names of what is undefined."""
    table = {name: fs.values(estimates) for name, estimates in curves.items()}
    handles = []
    for index, found in enumerate(table.values()):
        look = _look(index)
        known = np.isfinite(found[:, 0])
        handles += axes.plot(x, found[:, 0], **look, markersize=3.5)
        axes.fill_between(x, found[:, 1], found[:, 2], color=look["color"], alpha=0.12, lw=0)
        for end in (1, 2):
            axes.plot(x, found[:, end], color=look["color"], alpha=0.35, linewidth=0.6)
        # A band needs two neighbours.
        padded = np.concatenate([[False], known, [False]])
        alone = known & ~padded[:-2] & ~padded[2:]
        fs.error_bars(axes, x[alone], found[alone], look["color"])
    if not any(np.isfinite(found).any() for found in table.values()):
        fs.say_empty(axes)
    fs.legend(figure, handles, list(curves))
    return _undefined(x, {name: np.isnan(found[:, 0]) for name, found in table.items()})


def _undefined(x, lacking):
    """Return words for what has no value: at some x, for a curve, or at some x of a curve."""
    if not lacking or not len(x):
        return []
    everywhere = np.all(list(lacking.values()), axis=0)
    if everywhere.all():
        return ["all"]
    words = [f"all at {_some(x[everywhere])}"] if everywhere.any() else []
    for name, lacks in lacking.items():
        if lacks.all():
            words.append(name)
        elif (lacks & ~everywhere).any():
            words.append(f"{name} at {_some(x[lacks & ~everywhere])}")
    return words


def _some(x):
    more = f" and {len(x) - 3} more" if len(x) > 3 else ""
    return ", ".join(f"{value:.3g}" for value in x[:3]) + more


def _look(index):
    return {
        "color": fs.COLOURS[index % len(fs.COLOURS)],
        "marker": fs.MARKERS[index % len(fs.MARKERS)],
        "linestyle": fs.LINES[index // len(fs.COLOURS) % len(fs.LINES)],
        "linewidth": 1.5,
    }


def _checked(x, name, curves, positive=False):
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 1:
        raise ValueError(f"{name} must be a vector, got shape {list(x.shape)}")
    bad = x[~np.isfinite(x) | (positive & (x <= 0))]
    if len(bad):
        kind = "positive and finite" if positive else "finite"
        raise ValueError(f"{name} must be {kind}, got {bad[0]:g}: leave it out")
    for curve, estimates in curves.items():
        if len(estimates) != len(x):
            raise ValueError(
                f"curve {curve!r} must have an estimate for each {name} ({len(x)}), "
                f"got {len(estimates)}"
            )
    return x


def _in_words(measure_name, setting, x, curves):
    parts = []
    for name, estimates in curves.items():
        known = [(e.value, v) for e, v in zip(estimates, x, strict=True) if math.isfinite(e.value)]
        best = max(known, default=None)
        parts.append(
            f"{name} " + (f"highest {best[0]:.3f} at {best[1]:g}" if best else "undefined")
        )
    return f"{measure_name} against {setting}: {'; '.join(parts) or 'nothing'}."
