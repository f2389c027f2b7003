"""Weights that no attribute of a layer tells of are drawn by their own initialiser."""

import keras
import numpy as np
import pytest
from scipy import stats

from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.kernels.features import FeatureProgram
from nngp_tf.kernels.weights import WeightSampler

pytestmark = pytest.mark.fast

layers = keras.layers
X = np.random.default_rng(0).normal(size=(6, 8, 8, 3)).astype("float32")


def model_of(*stack, shape=(40,)):
    return keras.Sequential([keras.Input(shape), *stack])


def drawn(model, initialisation=0):
    """Maps the names of variables to draws."""
    weights = WeightSampler(model).draw(0, initialisation)
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    tensors = [*weights.trainable, *weights.non_trainable]
    return {v.name: t.numpy() for v, t in zip(variables, tensors, strict=True)}


def assert_same_distribution(sample, reference):
    assert stats.ks_2samp(sample.ravel(), np.ravel(reference)).pvalue > 1e-5


class Plain(layers.Layer):
    """Weights as most users make them, in `build`."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 100), initializer="he_normal", name="w")
        self.by_default = self.add_weight(shape=(100, 50), name="by_default")
        self.b = self.add_weight(shape=(50,), initializer="ones", name="b")

    def call(self, x):
        return x @ self.w @ self.by_default + self.b


class InConstructor(layers.Layer):
    def __init__(self, units=50):
        super().__init__()
        self.w = self.add_weight(shape=(40, units), initializer="he_normal", name="w")

    def call(self, x):
        return x @ self.w


class WithArguments(layers.Layer):
    """Has no configuration of its own; Keras keeps the arguments."""

    def __init__(self, units, gain, **options):
        super().__init__(**options)
        self.units, self.gain = units, gain

    def build(self, shape):
        initialiser = keras.initializers.VarianceScaling(self.gain, "fan_in", "uniform")
        self.w = self.add_weight(shape=(shape[-1], self.units), initializer=initialiser, name="w")

    def call(self, x):
        return x @ self.w


class ForgetfulConfig(WithArguments):
    """Its configuration leaves out what the constructor needs."""

    def get_config(self):
        return layers.Layer.get_config(self)


class BareVariable(layers.Layer):
    """A variable of Keras as an attribute."""

    def build(self, shape):
        self.w = keras.Variable(keras.initializers.HeNormal(), (shape[-1], 50), name="w")

    def call(self, x):
        return x @ self.w


class Gain(layers.Dense):
    """A layer of Keras and a weight more."""

    def build(self, shape):
        super().build(shape)
        self.gain = self.add_weight(
            shape=(self.units,), initializer=keras.initializers.Constant(0.5), name="gain"
        )

    def call(self, x):
        return super().call(x) * self.gain


class Blocks(layers.Layer):
    """Sublayers with weights of their own, of a class that is registered nowhere."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Plain(), Gain(30)

    def build(self, shape):
        self.first.build(shape)
        self.second.build((*shape[:-1], 50))

    def call(self, x):
        return self.second(self.first(x))


HE = np.sqrt(2 / 40)


