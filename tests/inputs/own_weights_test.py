"""A model's own weights: taken as given, and missed if they are drawn anew."""

import os
import pathlib
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import logging

from nngp_tf.kernels import monte_carlo_kernel, running_kernels
from nngp_tf.kernels.weights import WeightSampler
from nngp_tf.models import MnasNetwork, Nasbench101Network, build_nasbench101
from nngp_tf.search_spaces import mnas
from tests.golden import RESNET

pytestmark = pytest.mark.fast

layers = keras.layers
NUM_TRAIN = 7
X = np.random.default_rng(0).normal(1.0, 2.0, size=(11, 8, 8, 3)).astype("float32")
X_TRAIN, X_TEST = np.split(X, [NUM_TRAIN])


def network(momentum=0.6, **options):
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, **options),
            layers.BatchNormalization(momentum=momentum, **options),
            layers.ReLU(**options),
            layers.Dropout(0.2, **options),
            layers.Conv2D(5, 3, **options),
            layers.BatchNormalization(momentum=momentum, **options),
            layers.GlobalAveragePooling2D(name="features", **options),
            layers.Dense(3, **options),
        ],
        name="own",
    )


def trained(model=None, steps=3, **compiling):
    model = model or network()
    model.compile(**{"optimizer": "sgd", "loss": "mse"} | compiling)
    for seed in range(steps):
        labels = np.random.default_rng(seed).normal(size=(NUM_TRAIN, *model.output_shape[1:]))
        model.train_on_batch(X_TRAIN, labels)
    return model


def features(model):
    """What Keras itself computes of all images."""
    return keras.Model(model.inputs, model.get_layer("features").output).predict(X, verbose=0)


def given(model, **options):
    options = {"weights": "as_given", "compute_dtype": "float32", "keep_features": True} | options
    return monte_carlo_kernel(model, X_TRAIN, X_TEST, **options)


def assert_kernel_of(kernel, z, tolerance=1e-5):
    """Compares a kernel with products of features [N + T, C]."""
    z = np.asarray(z, "float64")
    products = z @ z[:NUM_TRAIN].T
    scale = np.abs(products).max()
    assert kernel.features.shape == (1, *z.shape)
    np.testing.assert_allclose(kernel.features[0], z, atol=tolerance * np.abs(z).max())
    for got, want in (
        (kernel.train_train, products[:NUM_TRAIN]),
        (kernel.test_train, products[NUM_TRAIN:]),
        (kernel.test_test_diag, (z[NUM_TRAIN:] ** 2).sum(1)),
    ):
        np.testing.assert_allclose(got, want, atol=tolerance * scale)
    assert (kernel.num_inits, kernel.first_init) == (1, 0)


def run_python(code):
    """Runs a process of its own."""
    root = pathlib.Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )


