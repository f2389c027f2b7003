"""Batch normalisation at initialisation, against the definition of each mode."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels.features import BATCH_NORM_MODES, FeatureProgram

pytestmark = pytest.mark.fast

layers = keras.layers

EPSILON = 0.01
MOMENTA = (0.9, 0.6)


@pytest.fixture(scope="module")
def images():
    """Not centred, so that means matter: 10 to calibrate with, 5 to run."""
    rng = np.random.default_rng(0)
    drawn = rng.gamma(2.0, size=(15, 6, 6, 3)).astype("float32")
    return drawn[:10], drawn[10:]


def network(first=None, second=None):
    """Two convolutions, each with batch normalisation; options of either normalisation."""
    norms = [
        layers.BatchNormalization(**{"momentum": momentum, "epsilon": EPSILON} | (options or {}))
        for momentum, options in zip(MOMENTA, (first, second), strict=True)
    ]
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(5, 3, use_bias=False),
            norms[0],
            layers.ReLU(),
            layers.Conv2D(4, 3, use_bias=False),
            norms[1],
            layers.GlobalAveragePooling2D(),
        ]
    )


def convolve(x, kernel):
    """A valid convolution in float64."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    return np.einsum("nijcyx,yxcd->nijd", windows, kernel.astype("float64"))


class Reference:
    """What Keras defines, in NumPy: float64, a step at a time.

    `norms` are two dictionaries with gamma, beta, mean and variance; each mean and variance holds
    the initial averages, and after `calibrate` those of a mode.
    """

    def __init__(self, kernels, norms, axis=-1):
        self.kernels, self.norms, self.axis = kernels, norms, axis

    def calibrate(self, x, mode):
        """One batch in training mode: each layer normalises by the batch, and moves by it."""
        for kernel, norm, momentum in zip(self.kernels, self.norms, MOMENTA, strict=True):
            x = convolve(x, kernel)
            axes = tuple(a for a in range(4) if a != self.axis % 4)
            mean, variance = x.mean(axes), x.var(axes)
            x = np.maximum(self.normalise(x, norm | {"mean": mean, "variance": variance}), 0)
            if mode == "one_update":
                norm["mean"] = momentum * norm["mean"] + (1 - momentum) * mean
                norm["variance"] = momentum * norm["variance"] + (1 - momentum) * variance
            elif mode == "batch_statistics":
                norm["mean"], norm["variance"] = mean, variance

    def features(self, x):
        """In inference mode."""
        for number, (kernel, norm) in enumerate(zip(self.kernels, self.norms, strict=True)):
            x = self.normalise(convolve(x, kernel), norm)
            x = x if number else np.maximum(x, 0)
        return x.mean((1, 2))

    def normalise(self, x, norm):
        shape = [-1 if a == self.axis % 4 else 1 for a in range(4)]
        gamma, beta, mean, variance = (
            np.reshape(norm[name], shape) for name in ("gamma", "beta", "mean", "variance")
        )
        return gamma * (x - mean) / np.sqrt(variance + EPSILON) + beta


def by_layer(model, weights):
    """The tensors of each layer's variables, as dictionaries by the variables' names."""
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    tensors = [*weights.trainable, *weights.non_trainable]
    values = {id(v): t.numpy() for v, t in zip(variables, tensors, strict=True)}
    return [{v.name: values[id(v)] for v in layer.variables} for layer in model.layers]


def reference(model, seed=3, initialisation=1, axis=-1):
    """The reference under the same weights, before calibration."""
    initial = FeatureProgram(model, "initial").initialise(seed, initialisation, None)
    values = [layer for layer in by_layer(model, initial) if layer]
    kernels = [layer["kernel"] for layer in values if "kernel" in layer]
    norms = []
    for layer in values:
        if "moving_mean" in layer:
            mean, variance = layer["moving_mean"], layer["moving_variance"]
            gamma = layer.get("gamma", np.ones_like(mean))
            beta = layer.get("beta", np.zeros_like(mean))
            norms.append({"gamma": gamma, "beta": beta, "mean": mean, "variance": variance})
    return Reference(kernels, norms, axis)


