"""Kernels of any Keras model: what is estimated, how exactly, and what is refused."""

import builtins
import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from nngp_tf.kernels import UnresolvedKernelWarning, monte_carlo_kernel, precision, running_kernels
from nngp_tf.kernels.features import FeatureProgram
from nngp_tf.models import MnasNetwork, Nasbench101Network, build_nasbench101
from nngp_tf.search_spaces import mnas
from tests.golden import RESNET

layers = keras.layers

NUM_TRAIN, NUM_TEST = 7, 4
ARRAYS = ("train_train", "test_train", "test_test_diag", "features")


def images(number=NUM_TRAIN + NUM_TEST, size=8, seed=0):
    return np.random.default_rng(seed).normal(size=(number, size, size, 3)).astype("float32")


X_TRAIN, X_TEST = np.split(images(), [NUM_TRAIN])
X_TRAIN_32, X_TEST_32 = np.split(images(size=32), [NUM_TRAIN])
TINY_CELL = Nasbench101Network(RESNET, (32, 32, 3), stem_filters=4, num_stacks=1)
TINY_MNAS = MnasNetwork(
    mnas.Network.from_blocks([(1, "mbconv", 3, 3, 0.25, 8)] * 7, stem_filters=8), (32, 32, 3)
)


def small(dtype=None):
    """A user's own network, with batch normalisation and dropout."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, dtype=dtype),
            layers.BatchNormalization(momentum=0.5, dtype=dtype),
            layers.ReLU(dtype=dtype),
            layers.Dropout(0.2, dtype=dtype),
            layers.Conv2D(5, 3, dtype=dtype, name="maps"),
            layers.GlobalAveragePooling2D(name="features", dtype=dtype),
            layers.Dense(3, dtype=dtype),
        ],
        name="small",
    )


def estimate(model=None, x_train=X_TRAIN, x_test=X_TEST, num_inits=2, **options):
    """A kernel in float32, whatever the device prefers."""
    return monte_carlo_kernel(
        model or small(), x_train, x_test, num_inits, **{"compute_dtype": "float32"} | options
    )


def assert_equal(one, two):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def assert_close(one, two, tolerance):
    """Relative to the largest entry."""
    for name in ARRAYS:
        got, want = getattr(one, name), getattr(two, name)
        if want is not None:
            assert np.abs(got - want).max() <= tolerance * np.abs(want).max(), name


def relative_error(kernel, reference):
    """In the Frobenius norm."""
    return np.linalg.norm(kernel - reference) / np.linalg.norm(reference)


@pytest.mark.fast
class TestResults:
    def test_shapes_and_dtypes(self):
        kernel = estimate(num_inits=3, keep_features=True)
        assert kernel.train_train.shape == (NUM_TRAIN, NUM_TRAIN)
        assert kernel.test_train.shape == (NUM_TEST, NUM_TRAIN)
        assert kernel.test_test_diag.shape == (NUM_TEST,)
        assert kernel.features.shape == (3, NUM_TRAIN + NUM_TEST, 5)
        assert {getattr(kernel, name).dtype.name for name in ARRAYS[:3]} == {"float64"}
        assert kernel.features.dtype == np.float32
        assert (kernel.num_inits, kernel.first_init, kernel.num_train) == (3, 0, NUM_TRAIN)

    def test_is_a_kernel(self):
        kernel = estimate(num_inits=3)
        np.testing.assert_allclose(kernel.train_train, kernel.train_train.T, rtol=1e-12)
        assert np.linalg.eigvalsh(kernel.train_train).min() > -1e-12 * np.trace(kernel.train_train)
        assert (kernel.test_test_diag > 0).all()
        assert kernel.spread > 0
        # Test images that are the training images give the same numbers.
        same = estimate(x_test=X_TRAIN, num_inits=3)
        np.testing.assert_allclose(same.test_train, same.train_train, rtol=1e-5)
        np.testing.assert_allclose(same.test_test_diag, np.diag(same.train_train), rtol=1e-5)

    def test_without_test_images(self):
        kernel = estimate(x_test=None, keep_features=True)
        assert kernel.test_train.shape == (0, NUM_TRAIN)
        assert kernel.test_test_diag.shape == (0,)
        assert kernel.features.shape == (2, NUM_TRAIN, 5)
        assert_close_to = estimate(keep_features=True)
        np.testing.assert_allclose(kernel.train_train, assert_close_to.train_train, rtol=1e-5)

    def test_features_only_on_request(self):
        assert estimate(num_inits=1).features is None

    def test_test_images_do_not_calibrate(self):
        near, far = estimate(), estimate(x_test=100 * X_TEST[:2])
        np.testing.assert_allclose(far.train_train, near.train_train, rtol=1e-5)

    @pytest.mark.parametrize("batch_norm", ["one_update", "batch_statistics", "initial"])
    def test_features_are_those_of_the_program(self, batch_norm):
        """With all images in the calibration batch, their order is all that could differ."""
        model = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                layers.Conv2D(6, 3),
                layers.BatchNormalization(momentum=0.5),
                layers.ReLU(),
                layers.GlobalAveragePooling2D(),
            ]
        )
        options = {"batch_norm": batch_norm, "feature_layer": None, "keep_features": True}
        kernel = estimate(model, num_inits=2, seed=11, first_init=3, **options)
        program = FeatureProgram(model, batch_norm)
        everything = np.concatenate([X_TRAIN, X_TEST])
        for position, initialisation in enumerate((3, 4)):
            weights = program.initialise(11, initialisation, X_TRAIN)
            expected = program.features(weights, everything)
            np.testing.assert_allclose(kernel.features[position], expected, rtol=1e-4, atol=1e-6)

    def test_accepts_lists_and_half_precision_images(self):
        expected = estimate()
        assert_close(estimate(x_train=X_TRAIN.tolist(), x_test=X_TEST.tolist()), expected, 1e-5)
        assert_close(estimate(x_train=X_TRAIN.astype("float16")), expected, 0.01)

    @pytest.mark.parametrize("options", [{"num_inits": np.int64(2)}, {"first_init": np.int64(0)}])
    def test_accepts_numpy_integers(self, options):
        assert_equal(estimate(**options), estimate())

    def test_a_kernel_of_zeros(self):
        """A dead network has a kernel, which tells no images apart."""
        stack = [layers.GlobalAveragePooling2D(), layers.Dense(3, kernel_initializer="zeros")]
        model = keras.Sequential([keras.Input((8, 8, 3)), *stack])
        with pytest.warns(UnresolvedKernelWarning):
            kernel = estimate(model, feature_layer=None)
        assert not kernel.train_train.any()
        assert (kernel.varying_share, kernel.is_resolved) == (0.0, False)


@pytest.mark.slow
class TestHalfPrecisionImages:
    @pytest.mark.parametrize("dtype", [np.float16, tf.bfloat16.as_numpy_dtype])
    @pytest.mark.parametrize("network", [None, TINY_MNAS])
    def test_half_precision_images_count_as_their_values(self, dtype, network):
        images = (X_TRAIN, X_TEST) if network is None else (X_TRAIN_32, X_TEST_32)
        half = [x.astype(dtype) for x in images]
        options = {"batch_size": 5, "keep_features": True}
        got = estimate(network, *half, **options)
        assert_equal(got, estimate(network, *(x.astype("float32") for x in half), **options))

    @pytest.mark.parametrize("network", [TINY_CELL, TINY_MNAS])
    def test_images_may_be_rounded_to_the_compute_dtype_before(self, network):
        options = {"compute_dtype": "bfloat16", "keep_features": True}
        rounded = [x.astype(tf.bfloat16.as_numpy_dtype) for x in (X_TRAIN_32, X_TEST_32)]
        assert_equal(
            estimate(network, *rounded, **options),
            estimate(network, X_TRAIN_32, X_TEST_32, **options),
        )


@pytest.mark.fast
class TestSeedsAndCounts:
    def test_same_seed_same_kernel(self):
        assert_equal(estimate(seed=5, keep_features=True), estimate(seed=5, keep_features=True))

    def test_other_seeds_and_initialisations_differ(self):
        features = [
            estimate(seed=seed, first_init=first, keep_features=True).features
            for seed, first in ((0, 0), (1, 0), (2**31 - 1, 0), (0, 2), (0, 2**20))
        ]
        drawn = np.concatenate(features)
        assert np.isfinite(drawn).all()
        distances = np.abs(drawn[:, None] - drawn[None]).max((2, 3))
        np.fill_diagonal(distances, np.inf)
        assert distances.min() > 1e-3

    def test_running_estimates(self):
        counts = (1, 2, 4, 5)
        kernels = list(
            running_kernels(
                small(),
                X_TRAIN,
                X_TEST,
                counts,
                seed=3,
                compute_dtype="float32",
                keep_features=True,
            )
        )
        assert [kernel.num_inits for kernel in kernels] == list(counts)
        assert {kernel.first_init for kernel in kernels} == {0}
        for count, kernel in zip(counts, kernels, strict=True):
            single = estimate(num_inits=count, seed=3, keep_features=True)
            assert_close(kernel, single, 1e-6)
            np.testing.assert_allclose(kernel.spread, single.spread, rtol=1e-4)
            # A longer estimate begins with the shorter one.
            np.testing.assert_array_equal(kernel.features, kernels[-1].features[:count])

    def test_estimates_come_as_they_are_asked_for(self):
        kernels = running_kernels(small(), X_TRAIN, None, (1, 10**6), compute_dtype="float32")
        assert next(kernels).num_inits == 1
        kernels.close()

    def test_counts_share_a_program(self):
        """Tracing takes longer than running, so parts of one layout are traced once."""
        traced = []

        class Noted(layers.Layer):
            def call(self, x):
                traced.append(x.shape)
                return x

        stack = [layers.Conv2D(4, 3), Noted(), layers.GlobalAveragePooling2D(name="features")]
        model = keras.Sequential([keras.Input((8, 8, 3)), *stack])
        kernels = running_kernels(model, X_TRAIN, None, (1, 2, 4, 7), compute_dtype="float32")
        next(kernels)
        after_one = len(traced)
        assert [kernel.num_inits for kernel in kernels] == [2, 4, 7]
        assert len(traced) == after_one

    def test_continuing(self):
        first, second = estimate(num_inits=2), estimate(num_inits=3, first_init=2)
        assert_close(first.join(second), estimate(num_inits=5), 1e-6)

    def test_variables_of_the_model_play_no_part_and_do_not_change(self):
        model = small()
        expected = estimate(model)
        for variable in model.variables:
            variable.assign(np.full(variable.shape, 3))
        assert_equal(estimate(model), expected)
        for variable in model.variables:
            assert (variable.numpy() == 3).all()

    def test_a_compiled_and_trained_model_is_as_good(self):
        model = small()
        expected = estimate(model)
        model.compile("adam", "mse", metrics=["mae"])
        model.fit(X_TRAIN, np.zeros((NUM_TRAIN, 3)), verbose=0)
        assert_equal(estimate(model), expected)


@pytest.mark.fast
class TestCalibrationBatch:
    """A network that reveals its calibration images: features are pixels minus the batch mean."""

    NUM_IMAGES = 6

    def means(self, calibration_size, **options):
        """The mean of each initialisation's calibration images; image i is 2**i everywhere."""
        values = 2.0 ** np.arange(self.NUM_IMAGES)
        x_train = np.ones((self.NUM_IMAGES, 2, 2, 1), "float32") * values[:, None, None, None]
        # An image among the test images that no calibration batch may hold.
        x_test = np.stack([np.full((2, 2, 1), 1e6, "float32"), x_train[0]])
        norm = layers.BatchNormalization(momentum=0.5, scale=False, center=False, epsilon=1e-3)
        pool = layers.GlobalAveragePooling2D(name="features")
        kernel = estimate(
            # Without variance, features are (x - mean) / sqrt(epsilon); only the mean is wanted.
            keras.Sequential([keras.Input((2, 2, 1)), norm, pool]),
            x_train,
            x_test,
            batch_norm="batch_statistics",
            calibration_size=calibration_size,
            keep_features=True,
            **options,
        )
        z = kernel.features[:, : self.NUM_IMAGES, 0].astype("float64")
        slopes = (z[:, -1] - z[:, 0]) / (values[-1] - values[0])
        # A single image has no variance: the slope is 1 / sqrt(epsilon) then.
        return values[0] - z[:, 0] / slopes

    def test_one_image(self):
        means = self.means(1, num_inits=60)
        drawn = np.log2(means).round(3)
        # Each of the six training images, and no other; a missing one has probability 1e-4.
        assert set(drawn) == set(range(self.NUM_IMAGES))

    def test_without_replacement(self):
        sums = np.round(2 * self.means(2, num_inits=150), 2)
        pairs = {2**i + 2**j for i in range(self.NUM_IMAGES) for j in range(i)}
        # Sums of two different powers: an image drawn twice would give a power of two.
        assert set(sums) == pairs

    def test_all_images(self):
        means = self.means(self.NUM_IMAGES, num_inits=3)
        np.testing.assert_allclose(means, (2**self.NUM_IMAGES - 1) / self.NUM_IMAGES, rtol=1e-4)

    def test_default_is_all_of_few(self):
        np.testing.assert_allclose(self.means(None), self.means(self.NUM_IMAGES), rtol=1e-6)

    def test_depends_on_seed_and_initialisation_only(self):
        means = self.means(2, num_inits=6, seed=9)
        np.testing.assert_allclose(self.means(2, num_inits=2, first_init=4, seed=9), means[4:])
        assert len(set(np.round(means, 2))) > 1
        assert not np.allclose(self.means(2, num_inits=6, seed=10), means)