class TestAsGiven:
    @pytest.mark.parametrize("frozen", [(), (0, 1), (4,), range(8)])
    def test_features_are_those_that_the_model_predicts(self, frozen):
        model = network()
        for index in frozen:
            model.layers[index].trainable = False
        trained(model)
        assert_kernel_of(given(model), features(model))

    @pytest.mark.parametrize(
        ("dtype", "tolerance"), [("float64", 1e-5), ("bfloat16", 0.03), ("float16", 0.01)]
    )
    def test_in_another_dtype(self, dtype, tolerance):
        model = trained()
        assert_kernel_of(given(model, compute_dtype=dtype), features(model), tolerance)

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
    def test_of_a_model_of_another_dtype(self, policy):
        model = trained(network(dtype=policy))
        assert_kernel_of(given(model), features(model), 0.03 if "16" in policy else 1e-5)

    def test_subclassed_model(self):
        class Own(keras.Model):
            def __init__(self):
                super().__init__()
                self.convolution = layers.Conv2D(4, 3)
                self.norm = layers.BatchNormalization()
                self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

            def call(self, x, training=None):
                x = self.norm(self.convolution(x), training=training)
                return self.scale * keras.ops.mean(keras.ops.relu(x), (1, 2))

        model = Own()
        model(X[:1])
        model.compile("sgd", "mse")
        model.fit(X, np.ones((len(X), 4)), verbose=0)
        assert_kernel_of(given(model, feature_layer=None), model.predict(X, verbose=0))

    def test_a_checkpoint(self, tmp_path):
        model = trained()
        expected = features(model)
        model.save_weights(tmp_path / "checkpoint.weights.h5")
        model.save(tmp_path / "model.keras")
        fresh = network()
        fresh.load_weights(tmp_path / "checkpoint.weights.h5")
        assert_kernel_of(given(fresh), expected)
        assert_kernel_of(given(keras.models.load_model(tmp_path / "model.keras")), expected)

    def test_the_values_are_those_of_the_call(self):
        """Of several kernels of one model, whose weights change between them."""
        model = trained()
        first = given(model)
        before = features(model)
        trained(model)
        assert_kernel_of(first, before)
        assert_kernel_of(given(model), features(model))

    def test_the_model_is_left_alone(self):
        model = trained()
        before = [v.numpy() for v in model.variables]
        given(model, batch_norm="one_update")
        for variable, value in zip(model.variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)

    def test_the_seed_plays_no_part(self):
        model = trained()
        np.testing.assert_array_equal(given(model, seed=5).features, given(model).features)

    def test_one_initialisation_by_default(self):
        (kernel,) = running_kernels(trained(), X_TRAIN, weights="as_given", compute_dtype="float32")
        assert kernel.num_inits == 1
        assert monte_carlo_kernel(network(), X_TRAIN, compute_dtype="float32").num_inits == 8

    def test_variables_of_a_strategy(self):
        strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
        with strategy.scope():
            model = trained()
        assert_kernel_of(given(model, strategy=strategy), features(model))
        assert_kernel_of(given(model), features(model))


class TestCalibration:
    """From the model's own averages, on all training images."""

    def test_one_update_is_that_of_keras(self):
        model = trained()
        model.layers[3].rate = 0.0
        kernel = given(model, batch_norm="one_update")
        model(X_TRAIN, training=True)
        assert_kernel_of(kernel, features(model))

    def test_batch_statistics(self):
        model = trained()
        model.layers[3].rate = 0.0
        kernel = given(model, batch_norm="batch_statistics")
        for norm in (model.layers[1], model.layers[5]):
            norm.momentum = 0.0
        model(X_TRAIN, training=True)
        assert_kernel_of(kernel, features(model))

    def test_initial(self):
        model = trained()
        kernel = given(model, batch_norm="initial")
        for norm in (model.layers[1], model.layers[5]):
            norm.moving_mean.assign(np.zeros(norm.moving_mean.shape))
            norm.moving_variance.assign(np.ones(norm.moving_variance.shape))
        assert_kernel_of(kernel, features(model))

    @pytest.mark.parametrize("mode", ["one_update", "batch_statistics", "initial", "as_given"])
    def test_frozen_layers_keep_their_averages(self, mode):
        model = trained()
        model.trainable = False
        assert_kernel_of(given(model, batch_norm=mode), features(model))

    def test_modes_differ(self):
        model = trained()
        modes = (None, "one_update", "batch_statistics", "initial")
        traces = [np.trace(given(model, batch_norm=mode).train_train) for mode in modes]
        assert len(set(np.round(traces, 4))) == 4
        assert np.trace(given(model, batch_norm="as_given").train_train) == traces[0]

    def test_of_drawn_weights_is_one_update_by_default(self):
        model = network()
        options = {"num_inits": 2, "compute_dtype": "float32"}
        default = monte_carlo_kernel(model, X_TRAIN, **options)
        stated = monte_carlo_kernel(model, X_TRAIN, batch_norm="one_update", **options)
        np.testing.assert_array_equal(default.train_train, stated.train_train)


