"""Tests of networks as values: what is known without building is what building gives."""

import numpy as np
import pytest

from nngp_tf.data import benchmark_table
from nngp_tf.models import Nasbench101Network, features
from nngp_tf.search_spaces import nasbench101
from tests.golden import INCEPTION, RESNET

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    "options",
    [
        {"stem_filters": 7, "num_classes": 3, "input_shape": (8, 8, 1)},
        {"stem_filters": 8, "num_stacks": 2, "modules_per_stack": 1, "input_shape": (8, 8, 3)},
    ],
)
def test_counts_are_those_of_the_model(options):
    rng = np.random.default_rng(2)
    for cell in (INCEPTION, nasbench101.sample(rng), nasbench101.sample(rng)):
        network = Nasbench101Network(cell, **options)
        model = network.build()
        parameters = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
        assert network.trainable_parameters == parameters
        assert (None, network.num_features) == features(model).output_shape


def test_published_count():
    # The README example of the benchmark, whose notebook prints the number.
    assert Nasbench101Network(INCEPTION).trainable_parameters == 2_694_282


def test_counts_of_tabulated_cells(shared_data):
    table = benchmark_table.load(shared_data / "nasbench101_20k.csv.gz")
    for row in range(0, len(table), 40):
        network = Nasbench101Network(table.cell(row))
        assert network.trainable_parameters == table.trainable_parameters[row]
        assert network.multiply_adds == table.multiply_adds[row]


def test_multiply_adds_of_uneven_sizes():
    # By hand: images of 5 x 3 and then 3 x 2 pixels; a projection of 2 channels to 2, then to 4.
    cell = nasbench101.Cell([[0, 1], [0, 0]], ["input", "output"])
    network = Nasbench101Network(cell, (5, 3, 1), 7, 2, num_stacks=2, modules_per_stack=1)
    assert network.multiply_adds == 15 * (9 * 1 * 2 + 2 * 2) + 6 * (2 * 4) + 4 * 7


def test_is_a_value_known_by_its_cell():
    network = Nasbench101Network(RESNET, [32, 32, 3])
    assert network == Nasbench101Network(RESNET)
    assert hash(network) == hash(Nasbench101Network(RESNET))
    assert (network.key, network.text) == (RESNET.key, RESNET.text)


def test_bad_options_are_refused_at_once():
    with pytest.raises(ValueError, match="use at least 4 stem filters"):
        Nasbench101Network(INCEPTION, stem_filters=2)
    with pytest.raises(ValueError, match="num_classes must be a positive integer"):
        Nasbench101Network(INCEPTION, num_classes=0)