def arc_cosine_kernel(x, y):
    """Order 1 (Cho & Saul 2009): E[relu(w.x) relu(w.y)] over w of independent unit normals."""
    norms = np.linalg.norm(x, axis=-1)[:, None] * np.linalg.norm(y, axis=-1)
    cosine = np.clip(x @ y.T / norms, -1, 1)
    angle = np.arccos(cosine)
    return norms * (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi)


def one_hidden_layer(width, weight_std=1.0, bias_std=0.0):
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Flatten(),
            layers.Dense(
                width,
                "relu",
                kernel_initializer=keras.initializers.RandomNormal(stddev=weight_std),
                bias_initializer=keras.initializers.RandomNormal(stddev=bias_std),
                name="features",
            ),
        ]
    )


@pytest.mark.slow
class TestTheory:
    NUM_TRAIN = 12

    def data(self):
        x = np.random.default_rng(1).normal(size=(self.NUM_TRAIN + 5, 4, 4, 1)).astype("float32")
        return x[: self.NUM_TRAIN], x[self.NUM_TRAIN :]

    @pytest.mark.parametrize("compute_dtype", ["float32", "float64", "bfloat16"])
    @pytest.mark.parametrize(("weight_std", "bias_std"), [(1.0, 0.0), (0.5, 0.0), (0.7, 1.5)])
    def test_wide_relu_layer_has_the_arc_cosine_kernel(self, weight_std, bias_std, compute_dtype):
        width, num_inits = 2048, 8
        x_train, x_test = self.data()
        kernel = estimate(
            one_hidden_layer(width, weight_std, bias_std),
            x_train,
            x_test,
            num_inits,
            compute_dtype=compute_dtype,
            keep_features=True,
        )
        # A bias is the weight of one more input.
        x = np.concatenate([x_train, x_test]).reshape(-1, 16).astype("float64")
        x = np.column_stack([weight_std * x, np.full(len(x), bias_std)])
        expected = arc_cosine_kernel(x, x)
        # Units are independent and alike, so the kernel's 143 different entries are means over
        # 16,384 vectors of products, and their deviation from the truth, measured by the covariance
        # of these vectors (Hotelling's T^2), is a chi-square of 143 degrees of freedom.
        n = self.NUM_TRAIN
        pairs = [(i, j) for i in range(len(x)) for j in range(n) if i >= n or i >= j]
        pairs += [(i, i) for i in range(n, len(x))]
        rows, columns = np.transpose(pairs)
        full = np.vstack([kernel.train_train, kernel.test_train])
        entries = [full[i, j] if j < n else kernel.test_test_diag[i - n] for i, j in pairs]
        deviation = np.array(entries) / width - expected[rows, columns]
        z = kernel.features.astype("float64").transpose(0, 2, 1).reshape(-1, len(x))
        covariance = np.cov(z[:, rows] * z[:, columns], rowvar=False) / len(z)
        statistic = deviation @ np.linalg.solve(covariance, deviation)
        assert len(pairs) == 78 + 60 + 5
        low, high = stats.chi2(len(pairs)).ppf([5e-4, 1 - 5e-4])
        assert low < statistic < high
        # Which leaves no room for errors that matter: entries are known to 1 to 4 per cent.
        assert (np.sqrt(np.diag(covariance)) / expected[rows, columns]).max() < 0.04

    def test_error_falls_with_the_square_root_of_the_number_of_initialisations(self):
        width = 32
        counts = 2 ** np.arange(7)
        x_train, _ = self.data()
        flat = x_train.reshape(self.NUM_TRAIN, -1).astype("float64")
        expected = arc_cosine_kernel(flat, flat)
        model = one_hidden_layer(width)
        squares, predictions = [], []
        for seed in range(10):
            kernels = list(
                running_kernels(
                    model, x_train, None, counts.tolist(), seed=seed, compute_dtype="float32"
                )
            )
            squares.append([relative_error(k.train_train / width, expected) ** 2 for k in kernels])
            predictions.append(kernels[-1].spread)
        errors = np.sqrt(np.mean(squares, axis=0))
        slope, _ = np.polyfit(np.log(counts), np.log(errors), 1)
        # Over ten seeds the root mean squares are known to about a tenth, the slope to 0.03.
        assert abs(slope + 0.5) < 0.12
        # The spread over initialisations foretells the error against the truth.
        foretold = np.mean(predictions) / np.sqrt(counts)
        np.testing.assert_allclose(errors, foretold, rtol=0.4)


