"""Models within models: the kernel is that of the flat model."""

import keras
import numpy as np
import pytest

from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.models import features

layers = keras.layers

X = np.random.default_rng(0).normal(size=(6, 12, 12, 3)).astype("float32")


def body(x):
    """Layers that Keras names, so that their draws are told apart by their order alone."""
    x = layers.BatchNormalization(momentum=0.5)(layers.Conv2D(4, 3, padding="same")(x))
    x = layers.ReLU()(x)
    x = layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x))])
    return layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(6, 3)(x))


def head():
    return [layers.Dense(8, name="features"), layers.Dense(2)]


def flat():
    images = keras.Input((12, 12, 3))
    hidden, logits = head()
    return keras.Model(images, logits(hidden(body(images))))


def backbone():
    images = keras.Input((12, 12, 3))
    # With a layer after the pool, which cutting takes away.
    return keras.Model(images, layers.Dropout(0.5)(body(images)), name="backbone")


def sequential():
    return keras.Sequential([backbone(), *head()])


def functional():
    """Two models around the backbone."""
    images = keras.Input((12, 12, 3))
    middle = keras.Sequential([layers.Rescaling(1.0), backbone()], name="middle")
    hidden, logits = head()
    return keras.Model(images, logits(hidden(middle(images))))


def kernel(model, layer, dtype="float32"):
    estimate = monte_carlo_kernel(
        model,
        X,
        num_inits=2,
        feature_layer=layer,
        compute_dtype=dtype,
        batch_norm="batch_statistics",
    )
    return estimate.train_train


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "dtype"), [("features", "float32"), ("pool", "bfloat16")])
def test_kernel_is_that_of_the_flat_model(layer, dtype):
    expected = kernel(flat(), layer, dtype)
    path = {"pool": "backbone/pool", "features": "features"}[layer]
    np.testing.assert_allclose(kernel(sequential(), path, dtype), expected, rtol=1e-5)
    path = {"pool": "middle/backbone/pool", "features": "features"}[layer]
    np.testing.assert_allclose(kernel(functional(), path, dtype), expected, rtol=1e-5)


@pytest.mark.fast
def test_float64_between_the_models():
    def dense(nested):
        stack = [layers.Dense(16, "relu", name="second")]
        if nested:
            stack = [keras.Sequential([keras.Input((16,)), *stack], name="inner")]
        stack = [layers.Dense(16, "relu", name="first"), *stack, layers.Dense(4, name="features")]
        return keras.Sequential([keras.Input((12,)), *stack])

    x = np.random.default_rng(1).normal(size=(6, 12))
    options = {"num_inits": 1, "compute_dtype": "float64", "keep_features": True}
    flat, nested = (monte_carlo_kernel(dense(each), x, **options) for each in (False, True))
    np.testing.assert_allclose(nested.train_train, flat.train_train, rtol=1e-13, atol=1e-13)
    # What float32 does not tell from x.
    moved = monte_carlo_kernel(dense(True), x * (1.0 + 1e-10), **options)
    change = np.abs(moved.features - nested.features).max() / np.abs(nested.features).max()
    assert 1e-11 < change < 1e-9


@pytest.mark.fast
def test_an_application_as_backbone():
    inner = keras.applications.MobileNet(
        weights=None, alpha=0.25, include_top=False, input_shape=(32, 32, 3)
    )
    pool = layers.GlobalAveragePooling2D(name="pool")
    nested = keras.Sequential([inner, pool, layers.Dense(10)])
    x = np.random.default_rng(1).normal(size=(4, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(features(nested, "pool")(x), pool(inner(x)), rtol=1e-5)
    inner = keras.applications.MobileNet(
        weights=None, alpha=0.25, include_top=False, input_shape=(32, 32, 3), pooling="avg"
    )
    within = keras.Sequential([inner, layers.Dropout(0.2), layers.Dense(10)])
    np.testing.assert_allclose(
        features(within, f"{inner.name}/{inner.layers[-1].name}")(x), inner(x), rtol=1e-5
    )


@pytest.mark.fast
def test_variables_are_shared():
    model = sequential()
    cut = features(model, "backbone/pool")
    before = cut(X).numpy()
    for variable in model.get_layer("backbone").trainable_variables:
        variable.assign(2.0 * variable)
    assert not np.allclose(cut(X), before)
    assert len(cut.trainable_variables) == len(model.trainable_variables) - 4


@pytest.mark.fast
@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("pool", "'middle/backbone/pool'"),
        ("backbone/pool", "'middle/backbone/pool'"),
        ("middle/pool", "'middle/backbone/pool'"),
        ("middle/backbone/poll", "'middle/backbone/pool'"),
        ("feature", "'features'"),
        ("features/pool", "Dense"),
    ],
)
def test_the_nearest_name_is_offered(name, named):
    with pytest.raises(ValueError, match=named) as error:
        features(functional(), name)
    assert "\n" not in str(error.value)


@pytest.mark.fast
def test_a_subclassed_model_within_has_no_layers_to_name():
    class Inner(keras.Model):
        def call(self, x):
            return keras.ops.mean(x, axis=(1, 2))

    model = keras.Sequential([keras.Input((12, 12, 3)), Inner(name="inner"), layers.Dense(2)])
    np.testing.assert_allclose(features(model, "inner")(X), X.mean(axis=(1, 2)), rtol=1e-5)
    with pytest.raises(ValueError, match="class Inner has no graph"):
        features(model, "inner/mean")
