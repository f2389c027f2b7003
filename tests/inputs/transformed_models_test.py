"""Models that were transformed after they were built: kept as they are, or refused by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels import monte_carlo_kernel, precision
from nngp_tf.kernels.features import FeatureProgram

pytestmark = [
    pytest.mark.fast,
    # Of layers that have nothing to quantise.
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method"),
]

layers = keras.layers
X = np.random.default_rng(0).normal(size=(6, 8, 8, 3)).astype("float32")
DTYPES = ("float32", "bfloat16", "float64")


def network(*stack, seed=None):
    return keras.Sequential(
        [
            keras.Input((8, 8, 3), name="images"),
            layers.Conv2D(6, 3, name="convolution"),
            *stack,
            layers.GlobalAveragePooling2D(),
            layers.Dense(16, name="hidden"),
        ]
    )


def estimate(model, dtype="float32", **options):
    options = {"num_inits": 2, "feature_layer": None} | options
    return monte_carlo_kernel(model, X, compute_dtype=dtype, keep_features=True, **options)


def given(model, dtype="float32"):
    return estimate(model, dtype, num_inits=1, weights="as_given").features[0]


def close(got, expected, dtype="float32"):
    tolerance = {"bfloat16": 0.03}.get(dtype, 1e-5)
    return np.abs(got - expected).max() <= tolerance * np.abs(expected).max()


def is_known(mode):
    """Whether this Keras quantises so; the oldest supported has no int4."""
    try:
        keras.dtype_policies.get(f"{mode}_from_float32")
    except ValueError:
        return False
    return True


def quantised(mode):
    model = network()
    model.quantize(mode)
    return model


class TestQuantised:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("mode", filter(is_known, ["int8", "int4", "float8"]))
    def test_is_never_drawn(self, mode, dtype):
        with pytest.raises(ValueError, match=rf"layer 'hidden' is quantised to {mode}"):
            estimate(quantised(mode), dtype)

    def test_nor_is_one_built_so(self):
        model = network(layers.Dense(4, dtype="int8_from_float32", name="rounded"))
        with pytest.raises(ValueError, match="layer 'rounded' is quantised to int8"):
            estimate(model)

    def test_within_another_model(self):
        model = keras.Sequential([keras.Input((8, 8, 3)), quantised("int8"), layers.Dense(3)])
        with pytest.raises(ValueError, match="layer 'hidden' is quantised to int8"):
            estimate(model)

    @pytest.mark.parametrize("mode", filter(is_known, ["int8", "int4"]))
    def test_as_given_is_kept_in_its_own_dtype(self, mode):
        model = quantised(mode)
        expected = model.predict(X, verbose=0)
        assert close(given(model), expected)
        assert not np.allclose(expected, network().predict(X, verbose=0))

    @pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
    def test_as_given_is_not_copied_to_another(self, dtype):
        with pytest.raises(ValueError, match="layer 'hidden' is quantised to int8"):
            given(quantised("int8"), dtype)


def with_lora():
    model = network()
    model.get_layer("hidden").enable_lora(2)
    return model


class TestLora:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_at_initialisation_adds_nothing(self, dtype):
        """One of its two factors is drawn, the other starts at zero."""
        plain, adapted = (estimate(build(), dtype) for build in (network, with_lora))
        np.testing.assert_allclose(adapted.features, plain.features, rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_as_given_it_counts(self, dtype):
        model = with_lora()
        layer = model.get_layer("hidden")
        layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
        expected = model.predict(X, verbose=0)
        assert close(given(model, dtype), expected, dtype)
        layer.lora_kernel_b.assign(np.zeros(layer.lora_kernel_b.shape))
        assert not close(model.predict(X, verbose=0), expected, dtype)

    def test_of_each_kind_of_layer(self):
        model = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                layers.Conv2D(6, 3, name="convolution"),
                layers.GlobalAveragePooling2D(),
                layers.EinsumDense("ab,bc->ac", (16,), name="einsum"),
            ]
        )
        for name in ("convolution", "einsum"):
            layer = model.get_layer(name)
            layer.enable_lora(2)
            layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
        assert close(given(model, "float64"), model.predict(X, verbose=0))


class Pruned(layers.Wrapper):
    """Zeroes weights of a convolution by a mask, as libraries for pruning do."""

    def build(self, input_shape=None):
        super().build(input_shape)
        self.mask = self.add_weight(
            shape=self.layer.kernel.shape, initializer="ones", trainable=False, name="mask"
        )

    def call(self, x):
        return keras.ops.conv(x, self.layer.kernel * keras.ops.cast(self.mask, x.dtype))


def pruned(share):
    model = network(Pruned(layers.Conv2D(6, 3), name="pruned"))
    layer = model.get_layer("pruned")
    count = round(share * layer.layer.kernel.shape[-1])
    mask = np.ones(layer.mask.shape)
    mask[..., :count] = 0
    layer.mask.assign(mask)
    return model


class TestPruned:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_a_mask_is_not_drawn_away(self, dtype):
        with pytest.raises(ValueError, match=r"'mask' of layer 'pruned' .Pruned.*as_given"):
            estimate(pruned(0.5), dtype)

    def test_nor_that_of_a_frozen_layer(self):
        model = pruned(0.5)
        model.trainable = False
        with pytest.raises(ValueError, match="'mask' of layer 'pruned'"):
            estimate(model)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_as_given_it_is_kept(self, dtype):
        model = pruned(0.5)
        assert close(given(model, dtype), model.predict(X, verbose=0), dtype)

    def test_a_mask_of_ones_is_the_network(self):
        expected = estimate(network(layers.Conv2D(6, 3, use_bias=False))).train_train
        assert 0.3 < np.trace(estimate(pruned(0.0)).train_train) / np.trace(expected) < 3


def adapted():
    layer = layers.Normalization(name="adapted")
    layer.adapt(3 + 2 * X)
    return keras.Sequential([keras.Input((8, 8, 3)), layer, layers.Flatten()])


class TestNormalization:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("weights", ["drawn", "as_given"])
    def test_what_it_learnt_of_data_is_kept(self, dtype, weights):
        data = 3 + 2 * X
        expected = (X - data.mean((0, 1, 2))) / data.std((0, 1, 2))
        kernel = estimate(adapted(), dtype, num_inits=1, weights=weights)
        assert close(kernel.features[0], expected.reshape(6, -1), dtype)


class Scaled(layers.Layer):
    """Its configuration does not tell of the factor."""

    def __init__(self, factor=1.0, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        return x * keras.ops.cast(self.factor, x.dtype)

    def get_config(self):
        return layers.Layer.get_config(self)


def with_factor(factor):
    return network(Scaled(factor, name="scaled"))


def with_other_factor():
    model = with_factor(1.0)
    model.get_layer("scaled").factor = 10.0
    return model


def with_array():
    return with_factor(np.linspace(0, 1, 6))


def with_method():
    model = network(layers.ReLU(name="scaled"))
    layer = model.get_layer("scaled")
    layer.call = lambda x: 10 * x
    return model


def with_shared_kernel():
    same = {"padding": "same", "use_bias": False}
    model = network(layers.Conv2D(6, 3, **same), layers.Conv2D(6, 3, **same))
    first, second = model.layers[1:3]
    second._tracker.unlock()
    second._trainable_variables.clear()
    second._kernel = first._kernel
    return model


class TenTimes(keras.Sequential):
    def call(self, x, training=None, mask=None):
        return 10 * super().call(x, training=training, mask=mask)


def with_own_call():
    model = TenTimes(network().layers, name="scaled")
    model(X)
    return model


def nested_with_own_call():
    return keras.Sequential([keras.Input((8, 8, 3)), with_own_call(), layers.Dense(3)])


LOST = {
    "attribute": lambda: with_factor(10.0),
    "attribute_set_later": with_other_factor,
    "array": with_array,
    "method": with_method,
    "shared": with_shared_kernel,
    "call": with_own_call,
    "nested_call": nested_with_own_call,
}


class TestCopies:
    """What a copy for another dtype would lose."""

    @pytest.mark.parametrize("build", LOST.values(), ids=LOST)
    def test_is_refused_rather(self, build):
        for dtype in ("bfloat16", "float64"):
            with pytest.raises(ValueError, match=f"cannot be copied to compute in {dtype}"):
                estimate(build(), dtype)

    @pytest.mark.parametrize(
        "build", [LOST[name] for name in LOST if name not in ("shared", "call", "nested_call")]
    )
    def test_names_the_layer(self, build):
        with pytest.raises(ValueError, match="layer 'scaled' would lose its"):
            estimate(build(), "bfloat16")

    @pytest.mark.parametrize("build", LOST.values(), ids=LOST)
    def test_is_kept_in_the_models_own_dtype(self, build, monkeypatch):
        """What the device prefers gives way to what the model is."""
        model = build()
        expected = model.predict(X, verbose=0)
        assert close(given(model), expected)
        monkeypatch.setattr(precision, "default_compute_dtype", lambda strategy: "bfloat16")
        assert close(given(model, None), expected)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
    @pytest.mark.parametrize(
        "change",
        [
            lambda layer: setattr(layer, "activation", keras.activations.tanh),
            lambda layer: setattr(layer, "activation", lambda x: 3 * x),
            lambda layer: setattr(layer, "kernel_constraint", keras.constraints.NonNeg()),
            lambda layer: setattr(layer, "kernel_regularizer", keras.regularizers.L2(1.0)),
            lambda layer: setattr(layer, "trainable", False),
        ],
    )
    def test_what_a_configuration_tells_of_is_kept(self, change, dtype):
        model = network()
        change(model.get_layer("convolution"))
        assert close(given(model, dtype), model.predict(X, verbose=0), dtype)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
    def test_settings_of_batch_normalisation_that_were_changed(self, dtype):
        model = network(layers.BatchNormalization(name="norm"))
        norm = model.get_layer("norm")
        norm.momentum, norm.epsilon = 0.25, 0.5
        twin = precision.in_compute_dtype(model, dtype).get_layer("norm")
        assert (twin.momentum, twin.epsilon) == (0.25, 0.5)
        norm.trainable = False
        # A frozen layer keeps its averages in a copy too.
        assert not FeatureProgram(precision.in_compute_dtype(model, dtype)).calibrates

    def test_an_initialiser_that_was_changed(self):
        model = network()
        model.get_layer("hidden").kernel_initializer.scale = 0.0
        twin = precision.in_compute_dtype(model, "bfloat16")
        assert twin.get_layer("hidden").kernel_initializer.scale == 0.0

    @pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
    def test_layers_that_are_called_twice(self, dtype):
        inputs = keras.Input((8, 8, 3))
        shared = layers.Conv2D(3, 3, padding="same")
        pooled = layers.GlobalAveragePooling2D()(shared(keras.ops.relu(shared(inputs))))
        model = keras.Model(inputs, pooled)
        assert len(precision.in_compute_dtype(model, dtype).variables) == 2
        assert close(given(model, dtype), model.predict(X, verbose=0), dtype)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
    def test_layers_of_a_users_own_within_others(self, dtype):
        class Block(layers.Layer):
            def __init__(self, **options):
                super().__init__(**options)
                self.scaled = Pruned(layers.Conv2D(6, 3))

            def build(self, shape):
                self.scaled.build(shape)

            def call(self, x):
                return self.scaled(x)

        model = network(layers.SpectralNormalization(layers.Conv2D(6, 3)), Block())
        assert close(given(model, dtype), model.predict(X, verbose=0), dtype)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
    def test_layers_of_one_dtype_among_others(self, dtype):
        model = network(layers.Conv2D(6, 3, dtype="mixed_float16"))
        twin = precision.in_compute_dtype(model, dtype)
        assert {x.compute_dtype for x in twin.layers if x.weights} == {dtype}
        assert close(given(model, dtype), model.predict(X, verbose=0), "bfloat16")

    def test_values_come_along(self):
        model = network(layers.BatchNormalization())
        model(X, training=True)
        twin = precision.in_compute_dtype(model, "float64")
        for variable, value in zip(twin.variables, model.variables, strict=True):
            np.testing.assert_array_equal(variable.numpy(), tf.cast(value.value, "float64"))
