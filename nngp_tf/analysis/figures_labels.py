"""Places for the labels of points, so that none covers another or a point.

    repeat: for each label: of all places on a grid where it covers neither a point nor another
                            label, the cheapest: near its point, and off intervals and lines

The first round begins with the most crowded points; later ones let labels move into better places.
"""

from __future__ import annotations

import numpy as np

_STEP = 7.0  # Of the grid, in pixels; at 200 pixels an inch, as all distances here.
_MOST_PLACES = 2500  # The nearest, for each label.
_MOST_TRIED = 300  # Of these, where it matters what the line to the point crosses.
_TRIED_AT_ONCE = 20
_ROUNDS = 4
_CROWDED = 80.0  # Distance within which points crowd each other.
_CROSSING = 400.0  # What a line that crosses a label costs, in pixels of distance.
_COVERING = 30.0  # What it costs to cover a line.
_LINE_SAMPLES = 24


def place(
    sizes: np.ndarray,
    anchors: np.ndarray,
    points: np.ndarray,
    lines: np.ndarray,
    area: np.ndarray,
    gap: np.ndarray,
) -> np.ndarray:
    """Choose places.

    Args:
      sizes: [L, 2], width and height of the labels, in pixels.
      anchors: [L, 2], their points.
      points: [P, 4], boxes that may not be covered: left, bottom, right, top.
      lines: [Q, 4], boxes that had better not be covered.
      area: [4], the box that labels may not leave.
      gap: [2], space to be left beside and above a label.

    Returns:
      [L, 4]: The boxes of the labels; NaN for those that fit nowhere.
    """
    boxes = np.full((len(sizes), 4), np.nan)
    distances = np.abs(anchors[:, None] - anchors[None]).sum(axis=2)
    order = np.argsort(-np.exp(-distances / _CROWDED).sum(axis=1), kind="stable")
    places = [
        _places(size, anchor, points, lines, area, gap)
        for size, anchor in zip(sizes, anchors, strict=True)
    ]
    for _ in range(_ROUNDS):
        before = boxes.copy()
        for label in order:
            boxes[label] = np.nan
            others = np.flatnonzero(np.isfinite(boxes[:, 0]))
            candidates, cost = places[label]
            free = ~_overlap(candidates, boxes[others], gap).any(axis=1)
            boxes[label] = _cheapest(
                candidates[free], cost[free], anchors[label], anchors[others], boxes[others]
            )
        if np.array_equal(before, boxes, equal_nan=True):
            break
    return boxes


def _places(size, anchor, points, lines, area, gap):
    """Return boxes [B, 4] of a label that cover no point, and their costs [B], cheapest first."""
    boxes = _grid(size, area)
    cost = _distance_cost(boxes, anchor)
    near = np.argsort(cost, kind="stable")[:_MOST_PLACES]
    near = near[~_overlap(boxes[near], points, gap).any(axis=1)]
    boxes = boxes[near]
    cost = cost[near] + _COVERING * _overlap(boxes, lines, gap).sum(axis=1)
    order = np.argsort(cost, kind="stable")
    return boxes[order], cost[order]


def _cheapest(candidates, cost, anchor, other_anchors, other_boxes):
    """Return the box of least cost, crossings included, of boxes by increasing cost."""
    best, least = np.full(4, np.nan), np.inf
    for start in range(0, min(len(candidates), _MOST_TRIED), _TRIED_AT_ONCE):
        some = slice(start, start + _TRIED_AT_ONCE)
        if cost[start] >= least:
            break
        total = cost[some] + _CROSSING * _crossings(
            anchor, candidates[some], other_anchors, other_boxes
        )
        if total.min() < least:
            best, least = candidates[some][np.argmin(total)], total.min()
    return best


def nearest(boxes: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Return the point of each box [B, 4] that is nearest to a point [2]: [B, 2]."""
    return np.clip(point, boxes[:, :2], boxes[:, 2:])


def _grid(size, area):
    lefts = np.arange(area[0], area[2] - size[0], _STEP)
    bottoms = np.arange(area[1], area[3] - size[1], _STEP)
    left, bottom = (axis.ravel() for axis in np.meshgrid(lefts, bottoms))
    return np.stack([left, bottom, left + size[0], bottom + size[1]], axis=1)


def _distance_cost(boxes, anchor):
    offsets = nearest(boxes, anchor) - anchor
    # Beside the point reads better than above it, above better than below, right than left.
    cost = np.hypot(*offsets.T) + 0.3 * np.abs(offsets[:, 1])
    return cost + 2.0 * (offsets[:, 1] < 0) + 1.0 * (offsets[:, 0] < 0)


def _overlap(boxes, others, gap):
    """Return which boxes [B, 4] come closer than the gap to which others [O, 4]: [B, O]."""
    a, b = boxes[:, None], others[None]
    apart = (a[..., :2] >= b[..., 2:] + gap) | (a[..., 2:] <= b[..., :2] - gap)
    return ~apart.any(axis=2)


def _crossings(anchor, candidates, other_anchors, other_boxes):
    """Count the labels that the line to each candidate [B, 4] crosses, and the lines it covers."""
    count = np.zeros(len(candidates))
    paths = _samples(anchor, nearest(candidates, anchor))
    for other_anchor, box in zip(other_anchors, other_boxes, strict=True):
        crosses = ((paths > box[:2]) & (paths < box[2:])).all(axis=2).any(axis=1)
        path = _samples(other_anchor, nearest(box[None], other_anchor))
        inside = (path > candidates[:, None, :2]) & (path < candidates[:, None, 2:])
        count += crosses.astype(float) + inside.all(axis=2).any(axis=1)
    return count


def _samples(start, ends):
    """Return points along the lines from a point [2] to others [B, 2]: [B, samples, 2]."""
    along = np.linspace(0, 1, _LINE_SAMPLES)[None, :, None]
    return start + along * (ends - start)[:, None]