@pytest.mark.slow
def test_devices_give_the_same_kernel():
    """On logical devices, which a process must set up before anything else."""
    code = """
        import tensorflow as tf
        cpus = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpus[0], [tf.config.LogicalDeviceConfiguration()] * 3
        )
        import numpy as np
        from tests.inputs import own_weights_test as t
        strategy = tf.distribute.MirroredStrategy(["cpu:0", "cpu:1", "cpu:2"])
        with strategy.scope():
            model = t.trained()
        for dtype in ("float32", "float64"):
            kernel = t.given(model, strategy=strategy, compute_dtype=dtype, batch_size=2)
            t.assert_kernel_of(kernel, t.features(model))
        options = {"batch_norm": "batch_statistics", "calibration_size": 4}
        one, three = (t.given(model, strategy=s, **options) for s in (None, strategy))
        np.testing.assert_allclose(three.features, one.features, rtol=1e-3, atol=1e-5)
        print("equal")
    """
    run = run_python(code)
    assert run.stdout.splitlines()[-1:] == ["equal"], run.stderr[-2000:]


TINY_CELL = Nasbench101Network(RESNET, (8, 8, 3), stem_filters=4, num_stacks=1)
TINY_MNAS = MnasNetwork(
    mnas.Network.from_blocks([(1, "mbconv", 3, 3, 0.25, 8)] * 7, stem_filters=8), (32, 32, 3)
)


class TestRefusals:
    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_weights_of_a_training_that_diverged(self, bad):
        model = network()
        model.layers[0].kernel.assign(model.layers[0].kernel * bad)
        with pytest.raises(ValueError, match="kernel' holds a NaN or an infinity"):
            monte_carlo_kernel(model, X_TRAIN, weights="as_given")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"num_inits": 2}, r"as_given.*num_inits.*\[2\]"),
            ({"num_inits": 1, "first_init": 1}, "as_given.*first_init"),
            ({"weights": "trained"}, "weights must be one of drawn, as_given, got 'trained'"),
            ({"batch_norm": "own"}, "batch_norm must be one of .*got 'own'"),
            ({"batch_norm": "as_given", "weights": "drawn"}, "weights='as_given'"),
        ],
    )
    def test_one_sentence_says_what_is_wrong(self, options, message):
        with pytest.raises(ValueError, match=message):
            given(network(), **options)

    def test_running_counts(self):
        with pytest.raises(ValueError, match="as_given"):
            running_kernels(network(), X_TRAIN, num_inits=(1, 2), weights="as_given")

    @pytest.mark.parametrize("value", [TINY_CELL, TINY_MNAS])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_a_network_that_is_not_built(self, value, dtype):
        images = np.resize(X_TRAIN, (4, *value.input_shape))
        with pytest.raises(ValueError, match=r"has no weights yet.*build\(\)"):
            monte_carlo_kernel(value, images, weights="as_given", compute_dtype=dtype)


@pytest.fixture
def warnings(monkeypatch):
    """Collects what is warned of."""
    collected = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: collected.append(text % args))
    return collected


def drawn(model, **options):
    options = {"compute_dtype": "float32", "feature_layer": None} | options
    return monte_carlo_kernel(model, X_TRAIN, num_inits=2, **options)


def dense(*stack):
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), *stack])


def bare(**options):
    """Neither biases nor batch normalisation, whose values would tell at once."""
    return dense(layers.Dense(20, use_bias=False, **options), layers.Dense(3, use_bias=False))


def loaded(model, tmp_path):
    trained(model).save(tmp_path / "model.keras")
    return keras.models.load_model(tmp_path / "model.keras")


TRAINED = {
    "batch_norm": lambda path: trained(),
    "one_step": lambda path: trained(steps=1),
    "a_small_step": lambda path: trained(bare(), 1, optimizer=keras.optimizers.SGD(1e-5)),
    "far": lambda path: trained(bare(), 100, optimizer=keras.optimizers.Adam(0.1)),
    "loaded": lambda path: loaded(bare(), path),
    "orthogonal": lambda path: trained(bare(kernel_initializer="orthogonal"), 1),
    "statistics_alone": lambda path: forward(network()),
    "frozen": lambda path: frozen(trained()),
    "pruned_in_place": lambda path: pruned(bare()),
}