@pytest.mark.slow
class TestPrecision:
    def test_gram_products_are_float64(self):
        """Fails for a single bfloat16 pass (2**-8), TF32 (2**-11) and float32 (2**-24) alike."""
        rng = np.random.default_rng(0)
        values = 1 + 1e-3 * rng.normal(size=(9, 20, 20, 1)).astype("float32")
        model = keras.Sequential([keras.Input((20, 20, 1)), layers.Flatten(name="features")])
        kernel = estimate(model, values[:6], values[6:], num_inits=1, keep_features=True)
        z = kernel.features[0]
        np.testing.assert_array_equal(z, values.reshape(9, -1))
        exact = z.astype("float64") @ z.astype("float64").T
        for got, want in (
            (kernel.train_train, exact[:6, :6]),
            (kernel.test_train, exact[6:, :6]),
            (kernel.test_test_diag, np.diag(exact)[6:]),
        ):
            np.testing.assert_allclose(got, want, rtol=1e-14)
        # The control: float32 is further off than that.
        assert np.abs((z @ z.T).astype("float64") / exact - 1).max() > 1e-9

    def test_bfloat16_is_close_to_float32(self):
        model = build_nasbench101(RESNET, (8, 8, 3), stem_filters=16, modules_per_stack=1)
        x = images(24)
        options = {"batch_norm": "batch_statistics", "calibration_size": 16}
        exact = estimate(model, x[:16], x[16:], num_inits=2, **options)
        rough = estimate(model, x[:16], x[16:], 2, compute_dtype="bfloat16", **options)
        # Not equal, or nothing was computed in bfloat16.
        assert 1e-5 < relative_error(rough.train_train, exact.train_train) < 0.01
        assert relative_error(rough.test_train, exact.test_train) < 0.01
        # What tells images apart is kept: the kernel without its mean.
        off = ~np.eye(16, dtype=bool)
        correlation = np.corrcoef(rough.train_train[off], exact.train_train[off])[0, 1]
        assert correlation > 0.99

    def test_float64_is_close_to_float32(self):
        model = small()
        exact = estimate(
            model, X_TRAIN.astype("float64"), X_TEST, compute_dtype="float64", keep_features=True
        )
        assert exact.features.dtype == np.float64
        # Random numbers of another dtype are other numbers, so only the size can be compared.
        assert 0.1 < np.trace(exact.train_train) / np.trace(estimate(model).train_train) < 10
        assert np.abs(exact.features - exact.features.astype("float32")).max() > 0

    @pytest.mark.parametrize(
        ("compute_dtype", "policy"),
        [
            ("bfloat16", "mixed_bfloat16"),
            ("float16", "mixed_float16"),
            ("float64", "float64"),
            ("float32", "float32"),
        ],
    )
    def test_a_model_is_converted_as_if_built_under_the_policy(self, compute_dtype, policy):
        built = estimate(small(policy), compute_dtype=compute_dtype, keep_features=True)
        for other in ("float32", "mixed_bfloat16", "float64"):
            converted = estimate(small(other), compute_dtype=compute_dtype, keep_features=True)
            # In low precision the pool may be spared, which is a rounding of 8 bits.
            assert_close(converted, built, 0.01 if "mixed" in policy else 0.0)

    def test_conversion_keeps_features_in_float32(self):
        size = {"stem_filters": 8, "modules_per_stack": 1}
        model = build_nasbench101(RESNET, (8, 8, 3), **size)
        built = build_nasbench101(RESNET, (8, 8, 3), **size, dtype_policy="mixed_bfloat16")
        options = {"compute_dtype": "bfloat16", "keep_features": True}
        assert_equal(estimate(model, **options), estimate(built, **options))

    def test_conversion_leaves_the_model_alone(self):
        model = small()
        estimate(model, compute_dtype="bfloat16")
        assert {layer.compute_dtype for layer in model.layers} == {"float32"}

    @pytest.mark.parametrize(
        ("flags", "dtype"), [("fpu avx512f", "float32"), ("fpu amx_bf16", "bfloat16")]
    )
    def test_the_device_decides_unless_told(self, flags, dtype, monkeypatch):
        def fake_open(path, *args, **options):
            if path == "/proc/cpuinfo":
                return io.StringIO(f"flags : {flags}\n")
            return builtins.open(path, *args, **options)

        monkeypatch.setattr(precision, "open", fake_open, raising=False)
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
        options = {"strategy": strategy, "keep_features": True}
        expected = estimate(compute_dtype=dtype, **options)
        assert_equal(estimate(compute_dtype=None, **options), expected)

    def test_a_models_own_layers_that_cannot_be_copied(self):
        class Bare(layers.Layer):
            """Has no configuration that Keras could rebuild it from."""

            def __init__(self, units, scale):
                super().__init__()
                self.inner = layers.Dense(units * scale)

            def build(self, shape):
                self.inner.build(shape)

            def call(self, x):
                return self.inner(x)

        stack = [layers.GlobalAveragePooling2D(), Bare(2, 2)]
        model = keras.Sequential([keras.Input((8, 8, 3)), *stack])
        # In the dtype that it has, it is as good as any.
        assert estimate(model, feature_layer=None).train_train.any()