def assert_matches(model, mode, images, expected, seed=3, initialisation=1):
    """Compares calibrated averages and features."""
    calibration, others = images
    program = FeatureProgram(model, mode)
    weights = program.initialise(seed, initialisation, calibration)
    norms = [x for x in by_layer(model, weights) if "moving_mean" in x]
    for got, want in zip(norms, expected.norms, strict=True):
        np.testing.assert_allclose(got["moving_mean"], want["mean"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(got["moving_variance"], want["variance"], rtol=1e-4, atol=1e-5)
    got = program.features(weights, others)
    np.testing.assert_allclose(got, expected.features(others), rtol=1e-3, atol=1e-4)


NORMALS = {
    "gamma_initializer": keras.initializers.RandomNormal(1.0, 0.3),
    "beta_initializer": keras.initializers.RandomNormal(0.5, 0.3),
}
AVERAGES = {
    "moving_mean_initializer": keras.initializers.Constant(-0.7),
    "moving_variance_initializer": keras.initializers.Constant(2.5),
}


OPTIONS = {
    "default": {},
    "no_scale": {"scale": False},
    "no_center": {"center": False},
    "neither": {"scale": False, "center": False},
    "affine": NORMALS,
    "averages": AVERAGES,
    "all": NORMALS | AVERAGES,
}


class TestModes:
    @pytest.mark.parametrize("mode", BATCH_NORM_MODES)
    @pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
    def test_against_the_definition(self, mode, options, images):
        model = network(options, options)
        expected = reference(model)
        expected.calibrate(images[0], mode)
        assert_matches(model, mode, images, expected)

    @pytest.mark.parametrize("mode", BATCH_NORM_MODES)
    def test_another_axis(self, mode, images):
        # Rows are normalised instead of channels.
        model = network({"axis": 1}, {"axis": 1})
        expected = reference(model, axis=1)
        assert [len(norm["mean"]) for norm in expected.norms] == [4, 2]
        expected.calibrate(images[0], mode)
        assert_matches(model, mode, images, expected)

    def test_modes_differ(self, images):
        model = network()
        features = []
        for mode in BATCH_NORM_MODES:
            program = FeatureProgram(model, mode)
            features.append(program.features(program.initialise(0, 0, images[0]), images[1]))
        assert len({tuple(np.ravel(z).round(3)) for z in features}) == 3

    def test_one_update_is_that_of_keras_itself(self, images):
        """A training-mode call on a model that holds the drawn weights moves its averages alike."""
        model = network(NORMALS | AVERAGES)
        initial = FeatureProgram(model, "initial").initialise(5, 2, None)
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        for variable, value in zip(
            variables, [*initial.trainable, *initial.non_trainable], strict=True
        ):
            variable.assign(value)
        model(images[0], training=True)
        program = FeatureProgram(model, "one_update")
        weights = program.initialise(5, 2, images[0])
        for variable, value in zip(
            model.non_trainable_variables, weights.non_trainable, strict=True
        ):
            np.testing.assert_allclose(value, variable.numpy(), rtol=1e-5, atol=1e-6)
        expected = model(images[1], training=False)
        np.testing.assert_allclose(program.features(weights, images[1]), expected, rtol=1e-5)

    def test_batch_statistics_normalise_the_calibration_batch(self, images):
        model = keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(4, 3),
                layers.BatchNormalization(epsilon=1e-9),
                layers.Flatten(),
            ]
        )
        program = FeatureProgram(model, "batch_statistics")
        weights = program.initialise(0, 0, images[0])
        outputs = program.features(weights, images[0]).numpy().reshape(-1, 4)
        np.testing.assert_allclose(outputs.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(outputs.std(0), 1, atol=1e-4)

    def test_high_momentum_loses_no_digits(self, images):
        # In float32, (0.9999 * 1 + 0.0001 * variance - 0.9999) / 0.0001 would have three digits.
        model = network({"momentum": 0.9999}, {"momentum": 0.9999})
        expected = reference(model)
        expected.calibrate(images[0], "batch_statistics")
        assert_matches(model, "batch_statistics", images, expected)

    def test_momentum_of_zero_is_the_batch(self, images):
        model = network({"momentum": 0.0}, {"momentum": 0.0})
        expected = reference(model)
        expected.calibrate(images[0], "batch_statistics")
        assert_matches(model, "one_update", images, expected)

    def test_under_a_mixed_policy_averages_stay_in_float32(self, images):
        options = {"dtype": "mixed_bfloat16"}
        model = network(options, options)
        weights = FeatureProgram(model, "one_update").initialise(3, 1, images[0])
        assert {value.dtype.name for value in weights.non_trainable} == {"float32"}
        expected = reference(model)
        expected.calibrate(images[0], "one_update")
        norms = [x for x in by_layer(model, weights) if "moving_mean" in x]
        for got, want in zip(norms, expected.norms, strict=True):
            np.testing.assert_allclose(got["moving_variance"], want["variance"], rtol=0.02)


class TestWhatIsCalibrated:
    def test_calibrates(self):
        model = network()
        assert [FeatureProgram(model, mode).calibrates for mode in BATCH_NORM_MODES] == [
            True,
            True,
            False,
        ]

    @pytest.mark.parametrize("mode", BATCH_NORM_MODES)
    def test_model_without_batch_norm(self, mode, images):
        model = keras.Sequential(
            [keras.Input((6, 6, 3)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()]
        )
        program = FeatureProgram(model, mode)
        assert not program.calibrates
        weights = program.initialise(0, 0, None)
        expected = convolve(images[1], weights.trainable[0].numpy()).mean((1, 2))
        np.testing.assert_allclose(program.features(weights, images[1]), expected, rtol=1e-4)

    @pytest.mark.parametrize("mode", BATCH_NORM_MODES)
    def test_a_frozen_layer_keeps_its_averages(self, mode, images):
        model = network(AVERAGES)
        model.layers[1].trainable = False
        calibration, others = images
        program = FeatureProgram(model, mode)
        weights = program.initialise(3, 1, calibration)
        frozen, free = (x for x in by_layer(model, weights) if "moving_mean" in x)
        np.testing.assert_allclose(frozen["moving_mean"], -0.7)
        np.testing.assert_allclose(frozen["moving_variance"], 2.5)
        # It normalises the batch by its averages too, so what lies behind it is calibrated on that.
        expected = reference(model)
        first, second = expected.norms
        x = np.maximum(expected.normalise(convolve(calibration, expected.kernels[0]), first), 0)
        x = convolve(x, expected.kernels[1])
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        share = {"one_update": 1 - MOMENTA[1], "batch_statistics": 1.0, "initial": 0.0}[mode]
        second["mean"] = share * mean
        second["variance"] = 1 - share + share * variance
        np.testing.assert_allclose(free["moving_mean"], second["mean"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(free["moving_variance"], second["variance"], rtol=1e-4)
        got = program.features(weights, others)
        np.testing.assert_allclose(got, expected.features(others), rtol=1e-3, atol=1e-4)

    def test_all_layers_frozen(self):
        model = network()
        model.trainable = False
        assert not FeatureProgram(model, "one_update").calibrates

    def test_nested_models(self, images):
        """The order of non-trainable variables is not that of the layers."""
        inner = network()
        outer = keras.Sequential([keras.Input((6, 6, 3)), layers.Dropout(0.0), inner])
        weights = FeatureProgram(outer, "one_update").initialise(3, 1, images[0])
        values = {
            id(v): t.numpy()
            for v, t in zip(outer.non_trainable_variables, weights.non_trainable, strict=True)
        }
        expected = reference(inner)
        kernels = [w.numpy() for w in weights.trainable if w.shape.rank == 4]
        expected.kernels = kernels
        expected.calibrate(images[0], "one_update")
        norms = [x for x in inner.layers if isinstance(x, layers.BatchNormalization)]
        for norm, want in zip(norms, expected.norms, strict=True):
            np.testing.assert_allclose(values[id(norm.moving_mean)], want["mean"], atol=1e-5)
            np.testing.assert_allclose(
                values[id(norm.moving_variance)], want["variance"], rtol=1e-4
            )

    def test_random_layers_act_in_calibration_only(self, images):
        def build(rate):
            return keras.Sequential(
                [
                    keras.Input((6, 6, 3)),
                    layers.Dropout(rate),
                    layers.Conv2D(4, 3),
                    layers.BatchNormalization(momentum=0.0),
                    layers.GlobalAveragePooling2D(),
                ]
            )

        calibrated = []
        for rate, initialisation in ((0.0, 0), (0.5, 0), (0.5, 0), (0.5, 1)):
            program = FeatureProgram(build(rate), "one_update")
            weights = program.initialise(0, initialisation, images[0])
            calibrated.append(weights.non_trainable[-1].numpy())
            # In inference mode a second run gives the same.
            first, second = (program.features(weights, images[1]) for _ in range(2))
            np.testing.assert_array_equal(first, second)
        without, dropped, again, other = calibrated
        np.testing.assert_array_equal(dropped, again)
        # Half of the inputs doubled: the variance grows.
        assert dropped.mean() > 1.2 * without.mean()
        assert not np.array_equal(dropped, other)

    @pytest.mark.parametrize("in_graph", [False, True])
    def test_the_models_own_variables_do_not_change(self, in_graph, images):
        model = network()
        before = [v.numpy() for v in model.variables]
        program = FeatureProgram(model, "one_update")

        def run():
            return program.features(program.initialise(0, 0, images[0]), images[1])

        (tf.function(run) if in_graph else run)()
        for variable, value in zip(model.variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)


class Subclassed(keras.Model):
    """Convolution, batch normalisation, pool: what a user's own model may look like."""

    def __init__(self):
        super().__init__()
        self.convolution = layers.Conv2D(4, 3, use_bias=False)
        self.norm = layers.BatchNormalization(momentum=0.6, epsilon=EPSILON)
        self.pool = layers.GlobalAveragePooling2D()

    def call(self, x, training=None):
        # Keras hands `training` on to the layers.
        return self.pool(self.norm(self.convolution(x)))


class WithoutTrainingArgument(Subclassed):
    def call(self, x):
        return self.pool(self.norm(self.convolution(x)))


class InferenceOnly(Subclassed):
    def call(self, x, training=None):
        return self.pool(self.norm(self.convolution(x), training=False))


class ExplicitTraining(Subclassed):
    def call(self, x, training=None):
        return self.pool(self.norm(self.convolution(x), training=training))


def built(model, images):
    model(images[0])
    return model


class TestSubclassedModels:
    @pytest.mark.parametrize("mode", BATCH_NORM_MODES)
    @pytest.mark.parametrize("kind", [ExplicitTraining, Subclassed, WithoutTrainingArgument])
    def test_training_mode_reaches_the_layers(self, kind, mode, images):
        model = built(kind(), images)
        program = FeatureProgram(model, mode)
        weights = program.initialise(0, 0, images[0])
        (kernel,) = (w.numpy() for w in weights.trainable if w.shape.rank == 4)
        convolved = convolve(images[0], kernel)
        mean, variance = convolved.mean((0, 1, 2)), convolved.var((0, 1, 2))
        share = {"one_update": 0.4, "batch_statistics": 1.0, "initial": 0.0}[mode]
        mean, variance = share * mean, 1 - share + share * variance
        np.testing.assert_allclose(weights.non_trainable[0], mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(weights.non_trainable[1], variance, rtol=1e-4)
        expected = (convolve(images[1], kernel) - mean) / np.sqrt(variance + EPSILON)
        got = program.features(weights, images[1])
        np.testing.assert_allclose(got, expected.mean((1, 2)), rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize("mode", ["one_update", "batch_statistics"])
    def test_a_layer_that_training_mode_does_not_reach_keeps_its_averages(self, mode, images):
        model = built(InferenceOnly(), images)
        weights = FeatureProgram(model, mode).initialise(0, 0, images[0])
        np.testing.assert_array_equal(weights.non_trainable[0], np.zeros(4))
        np.testing.assert_array_equal(weights.non_trainable[1], np.ones(4))

    def test_a_layer_that_was_never_called(self, images):
        class Unused(ExplicitTraining):
            def call(self, x, training=None):
                return self.pool(self.convolution(x))

        assert not FeatureProgram(built(Unused(), images), "one_update").calibrates


def shared_norm():
    images = keras.Input((6, 6, 3))
    norm = layers.BatchNormalization(name="twice")
    x = norm(layers.ReLU()(norm(images)))
    return keras.Model(images, layers.GlobalAveragePooling2D()(x))


class TestRefusals:
    def test_unknown_mode(self):
        message = "batch_norm must be one of one_update, batch_statistics, initial, got 'running'"
        with pytest.raises(ValueError, match=message):
            FeatureProgram(network(), "running")

    def test_synchronised(self):
        model = network({"synchronized": True, "name": "sync"})
        with pytest.raises(ValueError, match=r"'sync' synchronises batch statistics.*=False"):
            FeatureProgram(model, "one_update")
        # Nothing is calibrated, so nothing is synchronised.
        FeatureProgram(model, "initial")

    @pytest.mark.skipif(
        "renorm" not in inspect.signature(layers.BatchNormalization).parameters,
        reason="this Keras has no batch renormalisation",
    )
    def test_batch_renormalisation(self):
        model = network({"renorm": True, "name": "renorm"})
        with pytest.raises(ValueError, match="layer 'renorm' renormalises"):
            FeatureProgram(model, "one_update")
        FeatureProgram(model, "initial")

    @pytest.mark.parametrize("mode", ["one_update", "batch_statistics"])
    def test_momentum_of_one(self, mode):
        model = network({"momentum": 1.0})
        with pytest.raises(ValueError, match="momentum 1, so no batch can calibrate it"):
            FeatureProgram(model, mode)
        FeatureProgram(model, "initial")

    @pytest.mark.parametrize("mode", ["one_update", "batch_statistics"])
    def test_a_layer_called_twice(self, mode, images):
        with pytest.raises(ValueError, match="'twice/moving_mean' is updated more than once"):
            FeatureProgram(shared_norm(), mode).initialise(0, 0, images[0])

    def test_features_that_are_no_vectors(self, images):
        model = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3)], name="maps")
        program = FeatureProgram(model, "initial")
        weights = program.initialise(0, 0, None)
        with pytest.raises(ValueError, match=r"features must be one tensor \[N, C\].*'maps'"):
            program.features(weights, images[1])


class TestOutputs:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
    def test_dtype(self, dtype, policy, images):
        model = keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(4, 3, dtype=policy),
                layers.GlobalAveragePooling2D(dtype=policy),
            ]
        )
        program = FeatureProgram(model, "initial", dtype)
        features = program.features(program.initialise(0, 0, None), images[1])
        assert (features.dtype.name, features.shape) == (dtype, (5, 4))
        assert program.output_dtype == dtype
