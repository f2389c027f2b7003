"""Figures of the two uses of a score: to cut a search space, and to improve another score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nngp_tf.analysis import figures_style as fs
from nngp_tf.analysis.estimates import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW_INCHES = 0.42
_FOREST_CHARACTERS = 38


@fs.style()
def reduction(
    fractions: Sequence[float],
    found: Mapping[str, Sequence[Estimate]],
    survivors: Mapping[float, np.ndarray],
    truth_name: str,
) -> Figure:
    """Draw what is left of a search space that was cut by a score, and the best found in it.

    Above, a box for each fraction: the median and the middle half of the survivors' truth, with
    whiskers over the middle 90%. Below, what a second score finds among them.

    Args:
      fractions: [K], kept of the space, in (0, 1].
      found: For each second score, K estimates of the truth it finds.
      survivors: For each fraction, the truth [N_k] of what is kept.
      truth_name: What the truth is, with its unit.

    Raises:
      ValueError: If a curve or the survivors do not match the fractions, or matplotlib is not
        installed.
    """
    fractions = [float(fraction) for fraction in fractions]
    kept = {float(fraction): truth for fraction, truth in survivors.items()}
    if sorted(kept) != sorted(fractions):
        raise ValueError(
            f"survivors must be given for each of the fractions {sorted(fractions)}, "
            f"got them for {sorted(kept)}"
        )
    for name, estimates in found.items():
        if len(estimates) != len(fractions):
            raise ValueError(
                f"what {name!r} finds must have an estimate for each of {len(fractions)} "
                f"fractions, got {len(estimates)}"
            )
    order = sorted(range(len(fractions)), key=lambda index: -fractions[index])
    groups = [_finite(kept[fractions[index]]) for index in order]
    figure, (above, below) = fs.new_figure(5.4, rows=2)
    _draw_boxes(above, groups)
    handles, undefined = [], []
    for number, (name, estimates) in enumerate(found.items()):
        values = fs.values([estimates[index] for index in order])
        # Beside each other, so that intervals stay apart.
        x = np.arange(len(order)) + 0.1 * (number - (len(found) - 1) / 2)
        colour = fs.COLOURS[number % len(fs.COLOURS)]
        marker = fs.MARKERS[number % len(fs.MARKERS)]
        fs.error_bars(below, x, values, colour)
        handles += below.plot(x, values[:, 0], color=colour, marker=marker, ms=4, lw=1.2)
        undefined += [name] if not np.isfinite(values[:, 0]).all() else []
    labels = [f"{100 * fractions[index]:.3g}%" for index in order]
    for axes, lower in ((above, [f"n = {len(g):,}" for g in groups]), (below, [""] * len(order))):
        axes.set_xticks(
            range(len(order)), [f"{a}\n{b}".strip() for a, b in zip(labels, lower, strict=True)]
        )
        axes.set_xlim(-0.6, max(len(order), 1) - 0.4)
        axes.grid(axis="x", visible=False)
    above.set_ylabel(fs.wrap(truth_name, 30))
    fs.label_axes(below, "Part of the space that is kept", f"Best found: {truth_name}", 30)
    fs.note(above, "Survivors: median, middle half, middle 90%.")
    fs.note(below, fs.missing(undefined))
    fs.legend(figure, handles, list(found))
    medians = [
        f"{label}: {np.median(g):.3f}" if len(g) else f"{label}: none"
        for label, g in zip(labels, groups, strict=True)
    ]
    fs.finish(
        figure, f"Median {truth_name} of what is kept, by fraction: {', '.join(medians) or 'none'}."
    )
    return figure


@fs.style()
def combination(rows: Sequence[tuple[str, Estimate]], measure_name: str) -> Figure:
    """Draw estimates below each other, with their intervals: a forest plot.

    Args:
      rows: Name and estimate, in the order in which they are to be read.
      measure_name: What is estimated.

    Raises:
      ValueError: If matplotlib is not installed.
    """
    names = [fs.wrap(name, _FOREST_CHARACTERS) for name, _ in rows]
    found = fs.values(estimate for _, estimate in rows)
    # A row is as high as its name has lines; it has its line of values at its foot.
    heights = [1.0 + 0.4 * name.count("\n") for name in names]
    feet = -np.cumsum(heights)
    figure, axes = fs.new_figure(0.9 + _ROW_INCHES * max(sum(heights), 2))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
    fs.error_bars(axes, feet + 0.25, found, fs.COLOURS[0], horizontal=True)
    axes.plot(found[:, 0], feet + 0.25, "o", color=fs.COLOURS[0], markersize=6)
    for name, foot, (_, estimate) in zip(names, feet, rows, strict=True):
        look = {"transform": axes.get_yaxis_transform(), "va": "bottom", "fontsize": 9}
        look["path_effects"] = fs.halo()
        axes.text(0, foot + 0.45, name, linespacing=1.0, **look)
        axes.text(1, foot + 0.45, fs.words(estimate, ".2f"), ha="right", **look)
    axes.set_ylim((feet.min() if len(feet) else -1.0) - 0.15, 0.1)
    if np.isfinite(found).any():
        low, high = np.nanmin(found), np.nanmax(found)
        room = 0.06 * (high - low) or 0.05
        axes.set_xlim(low - room, high + room)
        if low < 0 < high:
            axes.axvline(0, color=fs.GREY, linewidth=1, linestyle=(0, (4, 3)))
    else:
        fs.say_empty(axes)
    axes.set_xlabel(fs.wrap(measure_name, 48))
    fs.note(axes, fs.missing([n for n, e in rows if not math.isfinite(e.value)]))
    texts = [f"{name} {fs.words(estimate)}" for name, estimate in rows]
    fs.finish(figure, f"{measure_name}: {'; '.join(texts) or 'nothing'}.")
    return figure


def _finite(truth):
    truth = np.asarray(truth, dtype=np.float64).ravel()
    return truth[np.isfinite(truth)]


def _draw_boxes(axes, groups):
    there = [(x, g) for x, g in enumerate(groups) if len(g)]
    if not there:
        fs.say_empty(axes)
        return
    line = {"color": fs.COLOURS[0], "linewidth": 1.2}
    axes.boxplot(
        [g for _, g in there],
        positions=[x for x, _ in there],
        widths=0.45,
        whis=(5, 95),
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": "#cfe3f1", "edgecolor": fs.COLOURS[0], "linewidth": 1.2},
        medianprops={"color": "black", "linewidth": 1.8},
        whiskerprops=line,
        capprops=line,
    )