def forward(model):
    model(X, training=True)
    return model


def frozen(model):
    model.trainable = False
    return model


def pruned(model):
    kernel = model.layers[1].kernel
    kernel.assign(np.where(np.abs(kernel) > np.median(np.abs(kernel)), kernel, 0))
    return model


class TestWarning:
    @pytest.mark.parametrize("build", TRAINED.values(), ids=TRAINED)
    def test_trained_weights_that_are_drawn_anew(self, build, warnings, tmp_path):
        model = build(tmp_path)
        drawn(model)
        assert len(warnings) == 1
        assert 'weights="as_given"' in warnings[0]
        assert model.name in warnings[0]

    def test_in_another_dtype(self, warnings):
        drawn(trained(), compute_dtype="bfloat16")
        assert len(warnings) == 1

    def test_none_of_given_weights(self, warnings):
        given(trained())
        assert not warnings

    def test_the_draws_are_the_same_with_it(self, warnings):
        model = network()
        expected = drawn(model).train_train
        np.testing.assert_array_equal(drawn(trained(model)).train_train, expected)

    @pytest.mark.slow
    def test_reaches_a_user_who_set_up_no_logging(self):
        code = """
            from tests.inputs import own_weights_test as t
            t.drawn(t.trained(t.bare(), 1))
        """
        run = run_python(code)
        assert run.stderr.count('weights="as_given"') == 1


def mlp(initialiser):
    return dense(layers.Dense(40, kernel_initializer=initialiser), layers.Dense(3))


class TestFreshModels:
    """No fresh draw is taken for a trained one."""

    @pytest.mark.parametrize(
        "initialiser",
        [
            "glorot_uniform",
            "he_normal",
            "lecun_uniform",
            "orthogonal",
            "random_normal",
            "random_uniform",
            "truncated_normal",
            keras.initializers.HeNormal(seed=3),
            keras.initializers.RandomNormal(seed=keras.random.SeedGenerator(3)),
            keras.initializers.VarianceScaling(2.0, "fan_out", "uniform"),
        ],
        ids=lambda given: given if isinstance(given, str) else type(given).__name__,
    )
    def test_of_each_initialiser(self, initialiser, warnings, tmp_path):
        model = mlp(initialiser)
        drawn(model)
        # Another fresh draw, by hand.
        weights = WeightSampler(model).draw(5, 0).trainable
        for variable, value in zip(model.trainable_variables, weights, strict=True):
            variable.assign(value)
        drawn(model)
        assert not warnings

    def test_of_many_models(self):
        """Of layers whose kernels come from a seed that is drawn for each."""

        class Own(layers.Layer):
            def build(self, shape):
                self.one = self.add_weight(shape=(shape[-1], 30), name="one")
                self.two = self.add_weight(shape=(30, 4), initializer="orthogonal", name="two")

            def call(self, x):
                return x @ self.one @ self.two

        for _ in range(60):
            model = dense(Own(), layers.LayerNormalization(), layers.Dense(8), layers.Dropout(0.5))
            assert WeightSampler(model).trained_variable() is None

    @pytest.mark.parametrize(
        "build",
        [
            network,
            lambda: network(dtype="mixed_bfloat16"),
            lambda: network(dtype="float64"),
            lambda: build_nasbench101(RESNET, (8, 8, 3), stem_filters=8, modules_per_stack=1),
            lambda: frozen(network()),
            lambda: TINY_MNAS.build(),
            lambda: TINY_CELL.build("float64"),
        ],
    )
    def test_of_convolutions(self, build):
        assert WeightSampler(build()).trained_variable() is None

    def test_of_a_network_as_a_value(self, warnings):
        monte_carlo_kernel(TINY_CELL, X_TRAIN, num_inits=1, compute_dtype="float64")
        assert not warnings


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetB0", "ConvNeXtTiny"])
def test_fresh_applications(name):
    build = getattr(keras.applications, name)
    model = build(weights=None, include_top=False, input_shape=(32, 32, 3), pooling="avg")
    assert WeightSampler(model).trained_variable() is None
