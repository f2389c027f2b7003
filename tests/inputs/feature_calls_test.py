"""Feature layers that are called more than once: refused, or the call that is named."""

import re

import keras
import numpy as np
import pytest

from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.models import features

layers = keras.layers
pytestmark = pytest.mark.fast

X = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype("float32")
# The mean over an image.
POOLED = X.mean(axis=(1, 2))


def shared_pool():
    """A pool of the images, and of three times the images."""
    images = keras.Input((8, 8, 3))
    pool = layers.GlobalAveragePooling2D(name="features")
    tripled = layers.Rescaling(3.0, name="tripled")(images)
    joined = layers.Concatenate()([pool(images), pool(tripled)])
    return keras.Model(images, layers.Dense(2)(joined), name="two_pools")


def shared_model():
    """A model within, called on the images and on three times the images."""
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.GlobalAveragePooling2D(name="pool")], name="inner"
    )
    images = keras.Input((8, 8, 3))
    tripled = layers.Rescaling(3.0, name="tripled")(images)
    return keras.Model(images, layers.Dense(2)(layers.Add()([inner(images), inner(tripled)])))


@pytest.mark.parametrize(
    ("build", "name", "calls"),
    [
        (shared_pool, "features", ("'features:0'", "'features:1'", "tripled")),
        (shared_pool, "features:2", ("'features:0'", "'features:1'", "tripled")),
        (shared_model, "inner", ("'inner:0'", "'inner:1'", "tripled")),
        (shared_model, "inner/pool", ("'inner:0/pool'", "'inner:1/pool'", "tripled")),
    ],
)
def test_refused_with_its_calls(build, name, calls):
    with pytest.raises(ValueError, match="is called 2 times") as error:
        features(build(), name)
    assert all(call in str(error.value) for call in calls)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("build", "name", "scale"),
    [
        (shared_pool, "features:0", 1.0),
        (shared_pool, "features:1", 3.0),
        (shared_model, "inner:0", 1.0),
        (shared_model, "inner:1/pool", 3.0),
        (shared_model, "inner:1/pool:0", 3.0),
    ],
)
def test_a_call_by_its_number(build, name, scale):
    model = build()
    np.testing.assert_allclose(features(model, name)(X), scale * POOLED, rtol=1e-5)
    kernel = monte_carlo_kernel(model, X, num_inits=1, feature_layer=name, compute_dtype="float32")
    np.testing.assert_allclose(kernel.train_train, scale**2 * POOLED @ POOLED.T, rtol=1e-4)


def test_cutting_twice_makes_no_calls():
    model = shared_model()
    for _ in range(2):
        assert features(model, "inner:1/pool").output_shape == (None, 3)
    once = keras.Sequential([keras.Input((8, 8, 3)), layers.GlobalAveragePooling2D(name="pool")])
    for _ in range(2):
        np.testing.assert_allclose(features(once, "pool")(X), POOLED, rtol=1e-5)


def test_calls_in_other_models_do_not_count():
    pool = layers.GlobalAveragePooling2D(name="features")
    other = keras.Input((8, 8, 3))
    keras.Model(other, pool(other))
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, layers.Dense(2)(pool(layers.Rescaling(3.0)(images))))
    np.testing.assert_allclose(features(model)(X), 3.0 * POOLED, rtol=1e-5)


def test_a_colon_may_be_part_of_a_name():
    pool = layers.GlobalAveragePooling2D(name="pool:1")
    model = keras.Sequential([keras.Input((8, 8, 3)), pool])
    np.testing.assert_allclose(features(model, "pool:1")(X), POOLED, rtol=1e-5)


@pytest.mark.parametrize("name", [5, ("features",)])
def test_what_is_no_name(name):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="features")])
    with pytest.raises(ValueError, match=f"name or None, got {re.escape(repr(name))}"):
        features(model, name)
