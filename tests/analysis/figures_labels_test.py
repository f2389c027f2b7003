"""Places of labels: near their points, apart, inside, and none where there is no room."""

import itertools

import numpy as np
import pytest

from nngp_tf.analysis import figures_labels

pytestmark = pytest.mark.fast

AREA = np.array([0.0, 0.0, 400.0, 300.0])
GAP = np.array([4.0, 2.0])
NONE = np.zeros((0, 4))


def place(anchors, size=(60.0, 20.0), points=NONE, lines=NONE, area=AREA):
    anchors = np.array(anchors, float)
    sizes = np.tile(size, (len(anchors), 1))
    return figures_labels.place(sizes, anchors, np.array(points), np.array(lines), area, GAP)


def around(anchor, radius=5.0):
    """The box of a point."""
    x, y = anchor
    return [x - radius, y - radius, x + radius, y + radius]


def are_apart(a, b):
    return bool(((a[:2] >= b[2:] + GAP) | (a[2:] <= b[:2] - GAP)).any())


def test_nearest_points_of_boxes():
    boxes = np.array([[0.0, 0.0, 2.0, 1.0], [5.0, 5.0, 6.0, 6.0]])
    found = figures_labels.nearest(boxes, np.array([1.0, 4.0]))
    np.testing.assert_array_equal(found, [[1, 1], [5, 5]])


def test_a_label_alone_stands_beside_its_point():
    anchor = (200.0, 150.0)
    (box,) = place([anchor], points=[around(anchor)])
    np.testing.assert_allclose(box[2:] - box[:2], [60, 20])
    assert are_apart(box, np.array(around(anchor)))
    (nearest,) = figures_labels.nearest(box[None], np.array(anchor))
    # No further than the point, the gap and a step of the grid.
    assert np.abs(nearest - anchor).max() <= 5 + 4 + 7


def test_labels_of_a_crowd_are_apart_from_each_other_and_from_the_points():
    anchors = [(200.0 + 3 * i, 150.0 + (-1) ** i) for i in range(12)]
    points = [around(anchor) for anchor in anchors]
    boxes = place(anchors, points=points)
    assert np.isfinite(boxes).all()
    assert (boxes[:, :2] >= AREA[:2]).all()
    assert (boxes[:, 2:] <= AREA[2:]).all()
    for a, b in itertools.combinations(boxes, 2):
        assert are_apart(a, b)
    for box, point in itertools.product(boxes, np.array(points)):
        assert are_apart(box, point)


def test_a_line_is_left_free_where_there_is_room_beside_it():
    anchor = (200.0, 150.0)
    # Its interval runs through where the label would stand.
    line = [201.0, 100.0, 300.0, 200.0]
    (plain,) = place([anchor], points=[around(anchor)])
    (box,) = place([anchor], points=[around(anchor)], lines=[line])
    assert not are_apart(plain, np.array(line))
    assert are_apart(box, np.array(line))


def test_what_fits_nowhere_has_no_place():
    small = np.array([0.0, 0.0, 70.0, 30.0])
    first, second = place([(10.0, 10.0), (60.0, 20.0)], area=small)
    # There is room for one of the two.
    assert np.isfinite(first).all() != np.isfinite(second).all()
    assert np.isnan(place([(10.0, 10.0)], size=(80.0, 10.0), area=small)).all()