class TestPlainWeights:
    @pytest.mark.parametrize(
        ("build", "deviations"),
        [
            (Plain, {"w": HE, "by_default": np.sqrt(2 / 150)}),
            (InConstructor, {"w": HE}),
            (lambda: WithArguments(60, 3.0), {"w": np.sqrt(3 / 40)}),
            (lambda: ForgetfulConfig(60, 3.0), {"w": np.sqrt(3 / 40)}),
            (BareVariable, {"w": HE}),
            (lambda: Gain(50), {"kernel": np.sqrt(2 / 90)}),
        ],
    )
    def test_follow_their_initialisers(self, build, deviations):
        model = model_of(build())
        values = [drawn(model, i) for i in range(4)]
        for variable in model.variables:
            samples = np.stack([value[variable.name] for value in values])
            if variable.name in deviations:
                assert abs(samples.std() / deviations[variable.name] - 1) < 0.05
                assert_same_distribution(samples, variable.numpy())
                assert len(np.unique(samples)) > 0.99 * samples.size
            else:
                np.testing.assert_array_equal(samples[0], variable.numpy())
                np.testing.assert_array_equal(samples[3], variable.numpy())
        assert deviations.keys() <= values[0].keys()

    def test_of_nested_layers(self):
        values = drawn(model_of(Blocks()))
        assert abs(values["w"].std() / HE - 1) < 0.05
        np.testing.assert_array_equal(values["gain"], np.full(30, 0.5))

    def test_without_a_name(self):
        """Their draws do not depend on what else was made before."""

        class Unnamed(layers.Layer):
            def build(self, shape):
                self.one = self.add_weight(shape=(shape[-1], 40), initializer="he_normal")
                self.two = self.add_weight(shape=(40, 40), initializer="glorot_normal")

            def call(self, x):
                return x @ self.one @ self.two

        first, second = (WeightSampler(model_of(Unnamed())).draw(0, 0) for _ in range(2))
        for one, two in zip(first.trainable, second.trainable, strict=True):
            np.testing.assert_array_equal(one, two)
        one, two = first.trainable
        assert abs(np.std(one) / HE - 1) < 0.1
        assert not np.isin(one, two).any()

    def test_of_a_frozen_layer(self):
        model = model_of(Plain())
        expected = drawn(model)
        model.trainable = False
        for name, value in drawn(model).items():
            np.testing.assert_array_equal(value, expected[name])

    def test_an_initialiser_changed_after_construction(self):
        layer = layers.Dense(100, kernel_initializer=keras.initializers.VarianceScaling(1.0))
        layer.kernel_initializer.scale = 9.0
        assert abs(drawn(model_of(layer))["kernel"].std() / np.sqrt(9 / 40) - 1) < 0.05

    def test_a_lambda_as_activation(self):
        model = model_of(layers.Reshape((5, 8)), layers.Conv1D(50, 3, activation=lambda x: x))
        assert abs(drawn(model)["kernel"].std() / np.sqrt(2 / (24 + 150)) - 1) < 0.1

    def test_functions_that_give_constants(self):
        table = np.linspace(0, 1, 40 * 5).reshape(40, 5)
        model = model_of(
            layers.Dense(
                5,
                kernel_initializer=lambda shape, dtype=None: keras.ops.cast(table, dtype),
                bias_initializer=keras.ops.convert_to_tensor(np.arange(5.0)),
            )
        )
        np.testing.assert_allclose(drawn(model, 3)["kernel"], table, rtol=1e-6)
        np.testing.assert_array_equal(drawn(model, 3)["bias"], np.arange(5))

    @pytest.mark.parametrize("kind", [layers.LSTM, layers.ConvLSTM1D])
    def test_the_bias_of_a_forget_gate(self, kind):
        if kind is layers.LSTM:
            model = model_of(layers.LSTM(3), shape=(5, 4))
        else:
            model = model_of(layers.ConvLSTM1D(3, 2), shape=(5, 6, 4))
        np.testing.assert_array_equal(drawn(model)["bias"], [0] * 3 + [1] * 3 + [0] * 6)

    def test_kernel_of_the_layer_against_that_of_dense(self):
        """The same network by hand: scores differ by what two samples differ by, at width 500."""

        class Hidden(layers.Layer):
            def build(self, shape):
                self.w = self.add_weight((shape[-1], 500), "he_normal", name="w")

            def call(self, x):
                return keras.ops.relu(x @ self.w)

        flat = np.ascontiguousarray(X.reshape(6, -1))
        inputs = flat / np.linalg.norm(flat, axis=1, keepdims=True)
        model = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), Hidden()])
        kernel = monte_carlo_kernel(
            model, X, num_inits=20, feature_layer=None, compute_dtype="float32"
        )
        cosine = np.clip(inputs @ inputs.T, -1, 1)
        angle = np.arccos(cosine)
        norms = np.linalg.norm(flat, axis=1)
        # The arc-cosine kernel of degree 1; weights have variance 2 / fan_in.
        arc_cosine = np.outer(norms, norms) * (np.sin(angle) + (np.pi - angle) * cosine) / np.pi
        expected = arc_cosine * 500 / flat.shape[1]
        error = np.linalg.norm(kernel.train_train - expected) / np.linalg.norm(expected)
        assert error < 0.05


def spectral(*stack, power_iterations=1):
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.SpectralNormalization(
                layers.Conv2D(6, 3, kernel_initializer="he_normal"), power_iterations
            ),
            *stack,
            layers.GlobalAveragePooling2D(),
        ]
    )


