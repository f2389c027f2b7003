"""Tests of mobile networks as values: what is known without building is what building gives."""

import numpy as np
import pytest

from nngp_tf.models import MnasNetwork, features
from nngp_tf.search_spaces import mnas
from tests.search_spaces.mnas_examples import PLAIN

pytestmark = pytest.mark.fast


def counted(model):
    """Trainable parameters, and multiply-adds from the shapes of kernels and outputs."""
    multiply_adds = 0
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            # Of a dense layer the output has one position.
            positions = np.prod(layer.output.shape[1:-1])
            multiply_adds += int(np.prod(layer.kernel.shape) * positions)
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables), multiply_adds


@pytest.mark.parametrize(
    ("network", "options"),
    [
        (mnas.MNASNET_SMALL, {"input_shape": (32, 32, 3)}),
        (mnas.sample(np.random.default_rng(0)), {"width_multiplier": 0.5, "num_classes": 3}),
        (
            mnas.sample(np.random.default_rng(1), extensions=mnas.EXTENSIONS),
            {"input_shape": (33, 71, 1), "width_multiplier": 1.0},
        ),
        (mnas.sample(np.random.default_rng(2), "mnasnet_a1"), {"input_shape": [50, 64, 3]}),
    ],
)
def test_counts_are_those_of_the_model(network, options):
    value = MnasNetwork(network, **options)
    model = value.build()
    assert (value.trainable_parameters, value.multiply_adds) == counted(model)
    assert (None, value.num_features) == features(model).output_shape


@pytest.mark.parametrize(
    ("network", "parameters", "multiply_adds"),
    # Parameters: facts, section A11. Multiply-adds: about 312 million are published of A1, the
    # rest is recorded from this implementation.
    [
        (mnas.MNASNET_A1, 3_887_038, 311_579_072),
        (mnas.MNASNET_B1, 4_383_312, 314_415_872),
        (mnas.MNASNET_SMALL, 2_030_264, 68_339_184),
    ],
)
def test_published_counts(network, parameters, multiply_adds):
    value = MnasNetwork(network)
    assert value.trainable_parameters == parameters
    assert value.multiply_adds == multiply_adds


def test_is_a_value_known_by_its_network():
    value = MnasNetwork(PLAIN, [32, 32, 3])
    assert value == MnasNetwork(PLAIN, (32, 32, 3))
    assert hash(value) == hash(MnasNetwork(PLAIN, (32, 32, 3)))
    assert value != MnasNetwork(PLAIN, (32, 32, 3), width_multiplier=1.0)
    assert (value.key, value.text) == (PLAIN.key, PLAIN.text)


def test_options_reach_the_model():
    value = MnasNetwork(PLAIN, (32, 32, 3), 5, width_multiplier=2, dropout_rate=0.1)
    model = value.build("mixed_bfloat16")
    assert model.output_shape == (None, 5)
    assert model.get_layer("dropout").rate == 0.1
    assert model.get_layer("stem_conv").filters == 64
    assert model.get_layer("stem_conv").compute_dtype == "bfloat16"


def test_bad_options_are_refused_at_once():
    with pytest.raises(ValueError, match="images of 28 x 28 are too small"):
        MnasNetwork(PLAIN, (28, 28, 1))
    with pytest.raises(ValueError, match="num_classes must be a positive integer"):
        MnasNetwork(PLAIN, num_classes=0)
