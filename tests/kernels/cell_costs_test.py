"""Costs of cells against their Keras models, and the census of the space against its cells."""

import collections

import keras
import numpy as np
import pytest

from nngp_tf.kernels import cell_costs
from nngp_tf.kernels.cell_program import CellFamily
from nngp_tf.models import Nasbench101Network
from nngp_tf.search_spaces import nasbench101
from tests.golden import INCEPTION, RESNET


def family_of(network):
    return CellFamily.of(network, "one_update", "bfloat16")


def keras_flops(model):
    """Two for each multiply-add; taps on the padding of the image are left out."""
    total = 0
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Conv2D):
            continue
        _, height, width, rows = layer.input.shape
        inside = np.zeros((height + 2, width + 2))
        inside[1:-1, 1:-1] = 1
        side = layer.kernel_size[0]
        offsets = range(3) if side == 3 else [1]
        taps = sum(inside[i : i + height, j : j + width].sum() for i in offsets for j in offsets)
        total += 2 * int(taps) * rows * layer.filters
    return total


@pytest.mark.fast
def test_convolutions_of_a_cell():
    assert cell_costs.convolutions(INCEPTION) == (4, 4, 3, 1, 0)
    assert cell_costs.convolutions(RESNET) == (1, 1, 2, 0, 1)
    lone = nasbench101.Cell.from_text("01/00:input,output")
    assert cell_costs.convolutions(lone) == (0, 0, 0, 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("input_shape", [(32, 32, 3), (9, 6, 1)])
def test_costs_are_those_of_the_keras_models(input_shape):
    """Where no channel is padding, as with a stem that 2, 3 and 4 divide."""
    rng = np.random.default_rng(0)
    cells = [INCEPTION, RESNET, nasbench101.Cell.from_text("01/00:input,output")]
    cells += [nasbench101.sample(rng) for _ in range(8)]
    assert {cell_costs.convolutions(cell).feeders for cell in cells} >= {0, 1, 2, 3}
    for cell in cells:
        network = Nasbench101Network(cell, input_shape, stem_filters=12)
        got = cell_costs.image_flops(
            family_of(network), cell_costs.convolutions(cell), *input_shape[:2]
        )
        assert got == keras_flops(network.build())


@pytest.mark.fast
def test_channels_of_padding_cost_as_much_as_others():
    network = Nasbench101Network(INCEPTION, (8, 8, 3), stem_filters=10)
    wider = Nasbench101Network(INCEPTION, (8, 8, 3), stem_filters=12)
    kinds = cell_costs.convolutions(INCEPTION)
    costs = [cell_costs.image_flops(family_of(n), kinds, 8, 8) for n in (network, wider)]
    # Slots of 3, 5 and 10 channels in place of 3, 6 and 12.
    assert 0.6 < costs[0] / costs[1] < 0.95


@pytest.mark.fast
def test_no_cell_costs_more_than_the_costliest_branches():
    rng = np.random.default_rng(1)
    for _ in range(50):
        cell = nasbench101.sample(rng)
        kinds = cell_costs.convolutions(cell)
        family = family_of(Nasbench101Network(cell, stem_filters=16))
        bound = cell_costs.costliest(kinds.feeders)
        assert cell_costs.image_flops(family, kinds, 32, 32) <= cell_costs.image_flops(
            family, bound, 32, 32
        )


@pytest.mark.fast
def test_census_of_small_cells(monkeypatch):
    cells = nasbench101.enumerate_cells(0, 1 + 6 + 84 + 2441)
    expected = collections.Counter(map(cell_costs.convolutions, cells))
    monkeypatch.setattr(nasbench101, "MAX_VERTICES", 5)
    assert cell_costs.census() == expected


@pytest.mark.slow
def test_census_of_the_space():
    census = cell_costs.census()
    assert census.total() == nasbench101.NUM_CELLS
    assert len(census) < 1000
    feeders = collections.Counter()
    for kinds, number in census.items():
        feeders[kinds.feeders] += number
    assert feeders[0] == 1
    assert set(feeders) == {0, 1, 2, 3, 4}
    # As the position of a cell in the published order shows no pattern, every 997th will do.
    sample = collections.Counter(
        cell_costs.convolutions(next(nasbench101.enumerate_cells(at, at + 1))).feeders
        for at in range(0, nasbench101.NUM_CELLS, 997)
    )
    for number, count in sample.items():
        assert abs(count / sample.total() - feeders[number] / census.total()) < 0.1
