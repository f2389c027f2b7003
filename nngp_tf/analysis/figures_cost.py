"""A measure against cost: what a better prediction has to be paid for.

front = points such that none is as cheap and as good, and cheaper or better
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nngp_tf.analysis import figures_labels
from nngp_tf.analysis import figures_style as fs
from nngp_tf.analysis.estimates import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEIGHTS = (3.4, 4.2, 5.0)  # Inches, tried until every name is near its point.
_FAR = 0.45  # Inches.
_MOST_NAMES = 16  # Beyond these, and where names do not fit, points have numbers and a key.
_LABEL_CHARACTERS = 22
_LABEL_POINTS = 8.5
_MARKER_POINTS = 6.0
_PALE_BLUE = "#8fb9d9"


@dataclasses.dataclass(frozen=True)
class CostPoint:
    """A score, what it costs, and how well it predicts.

    Attributes:
      name: Of the score.
      cost: What it costs, such as seconds an architecture; 0 where it comes for free, None where it
        is not known.
      estimate: Of the measure.
    """

    name: str
    cost: float | None
    estimate: Estimate


def pareto_front(points: Sequence[CostPoint], higher_is_better: bool = True) -> list[CostPoint]:
    """Return the points that no other one dominates, cheapest first.

    A point dominates another if it is neither dearer nor worse, and not equal in both. Points
    without a finite cost of at least 0 and a finite value are left out.
    """
    sign = 1 if higher_is_better else -1
    front = []
    for point in sorted(
        filter(_is_known, points), key=lambda p: (p.cost, -sign * p.estimate.value)
    ):
        best = front[-1] if front else None
        if (
            best is None
            or sign * point.estimate.value > sign * best.estimate.value
            or (point.cost, point.estimate.value) == (best.cost, best.estimate.value)
        ):
            front.append(point)
    return front


@fs.style()
def against_cost(
    points: Sequence[CostPoint],
    cost_name: str,
    measure_name: str,
    higher_is_better: bool = True,
) -> Figure:
    """Draw a measure against cost on a logarithmic axis, with the Pareto front.

    Args:
      points: Those without a finite value or a finite cost of at least 0 are named as missing.
      cost_name: Label of the x axis, with its unit.
      measure_name: Label of the y axis.
      higher_is_better: Whether a larger value of the measure is better.

    Raises:
      ValueError: If matplotlib is not installed.
    """
    known = [point for point in points if _is_known(point)]
    undefined = [point.name for point in points if not _is_known(point)]
    front = pareto_front(points, higher_is_better)
    order = sorted(known, key=lambda point: (point.cost, point.estimate.value))
    names = [fs.wrap(point.name, _LABEL_CHARACTERS, balanced=True) for point in order]
    numbers = [str(number) for number, _ in enumerate(order, start=1)]
    attempts = [(height, names) for height in _HEIGHTS] if len(order) <= _MOST_NAMES else []
    for height, labels in [*attempts, (_HEIGHTS[-1], numbers)]:
        figure, axes = fs.new_figure(height)
        fs.label_axes(axes, cost_name, measure_name)
        fs.note(
            axes,
            "Line: best for their cost (Pareto front)." if front else "",
            fs.missing(undefined),
        )
        if not order:
            fs.say_empty(axes)
            break
        drawing = _Drawing(figure, axes, order, front, labels)
        if labels is numbers:
            drawing.add_key()
        if drawing.add_labels() <= _FAR * fs.DPI:
            break
    best = "; ".join(f"{p.name} {p.estimate.value:.3f} at {p.cost:.3g}" for p in front)
    fs.finish(
        figure,
        f"{measure_name} against {cost_name} of {len(known)} scores. Best for their cost: "
        f"{best or 'none'}.",
    )
    return figure


def _is_known(point):
    known = point.cost is not None and 0 <= point.cost < math.inf
    return known and math.isfinite(point.estimate.value)


class _Drawing:
    """Points in axes, and the labels beside them."""

    def __init__(self, figure, axes, points, front, labels):
        self.figure, self.axes, self.points, self.labels = figure, axes, points, labels
        self.found = fs.values(point.estimate for point in points)
        costs = np.array([point.cost for point in points], dtype=np.float64)
        self.cost = _set_cost_axis(axes, costs)
        self.is_best = np.array([any(point is other for other in front) for point in points])
        self.step = _step(self.cost[self.is_best], self.found[self.is_best, 0])
        for mask, colour in ((self.is_best, _PALE_BLUE), (~self.is_best, fs.PALE)):
            fs.error_bars(axes, self.cost[mask], self.found[mask], colour)
        axes.plot(*self.step.T, color=fs.COLOURS[0], linewidth=1.1, zorder=3)
        axes.scatter(self.cost, self.found[:, 0], s=_MARKER_POINTS**2, zorder=4, **self._look())
        _set_limits(axes, self.cost, self.found)

    def _look(self):
        return {
            "c": np.where(self.is_best, fs.COLOURS[0], "white"),
            "edgecolors": np.where(self.is_best, fs.COLOURS[0], fs.GREY),
            "linewidths": 1.2,
        }

    def add_key(self) -> None:
        """Say below the axes which names the labels stand for."""
        from matplotlib.lines import Line2D

        look = self._look()
        handles = [
            Line2D([], [], linestyle="", marker="o", markerfacecolor=face, markeredgecolor=edge)
            for face, edge in zip(look["c"], look["edgecolors"], strict=True)
        ]
        keys = zip(self.labels, self.points, strict=True)
        fs.legend(self.figure, handles, [f"{label}  {point.name}" for label, point in keys])

    def add_labels(self) -> float:
        """Write labels beside their points; return the largest distance, in pixels."""
        look = {"fontsize": _LABEL_POINTS, "linespacing": 1.05, "in_layout": False}
        texts = [
            self.axes.text(0.5, 0.5, label, transform=self.axes.transAxes, **look)
            for label in self.labels
        ]
        fs.settle(self.figure)
        extents = [text.get_window_extent() for text in texts]
        for text in texts:
            text.remove()
        value, low, high = (
            self.axes.transData.transform(np.stack([self.cost, column], axis=1))
            for column in self.found.T
        )
        step = self.axes.transData.transform(self.step)
        bars = np.concatenate([low, high], axis=1)[np.isfinite(self.found).all(axis=1)]
        half = _MARKER_POINTS / 2 * fs.DPI / 72
        boxes = figures_labels.place(
            sizes=np.array([[extent.width, extent.height] for extent in extents]),
            anchors=value,
            points=np.concatenate([value - half, value + half], axis=1),
            lines=np.concatenate([bars, _spans(step)]),
            area=np.add(self.axes.bbox.extents, [4, 4, -4, -4]),
            gap=np.array([9.0, 3.0]),
        )
        distances = [
            self._add_label(label, box, anchor, is_best, look)
            for label, box, anchor, is_best in zip(
                self.labels, boxes, value, self.is_best, strict=True
            )
        ]
        return max(distances)

    def _add_label(self, label, box, anchor, is_best, look) -> float:
        if np.isnan(box[0]):
            return math.inf
        to_data = self.axes.transData.inverted().transform
        end = figures_labels.nearest(box[None], anchor)[0]
        distance = float(np.hypot(*(end - anchor)))
        if distance > _MARKER_POINTS * fs.DPI / 72:
            self.axes.plot(*to_data([anchor, end]).T, color="#a8a8a8", linewidth=0.7, zorder=1)
        look = {**look, "color": "black" if is_best else "#444444", "va": "bottom", "zorder": 5}
        self.axes.text(*to_data(box[:2]), label, path_effects=fs.halo(), **look)
        return distance


def _step(cost, value):
    """Return the corners [2 N - 1, 2] of the line through the front's points [N], as stairs."""
    corners = np.stack([np.repeat(cost, 2)[1:], np.repeat(value, 2)[:-1]], axis=1)
    return corners if len(cost) else np.zeros((0, 2))


