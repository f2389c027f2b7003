"""The programs of layers compute what the Keras model of the network computes."""

import numpy as np
import pytest

from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.models import MnasNetwork
from nngp_tf.search_spaces import mnas
from tests.kernels.mnas_examples import mixed

pytestmark = pytest.mark.slow


def kernel(model, **options):
    """The kernel of a network or model; images of its size, more than a batch of them."""
    shape = model.input_shape[-3:]
    images = np.random.default_rng(3).normal(size=(20, *shape)).astype("float32")
    options = {
        "num_inits": 2,
        "compute_dtype": "float32",
        "batch_size": 9,
        "calibration_size": 15,
        "keep_features": True,
    } | options
    return monte_carlo_kernel(model, images[:15], images[15:], **options)


def assert_same(shared, keras_model):
    scale = np.abs(keras_model.features).max()
    assert scale > 0
    assert np.abs(shared.features - keras_model.features).max() < 1e-4 * scale
    scale = np.abs(keras_model.test_train).max()
    assert np.abs(shared.test_train - keras_model.test_train).max() < 1e-4 * scale


@pytest.mark.parametrize("batch_norm", ["one_update", "batch_statistics", "initial"])
def test_features_are_those_of_the_keras_model(batch_norm):
    options = {"batch_norm": batch_norm}
    assert_same(kernel(mixed(), **options), kernel(mixed().build(), **options))


@pytest.mark.parametrize(
    "network",
    [
        MnasNetwork(mnas.MNASNET_A1, (32, 32, 3)),
        # Declares other input filters than flow in.
        MnasNetwork(mnas.MNASNET_SMALL, (32, 32, 3), width_multiplier=0.5),
        # Neither side is a multiple of the strides.
        MnasNetwork(mnas.sample(np.random.default_rng(1)), (37, 33, 1), width_multiplier=0.3),
        mixed((25, 19, 2), width_multiplier=0.7),
    ],
    ids=["a1", "small", "sampled", "mixed"],
)
def test_networks_and_sizes(network):
    options = {"num_inits": 1, "batch_size": 20}
    assert_same(kernel(network, **options), kernel(network.build(), **options))


@pytest.mark.parametrize("batch_norm", ["one_update", "batch_statistics"])
def test_bfloat16_stays_within_its_rounding(batch_norm):
    options = {"batch_norm": batch_norm, "num_inits": 1}
    exact = kernel(mixed(), **options)
    options["compute_dtype"] = "bfloat16"

    def error(of_model):
        difference = kernel(of_model, **options).train_train - exact.train_train
        return np.linalg.norm(difference) / np.linalg.norm(exact.train_train)

    shared = error(mixed())
    assert shared < 0.05
    # Folded or not, the layers lose the same order of digits.
    assert shared < 3 * error(mixed().build())


def test_draws_follow_seed_and_initialisation():
    options = {"num_inits": 1, "batch_norm": "initial"}
    first = kernel(mixed(), **options).train_train
    np.testing.assert_array_equal(kernel(mixed(), **options).train_train, first)
    for other in ({"seed": 1}, {"first_init": 1}):
        assert not np.any(kernel(mixed(), **options, **other).train_train == first)


def test_float64_builds_the_model():
    options = {"num_inits": 1, "compute_dtype": "float64", "batch_norm": "initial"}
    network = mixed((8, 8, 3), width_multiplier=0.1)
    got, expected = kernel(network, **options), kernel(network.build(), **options)
    np.testing.assert_array_equal(got.train_train, expected.train_train)
