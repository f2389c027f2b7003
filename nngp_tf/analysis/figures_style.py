"""What all figures share: size, type, colours, texts, and the way they become bytes.

A figure is as wide as a phone's page, so that its type is as large there as that of the page. It is
made without pyplot and without the user's matplotlibrc: the same values give the same bytes.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.5  # Inches.
DPI = 200
# Okabe and Ito's colours, which the colour-blind tell apart, less the yellow that paper swallows.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
GREY = "#6b6b6b"
PALE = "#cfcfcf"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":", "-.")

_NOTE_CHARACTERS = 58
_LEGEND_CHARACTERS = 60
_LEGEND_INCHES = 0.185  # A line of the legend.
_STYLE = {
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "font.family": "DejaVu Sans",  # It comes with matplotlib.
    "font.size": 10,
    "grid.color": "#e6e6e6",
    "legend.fontsize": 9,
    "xtick.color": GREY,
    "xtick.labelcolor": "black",
    "xtick.labelsize": 9,
    "ytick.color": GREY,
    "ytick.labelcolor": "black",
    "ytick.labelsize": 9,
}


def require_matplotlib() -> None:
    """Check that figures can be drawn, before long work.

    Raises:
      ValueError: If matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ValueError(
            "figures need the package matplotlib of the extra [figures]: "
            f"pip install 'nngp_tf[figures]' ({error})"
        ) from error


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in this package's style, whatever the user's is; also a decorator.

    Raises:
      ValueError: If matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib.style

    with matplotlib.style.context(["default", _STYLE]):
        yield


def new_figure(height: float, rows: int = 1) -> tuple[Figure, Any]:
    """Return a figure of so many inches, and its axes: a list where there are several rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1)
    for one in np.atleast_1d(axes):
        one.set_axisbelow(True)
    return figure, axes


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """Return a figure as PNG: the same bytes whenever it is drawn."""
    content = io.BytesIO()
    with style():
        figure.savefig(
            content, format="png", dpi=dpi, facecolor="white", metadata={"Software": None}
        )
    return content.getvalue()


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = DPI) -> str:
    """Write a figure as PNG, whole or not at all; the path may be gs://. Return the path."""
    return write_whole(path, png(figure, dpi))


def settle(figure: Figure) -> None:
    """Lay the figure out, once and for all.

    Matplotlib would go on from where the last drawing left it, and draw another figure each time.
    """
    from matplotlib.layout_engine import PlaceHolderLayoutEngine

    if not isinstance(figure.get_layout_engine(), PlaceHolderLayoutEngine):
        figure.set_dpi(DPI)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def finish(figure: Figure, description: str) -> None:
    """Lay the figure out, and say in words what it shows, for those who cannot see it."""
    figure.set_label(description)
    settle(figure)


def description(figure: Figure) -> str:
    """Return what `finish` was told, or nothing."""
    return str(figure.get_label() or "")


def plain(text: str) -> str:
    """Return a text on one line that matplotlib shows as it stands."""
    text = re.sub(r"[ \t\r\n\f\v]+", " ", str(text).strip()).replace("$", r"\$")
    return f"\u200a{text}" if text.startswith("_") else text  # Legends leave out "_..."


def wrap(text: str, width: int, max_lines: int = 3, balanced: bool = False) -> str:
    """Return a text in lines of at most so many characters; what is beyond the last is cut off.

    Args:
      text: On one line.
      width: Characters a line.
      max_lines: Most lines.
      balanced: Whether lines are to be about equally long.
    """

    def lines(width):
        return textwrap.wrap(plain(text), width, max_lines=max_lines, placeholder=" …")

    broken = lines(width)
    while balanced and width > 1:
        narrower = lines(width - 1)
        if len(narrower) > len(broken) or "".join(narrower).endswith("…"):
            break
        width, broken = width - 1, narrower
    return "\n".join(broken)


