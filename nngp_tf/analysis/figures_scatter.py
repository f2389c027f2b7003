"""Scatter of the truth against a score.

Few architectures fail to train and would press all others into a corner of the figure. An axis ends
where values are further outside the middle 90% than that is wide; what lies beyond is drawn as a
triangle at the edge, and counted. Positive values that spread widely get a logarithmic axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nngp_tf.analysis import figures_style as fs
from nngp_tf.analysis.estimates import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEIGHT = 3.6
_LOGARITHMIC_FROM = 30.0  # Largest over smallest value.


@fs.style()
def scatter(
    truth: npt.ArrayLike,
    score: npt.ArrayLike,
    truth_name: str,
    score_name: str,
    estimate: Estimate | None = None,
    colour: npt.ArrayLike | None = None,
    colour_name: str | None = None,
    estimate_name: str = "Kendall's tau",
) -> Figure:
    """Draw the truth against a score, a point an architecture.

    Args:
      truth: [N]; architectures without a finite truth, score or colour are left out and counted.
      score: [N].
      truth_name: Label of the y axis, with its unit.
      score_name: Label of the x axis, with its unit.
      estimate: How well the score predicts the truth, to be written above.
      colour: [N], a third quantity.
      colour_name: Its label, with its unit.
      estimate_name: What `estimate` is.

    Raises:
      ValueError: If lengths differ, or matplotlib is not installed.
    """
    rows = [truth, score] if colour is None else [truth, score, colour]
    columns = [np.asarray(given, dtype=np.float64) for given in rows]
    for name, given in zip(("truth", "score", "colour"), columns, strict=False):
        if given.ndim != 1 or len(given) != len(columns[0]):
            raise ValueError(
                f"truth, score and colour must be vectors of equal length, got truth "
                f"{list(columns[0].shape)} and {name} {list(given.shape)}"
            )
    table = np.stack(columns)
    shown = table[:, np.isfinite(table).all(axis=0)]
    num_shown, num_left_out = shown.shape[1], table.shape[1] - shown.shape[1]
    figure, axes = fs.new_figure(_HEIGHT)
    num_beyond = _draw(figure, axes, shown, colour_name) if num_shown else 0
    if not num_shown:
        fs.say_empty(axes)
    fs.label_axes(axes, score_name, truth_name)
    agreement = "" if estimate is None else f"{estimate_name} {fs.words(estimate, '.2f')};"
    counted = f"{num_shown:,}\u00a0architecture{'s' * (num_shown != 1)}."
    fs.note(
        axes,
        agreement,
        counted,
        f"{num_left_out:,}\u00a0without a value, not shown." if num_left_out else "",
        f"{num_beyond:,}\u00a0beyond the axes (triangles)." if num_beyond else "",
    )
    fs.finish(figure, f"{truth_name} against {score_name}. {agreement} {counted}".strip())
    return figure


def _draw(figure, axes, shown, colour_name) -> int:
    """Draw points [2 or 3, N]; return the number of those beyond the axes."""
    truth, score = shown[:2]
    axes.set_xscale(_scale(score))
    axes.set_yscale(_scale(truth))
    placed, is_beyond = [], np.zeros(len(truth), dtype=bool)
    for values, scale, limit, axis in (
        (score, axes.get_xscale(), axes.set_xlim, axes.xaxis),
        (truth, axes.get_yscale(), axes.set_ylim, axes.yaxis),
    ):
        limits, inside, beyond = _placed(values, scale)
        limit(*limits)
        fs.set_ticks(axis, scale, values)
        is_beyond |= beyond
        placed.append(inside)
    # Less ink a point where there are many.
    size = float(np.clip(24 * (200 / len(truth)) ** 0.5, 3, 24))
    alpha = float(np.clip(0.85 * (400 / len(truth)) ** 0.4, 0.15, 0.85))
    look = {"c": fs.COLOURS[0]}
    if len(shown) == 3:
        look = {"c": shown[2], "cmap": "viridis", "norm": _norm(shown[2])}
        alpha = max(alpha, 0.5)
    for marker, mask, larger in (("o", ~is_beyond, 1.0), ("^", is_beyond, 1.3)):
        chosen = {k: v[mask] if isinstance(v, np.ndarray) else v for k, v in look.items()}
        points = axes.scatter(
            placed[0][mask],
            placed[1][mask],
            s=size * larger,
            alpha=alpha,
            linewidths=0,
            marker=marker,
            clip_on=False,
            **chosen,
        )
        if len(shown) == 3 and marker == "o":
            bar = figure.colorbar(points, ax=axes, pad=0.02, aspect=30)
            bar.solids.set_alpha(1)
            bar.set_label(fs.wrap(colour_name or "", 40))
            bar.outline.set_visible(False)
            fs.set_ticks(bar.ax.yaxis, _scale(shown[2]), shown[2])
    return int(is_beyond.sum())


def _scale(values):
    spread = values.min() > 0 and values.max() >= _LOGARITHMIC_FROM * values.min()
    return "log" if spread else "linear"


def _norm(values):
    from matplotlib.colors import LogNorm, Normalize

    kind = LogNorm if _scale(values) == "log" else Normalize
    return kind(values.min(), values.max())


def _placed(values, scale):
    """Return the limits of an axis, the values moved inside them, and which were moved."""
    there = np.log10(values) if scale == "log" else values
    low, high = np.quantile(there, [0.05, 0.95])
    inside = np.clip(there, low - (high - low), high + (high - low))
    margin = 0.05 * np.ptp(inside) or 0.05 * abs(inside[0]) or 0.05
    limits = np.array([inside.min() - margin, inside.max() + margin])
    if scale == "log":
        return 10**limits, 10**inside, inside != there
    return limits, inside, inside != there
