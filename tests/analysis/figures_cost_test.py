"""A measure against cost: the front, and labels that stay off each other."""

import itertools
import math

import numpy as np
import pytest
from matplotlib.text import Text

from nngp_tf.analysis import figures
from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.figures_cost import CostPoint, pareto_front

pytestmark = pytest.mark.fast


def _points(*pairs):
    return [CostPoint(f"score {i}", c, Estimate(v)) for i, (c, v) in enumerate(pairs)]


def _dominates(a, b, sign):
    cost, value = b.cost - a.cost, sign * (a.estimate.value - b.estimate.value)
    return cost >= 0 and value >= 0 and (cost > 0 or value > 0)


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_pareto_front_is_what_nothing_dominates(higher_is_better):
    rng = np.random.default_rng(0)
    for _ in range(50):
        points = _points(*rng.integers(0, 5, (8, 2)).tolist())
        sign = 1 if higher_is_better else -1
        expected = {p.name for p in points if not any(_dominates(q, p, sign) for q in points)}
        front = pareto_front(points, higher_is_better)
        assert {p.name for p in front} == expected
        assert [p.cost for p in front] == sorted(p.cost for p in front)


def test_pareto_front_leaves_out_what_is_not_known():
    points = _points((1, math.nan), (math.nan, 1), (-1, 1), (math.inf, 1), (2, 0.5), (None, 1))
    assert [p.name for p in pareto_front(points)] == ["score 4"]


@pytest.mark.parametrize("num_points", [1, 5, 14, 30])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_every_label_is_there_and_covers_no_other_and_no_point(num_points, spread):
    rng = np.random.default_rng(num_points)
    points = [
        CostPoint(
            f"validation accuracy after {number} epochs",
            float(10 * np.exp(2 * spread * rng.normal())),
            Estimate(value, value - 0.1, value + 0.1),
        )
        for number, value in enumerate((0.5 + 0.1 * spread * rng.normal(size=num_points)).tolist())
    ]
    figure = figures.against_cost(points, "seconds an architecture", "Kendall's tau")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    boxes = {" ".join(t.get_text().split()): t.get_window_extent() for t in axes.texts}
    if set(boxes) != {point.name for point in points}:  # Numbers, then, with a key to the names.
        assert set(boxes) == {str(number) for number in range(1, num_points + 1)}
        (key,) = figure.legends
        keys = dict(" ".join(t.get_text().split()).split(" ", 1) for t in key.get_texts())
        assert keys.keys() == boxes.keys()
        assert set(keys.values()) == {point.name for point in points}
    for (first, a), (second, b) in itertools.combinations(boxes.items(), 2):
        assert not a.overlaps(b), (first, second)
    for name, box in boxes.items():
        assert axes.bbox.x0 <= box.x0, name
        assert box.x1 <= axes.bbox.x1, name
        for point in points:
            x, y = axes.transData.transform((point.cost, point.estimate.value))
            assert not box.contains(x, y), (name, point.name)


def test_what_costs_nothing_comes_first_and_what_is_undefined_is_named():
    points = _points((0, 0.3), (10, 0.4), (100, 0.5), (5, math.nan))
    figure = figures.against_cost(points, "seconds", "tau")
    written = " ".join(t.get_text() for t in figure.findobj(Text)).split()
    assert "free" in written
    assert "Undefined, not shown: score 3." in " ".join(written)
    free, *others = (offset[0] for offset in figure.axes[0].collections[-1].get_offsets())
    assert 0 < free < min(others)