def halo() -> list[Any]:
    """Return the path effect that keeps a text readable over lines."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.5, foreground="white")]


def amount(value: float, _: Any = None) -> str:
    """Return a large number short, as a formatter of matplotlib's: 9,000, 20k, 1.5M, 3G."""
    for start, unit, suffix in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if start <= abs(value) < 1e13:
            return f"{value / unit:.6g}{suffix}"
    return f"{value:,.6g}"


def label_axes(axes: Axes, x: str, y: str, y_characters: int = 34) -> None:
    """Name what the axes measure."""
    axes.set_xlabel(wrap(x, 48))
    axes.set_ylabel(wrap(y, y_characters))


def set_ticks(axis: Any, scale: str, numbers: np.ndarray) -> None:
    """Label an axis such that its numbers are short, and some on a logarithmic one too.

    Args:
      axis: Of matplotlib.
      scale: "log" or "linear".
      numbers: What the axis shows, of any shape; its ends count.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = np.min(numbers), np.max(numbers)
    if scale == "log":
        decades = np.log10(high / low)
        if decades > 7:
            return
        steps = (1.0, 2.0, 5.0) if decades < 1.7 else (1.0, 3.0) if decades < 2.7 else (1.0,)
        axis.set_major_locator(LogLocator(10, subs=steps))
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(amount)
    elif max(abs(low), abs(high)) >= 1e4:
        axis.set_major_formatter(amount)


def note(axes: Axes, *sentences: str) -> None:
    """Write sentences over the axes, in small type; empty ones are left out."""
    text = " ".join(s for s in sentences if s)
    axes.set_title(wrap(text, _NOTE_CHARACTERS, max_lines=6), loc="left", color=GREY)


def missing(names: Sequence[str]) -> str:
    """Return a sentence that names what has no value, or nothing."""
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"Undefined, not shown: {', '.join(names[:3])}{more}."


def say_empty(axes: Axes) -> None:
    """Write into the axes that there is nothing to show."""
    axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=GREY)


def legend(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Add a legend below the axes; the figure grows by its height."""
    if not handles:
        return
    columns = 2 if len(names) > 1 and max(map(len, names)) <= _LEGEND_CHARACTERS // 2 - 4 else 1
    labels = [wrap(name, _LEGEND_CHARACTERS // columns - 4) for name in names]
    rows = [labels[i : i + columns] for i in range(0, len(labels), columns)]
    lines = sum(max(label.count("\n") + 1 for label in row) for row in rows)
    figure.set_figheight(figure.get_figheight() + _LEGEND_INCHES * lines + 0.2)
    figure.legend(
        handles,
        labels,
        loc="outside lower left",
        ncols=columns,
        frameon=False,
        borderaxespad=0.4,
        borderpad=0.0,
        labelspacing=0.3,
    )


def words(estimate: Estimate, spec: str = ".3f") -> str:
    """Return an estimate as it is read: "0.35 [0.25, 0.45]", or "undefined"."""
    return format(estimate, spec) if np.isfinite(estimate.value) else "undefined"


def values(estimates: Iterable[Estimate]) -> np.ndarray:
    """Return value, low and high of estimates, [K, 3]; NaN where there is none."""
    rows = [[e.value, e.low, e.high] for e in estimates]
    found = np.array(rows, dtype=np.float64).reshape(-1, 3)  # None becomes NaN.
    found[~np.isfinite(found)] = np.nan
    return found


def error_bars(axes: Axes, x: Any, found: np.ndarray, colour: str, horizontal: bool = False):
    """Draw the intervals [low, high] of estimates as lines; those without one get none.

    Args:
      axes: Where to draw.
      x: [K], where they are on the other axis.
      found: [K, 3], from `values`.
      colour: Of the lines.
      horizontal: Whether the values run along the x axis.
    """
    x = np.asarray(x, dtype=np.float64)
    whole = np.isfinite(found).all(axis=1)
    draw = axes.hlines if horizontal else axes.vlines
    draw(x[whole], found[whole, 1], found[whole, 2], color=colour, linewidth=1.2, zorder=2)