def _spans(corners):
    """Return the boxes [N - 1, 4] between the corners [N, 2] of a line."""
    pairs = np.stack([corners[:-1], corners[1:]])
    return np.concatenate([pairs.min(axis=0), pairs.max(axis=0)], axis=1)


def _set_cost_axis(axes, cost):
    """Make the cost axis logarithmic; return where each cost is on it: what is free comes first."""
    positive = cost[cost > 0]
    if not len(positive):
        axes.set_xticks([0.0])
        return cost
    axes.set_xscale("log")
    if len(positive) == len(cost):
        return cost
    free = positive.min() / max(10.0, (positive.max() / positive.min()) ** 0.2)
    axes.axvline(free, color=fs.PALE, linewidth=0.8, linestyle=":")
    at_foot = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom"}
    axes.text(free, 0.01, "free", color=fs.GREY, fontsize=_LABEL_POINTS, **at_foot)
    return np.where(cost > 0, cost, free)


def _set_limits(axes, cost, found):
    margin = 0.12
    low, high = np.nanmin(found), np.nanmax(found)
    room = margin * (high - low) or 0.05
    axes.set_ylim(low - room, high + room)
    if axes.get_xscale() == "log":
        low, high = np.log10([cost.min(), cost.max()])
        room = margin * (high - low) or 0.5
        limits = 10 ** np.array([low - room, high + room])
        axes.set_xlim(*limits)
        fs.set_ticks(axes.xaxis, "log", limits)