class Subclassed(keras.Model):
    """A user's own model whose output is the feature vector."""

    def __init__(self, width=5):
        super().__init__()
        self.convolution = layers.Conv2D(width, 3)
        self.norm = layers.BatchNormalization(momentum=0.5)
        self.pool = layers.GlobalAveragePooling2D()

    def call(self, x, training=None):
        return self.pool(keras.ops.relu(self.norm(self.convolution(x), training=training)))


def subclassed():
    model = Subclassed()
    model(X_TRAIN)
    return model


@pytest.mark.fast
class TestModels:
    def test_subclassed_model(self):
        kernel = estimate(subclassed(), feature_layer=None, keep_features=True)
        inputs = keras.Input((8, 8, 3))
        x = layers.BatchNormalization(momentum=0.5)(layers.Conv2D(5, 3)(inputs))
        twin = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.ReLU()(x)))
        assert_close(kernel, estimate(twin, feature_layer=None, keep_features=True), 1e-5)

    def test_subclassed_model_without_a_training_argument(self):
        class Plain(Subclassed):
            def call(self, x):
                return self.pool(keras.ops.relu(self.norm(self.convolution(x))))

        model = Plain()
        model(X_TRAIN)
        assert_close(
            estimate(model, feature_layer=None), estimate(subclassed(), feature_layer=None), 1e-5
        )

    def test_own_output_of_a_model(self):
        kernel = estimate(feature_layer=None, keep_features=True)
        assert kernel.features.shape == (2, NUM_TRAIN + NUM_TEST, 3)

    def test_model_of_any_image_size(self):
        stack = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(name="features")]
        model = keras.Sequential([keras.Input((None, None, 3)), *stack])
        assert estimate(model).train_train.shape == (NUM_TRAIN, NUM_TRAIN)

    def test_model_with_several_outputs(self):
        inputs = keras.Input((8, 8, 3))
        pooled = layers.GlobalAveragePooling2D(name="features")(layers.Conv2D(4, 3)(inputs))
        model = keras.Model(inputs, [layers.Dense(2)(pooled), layers.Dense(3)(pooled)])
        assert estimate(model, keep_features=True).features.shape[-1] == 4

    def test_model_without_weights(self):
        model = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(name="features")])
        kernel = estimate(model)
        flat = X_TRAIN.reshape(NUM_TRAIN, -1).astype("float64")
        np.testing.assert_allclose(kernel.train_train, flat @ flat.T, rtol=1e-6)
        assert kernel.spread < 1e-6


