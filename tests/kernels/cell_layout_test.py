"""Tests of cells as tensors of fixed shape."""

import numpy as np
import pytest

from nngp_tf.kernels import cell_layout
from nngp_tf.models import Nasbench101Network
from nngp_tf.models.nasbench101 import vertex_channels
from nngp_tf.search_spaces import nasbench101
from tests.golden import INCEPTION, RESNET

pytestmark = pytest.mark.fast


def cells():
    rng = np.random.default_rng(1)
    return [INCEPTION, RESNET, *(nasbench101.sample(rng) for _ in range(200))]


def test_no_cell_has_more_feeders_than_programs_exist_for():
    # Five would need ten edges: each feeder has one that leaves and one that enters.
    counts = {cell_layout.num_feeders(Nasbench101Network(cell)) for cell in cells()}
    assert counts == set(range(cell_layout.MAX_FEEDERS + 1))


def test_encoding_holds_the_cell():
    for cell in cells():
        encoded = cell_layout.encode(Nasbench101Network(cell))
        interior = len(cell.ops) - 2
        ops = [nasbench101.OPS[op] for op in encoded["op"][:interior]]
        assert ops == list(cell.ops[1:-1])
        assert (encoded["op"][interior:] == cell_layout.ABSENT).all()
        edges = encoded["edge"][: interior + 1, :interior]
        np.testing.assert_array_equal(edges, cell.matrix[:-1, 1:-1])
        np.testing.assert_array_equal(encoded["feeder"], np.flatnonzero(cell.matrix[1:-1, -1]) + 1)
        assert encoded["residual"] == cell.matrix[0, -1]
        for slot in range(interior):
            assert cell.matrix[encoded["first"][slot], slot + 1]


def test_widths_and_places_of_channels():
    for cell in cells():
        network = Nasbench101Network(cell, stem_filters=10)
        encoded = cell_layout.encode(network)
        for number, stack in enumerate(cell_layout.stacks(network)):
            channels = vertex_channels(stack.filters, stack.filters, cell.matrix)
            interior = len(cell.ops) - 2
            np.testing.assert_array_equal(encoded["width"][number, :interior], channels[1:-1])
            assert max(channels[1:-1], default=0) <= stack.width
            assert stack.filters <= stack.output
            index = encoded["index"][number]
            # Every real channel has one place, in order.
            np.testing.assert_array_equal(index[index >= 0], np.arange(stack.filters))
        np.testing.assert_array_equal(index[encoded["position"]], np.arange(network.num_features))