class TestSpectralNormalization:
    def test_both_variables_follow_their_initialisers(self):
        model = model_of(layers.SpectralNormalization(layers.Dense(3000)))
        values = drawn(model)
        assert values["vector_u"].shape == (1, 3000)
        # A normal deviation of 0.02, cut off at two of them.
        assert abs(values["vector_u"].std() / (0.02 * 0.8796) - 1) < 0.05
        assert abs(values["kernel"].std() / np.sqrt(2 / 3040) - 1) < 0.01
        assert not np.array_equal(values["vector_u"], drawn(model, 1)["vector_u"])

    @pytest.mark.parametrize("layer", [layers.Embedding(50, 40), layers.Conv2D(6, 3)])
    def test_of_another_layer(self, layer):
        shape = (5,) if isinstance(layer, layers.Embedding) else (8, 8, 3)
        values = drawn(model_of(layers.SpectralNormalization(layer), shape=shape))
        assert set(values) >= {"vector_u"}
        assert all(np.std(v) > 0 for name, v in values.items() if name != "bias")

    def assign(self, model, weights):
        for variables, values in (
            (model.trainable_variables, weights.trainable),
            (model.non_trainable_variables, weights.non_trainable),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def test_features_without_calibration_are_those_of_keras(self):
        """In inference mode the kernel is taken as it is drawn."""
        model = spectral()
        program = FeatureProgram(model, "one_update")
        assert not program.calibrates
        weights = program.initialise(0, 0, None)
        got = program.features(weights, X).numpy()
        self.assign(model, weights)
        np.testing.assert_allclose(got, model.predict(X, verbose=0), rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("power_iterations", [1, 3])
    def test_features_after_calibration_are_those_of_keras(self, power_iterations):
        """A pass in training mode normalises the kernel, for good."""
        model = spectral(layers.BatchNormalization(momentum=0.5), power_iterations=power_iterations)
        initial = FeatureProgram(model, "initial").initialise(0, 0, None)
        program = FeatureProgram(model, "one_update")
        weights = program.initialise(0, 0, X)
        got = program.features(weights, X).numpy()
        self.assign(model, initial)
        kernel = model.layers[0].layer.kernel.numpy().reshape(-1, 6)
        u = model.layers[0].vector_u.numpy()
        for _ in range(power_iterations):
            v = u @ kernel.T
            v /= np.linalg.norm(v)
            u = v @ kernel
            u /= np.linalg.norm(u)
        normalised = kernel / (v @ kernel @ u.T)
        (calibrated,) = (w.numpy() for w in weights.trainable if w.shape.rank == 4)
        np.testing.assert_allclose(calibrated.reshape(-1, 6), normalised, rtol=1e-4, atol=1e-6)
        model(X, training=True)
        np.testing.assert_allclose(got, model.predict(X, verbose=0), rtol=1e-3, atol=1e-5)

    @pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
    def test_kernels_in_every_dtype(self, dtype):
        model = spectral(layers.BatchNormalization())
        kernel = monte_carlo_kernel(model, X, num_inits=2, feature_layer=None, compute_dtype=dtype)
        assert np.isfinite(kernel.train_train).all()
        assert np.trace(kernel.train_train) > 0


def random_function(shape, dtype=None):
    return keras.random.normal(shape, dtype=dtype, seed=3)


class TestRefusals:
    """By the names of layer and variable."""

    @pytest.mark.parametrize(
        "initialiser",
        [
            random_function,
            lambda shape, dtype=None: np.random.normal(size=shape).astype(dtype),
        ],
    )
    def test_a_function_that_draws(self, initialiser):
        model = model_of(layers.Dense(4, kernel_initializer=initialiser, name="d"))
        with pytest.raises(ValueError, match=r"'kernel' of layer 'd' .Dense.*takes no seed"):
            WeightSampler(model)

    def test_a_layer_that_cannot_be_made_anew(self):
        class Secretive(layers.Layer):
            def __init__(self, function):
                super().__init__(name="secretive")
                self.w = self.add_weight(shape=function(), name="w")

            def call(self, x):
                return x @ self.w

        model = model_of(Secretive(lambda: (40, 3)))
        with pytest.raises(ValueError, match=r"'w' of layer 'secretive' .Secretive"):
            WeightSampler(model)

    def test_a_variable_made_of_values(self):
        class Values(layers.Layer):
            def __init__(self):
                super().__init__(name="values")
                self.w = keras.Variable(np.ones((40, 3), "float32"), name="w")

            def call(self, x):
                return x @ self.w

        with pytest.raises(ValueError, match=r"'w' of layer 'values' .Values"):
            WeightSampler(model_of(Values()))