@pytest.mark.slow
class TestApplications:
    def test_resnet(self):
        model = keras.applications.ResNet50V2(weights=None, input_shape=(32, 32, 3), classes=10)
        x = images(10, 32)
        options = {"feature_layer": "avg_pool", "batch_norm": "batch_statistics"}
        kernel = estimate(model, x[:6], x[6:], 2, keep_features=True, **options)
        assert kernel.features.shape == (2, 10, 2048)
        assert np.isfinite(kernel.features).all()
        for z in kernel.features:
            assert np.linalg.matrix_rank(z) == 10
        again = estimate(model, x[:6], x[6:], 1, first_init=1, keep_features=True, **options)
        np.testing.assert_allclose(again.features[0], kernel.features[1], rtol=1e-3, atol=1e-4)


def with_value(x, value):
    changed = x.copy()
    changed[1, 2, 3, 0] = value
    return changed


def call(model=None, x_train=X_TRAIN, x_test=X_TEST, num_inits=(1, 2), **options):
    """Calls without asking for a kernel: what is wrong must show by now."""
    return running_kernels(
        model or small(), x_train, x_test, num_inits, **{"compute_dtype": "float32"} | options
    )


ONES = np.ones_like(X_TRAIN)
ERRORS = [
    ({"x_train": with_value(X_TRAIN, np.nan)}, "x_train holds a NaN or an infinity.*in input 1"),
    ({"x_train": with_value(X_TRAIN, np.inf)}, "x_train holds a NaN or an infinity.*in input 1"),
    ({"x_test": with_value(X_TEST, np.nan)}, "x_test holds a NaN or an infinity.*in input 1"),
    ({"x_train": ONES}, "x_train is 1.0 everywhere"),
    ({"x_test": np.zeros_like(X_TEST)}, "x_test is 0.0 everywhere"),
    ({"x_train": (9 * X_TRAIN).astype("uint8")}, "x_train has dtype uint8, expected floating"),
    ({"x_test": (9 * X_TEST).astype("int64")}, "x_test has dtype int64, expected floating"),
    ({"x_train": X_TRAIN[0]}, r"x_train has shape \[8, 8, 3\].*takes \[N, 8, 8, 3\].*a batch"),
    ({"x_test": X_TEST[0]}, r"x_test has shape \[8, 8, 3\].*takes \[N, 8, 8, 3\].*a batch"),
    ({"x_train": X_TRAIN[:0]}, r"x_train has shape \[0, 8, 8, 3\].*at least one input"),
    ({"x_test": X_TEST[:, :6]}, r"x_test has shape \[4, 6, 8, 3\].*takes \[N, 8, 8, 3\]"),
    ({"x_train": X_TRAIN[:, :6]}, r"x_train has shape \[7, 6, 8, 3\].*takes \[N, 8, 8, 3\]"),
    ({"x_train": X_TRAIN[..., :1]}, r"x_train has shape \[7, 8, 8, 1\].*takes \[N, 8, 8, 3\]"),
    ({"batch_size": 12}, "batch_size must lie between 1 and the 11 images, got 12"),
    ({"batch_size": 0}, "batch_size must lie between 1 and the 11 images, got 0"),
    ({"calibration_size": 8}, "calibration_size must lie between 1 and the 7 images, got 8"),
    ({"calibration_size": 0}, "calibration_size must lie between 1 and the 7 images, got 0"),
    ({"batch_norm": "none"}, "batch_norm must be one of one_update.*got 'none'"),
    ({"compute_dtype": "half"}, "compute_dtype must be one of float32.*got 'half'"),
    ({"feature_layer": "pool"}, "'small' has no layer named 'pool'.*features, dense"),
    ({"feature_layer": "maps"}, r"'maps' has shape .*features must be \[N, C\]"),
    ({"seed": -1}, "seed must lie in 0 to .*got -1"),
    ({"seed": 2**31}, "seed must lie in 0 to .*got 2147483648"),
    ({"num_inits": (0, 1)}, "num_inits must be positive and increasing, got .0, 1."),
    ({"num_inits": (2, 1)}, "num_inits must be positive and increasing, got .2, 1."),
    ({"num_inits": (1, 1)}, "num_inits must be positive and increasing, got .1, 1."),
    ({"num_inits": ()}, "num_inits must be positive and increasing, got .."),
    ({"first_init": -1}, "initialisations must lie in 0 to"),
    ({"first_init": 2**31}, "initialisations must lie in 0 to"),
]


def two_inputs():
    one, two = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    return keras.Model([one, two], layers.GlobalAveragePooling2D()(layers.Add()([one, two])))


def flat_input():
    return keras.Sequential([keras.Input((192,)), layers.Dense(3)])


def unbuilt():
    return keras.Sequential([layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()])


def subclassed_maps():
    class Maps(keras.Model):
        def __init__(self):
            super().__init__()
            self.convolution = layers.Conv2D(4, 3)

        def call(self, x, training=None):
            return self.convolution(x)

    model = Maps()
    model(X_TRAIN)
    return model


def undrawable():
    class Numpy(keras.initializers.Initializer):
        def __init__(self, seed=None):
            self.seed = seed

        def __call__(self, shape, dtype=None):
            return np.random.default_rng(self.seed).normal(size=shape).astype(dtype)

    stack = [layers.GlobalAveragePooling2D(), layers.Dense(3, kernel_initializer=Numpy(0))]
    return keras.Sequential([keras.Input((8, 8, 3)), *stack])


@pytest.mark.fast
class TestErrors:
    """All are raised by the call, before a kernel is asked for."""

    @pytest.mark.parametrize(("options", "message"), ERRORS)
    def test_one_sentence_says_what_is_wrong(self, options, message):
        with pytest.raises(ValueError, match=message):
            call(**options)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"x_train": X_TRAIN[:, :6], "x_test": None}, r"takes \[N, 8, 8, 3\]"),
            ({"batch_norm": "none"}, "batch_norm must be one of"),
            ({"compute_dtype": "half"}, "compute_dtype must be one of"),
            ({"seed": -1}, "seed must lie in"),
            *(
                pytest.param(
                    {"feature_layer": layer},
                    "feature_layer",
                )
                for layer in ("logits", None)
            ),
        ],
    )
    def test_networks_of_nasbench101(self, options, message):
        network = Nasbench101Network(RESNET, (8, 8, 3), stem_filters=8, modules_per_stack=1)
        with pytest.raises(ValueError, match=message):
            call(network, **options)

    def test_single_count(self):
        with pytest.raises(ValueError, match="num_inits must be positive"):
            monte_carlo_kernel(small(), X_TRAIN, num_inits=0)

    def test_not_a_model(self):
        with pytest.raises(ValueError, match=r"expected a keras\.Model, got str"):
            call("small")

    def test_model_that_cannot_be_drawn(self):
        lstm = layers.LSTM(2, bias_initializer="random_normal", name="features")
        stack = [layers.Reshape((8, 24)), lstm]
        with pytest.raises(ValueError, match=r"variable 'bias' of layer .*LSTMCell"):
            call(keras.Sequential([keras.Input((8, 8, 3)), *stack]))

    def test_synchronised_batch_norm(self):
        norm = layers.BatchNormalization(synchronized=True)
        stack = [norm, layers.GlobalAveragePooling2D(name="features")]
        with pytest.raises(ValueError, match="synchronises batch statistics"):
            call(keras.Sequential([keras.Input((8, 8, 3)), *stack]))

    def test_subclassed_model_in_another_dtype(self):
        with pytest.raises(ValueError, match="Subclassed cannot be copied to compute in bfloat16"):
            call(subclassed(), feature_layer=None, compute_dtype="bfloat16")

    def test_subclassed_model_has_no_layers_to_name(self):
        with pytest.raises(ValueError, match="Subclassed has no graph to cut at layer 'features'"):
            call(subclassed())

    @pytest.mark.parametrize(
        "build", [two_inputs, flat_input, unbuilt, subclassed_maps, undrawable]
    )
    def test_model_that_does_not_fit(self, build):
        with pytest.raises(ValueError):
            call(build(), feature_layer=None)
