"""Whether a kernel tells images apart, or is made of rounding errors."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels import (
    MonteCarloKernel,
    UnresolvedKernelWarning,
    monte_carlo_kernel,
    precision,
    running_kernels,
)
from nngp_tf.models import MnasNetwork, Nasbench101Network
from nngp_tf.search_spaces import mnas
from tests.golden import INCEPTION

layers = keras.layers
IMAGES = np.random.default_rng(0).normal(size=(24, 32, 32, 3)).astype("float32")


def collapsing(scale):
    """Features that are 1 and, times `scale`, what tells the images apart."""
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(64, 3, kernel_initializer="he_normal")(images)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    x = layers.Dense(256, kernel_initializer=keras.initializers.RandomNormal(stddev=scale))(x)
    ones = layers.Dense(256, kernel_initializer="zeros", bias_initializer="ones")(x)
    # The last layer keeps its digits, so the sum that loses them must not be it.
    return keras.Model(images, layers.ReLU(name="features")(layers.Add()([ones, x])))


def kernel_of(model, dtype, images=IMAGES[:, :8, :8], **options):
    (kernel,) = running_kernels(model, images, num_inits=(1,), compute_dtype=dtype, **options)
    return kernel


@pytest.mark.fast
@pytest.mark.filterwarnings("ignore::nngp_tf.kernels.UnresolvedKernelWarning")
class TestWhatAPrecisionResolves:
    """Rounding leaves about the square of a dtype's spacing: 6e-5, 1e-14 and 5e-32 of the trace."""

    @pytest.mark.parametrize(
        "scale, resolved_by",
        [
            (1.0, {"bfloat16", "float32", "float64"}),
            (1e-4, {"float32", "float64"}),
            (1e-9, set()),  # Products in float64 hold 16 digits, so 1e-18 is beyond them.
        ],
    )
    def test_by_what_varies(self, scale, resolved_by):
        for dtype in ("bfloat16", "float32", "float64"):
            kernel = kernel_of(collapsing(scale), dtype)
            assert kernel.is_resolved == (dtype in resolved_by), (dtype, kernel.varying_share)
            assert kernel.compute_dtype == dtype

    def test_the_varying_share_is_that_of_the_centred_kernel(self):
        kernel = kernel_of(collapsing(0.1), "float32", keep_features=True)
        (z,) = kernel.features.astype(np.float64)
        centred = z - z.mean(axis=0)
        assert kernel.varying_share == pytest.approx(np.sum(centred**2) / np.sum(z**2), rel=1e-6)

    def test_the_rounding_share_is_near_what_a_higher_precision_shows(self):
        model = collapsing(0.1)
        coarse = kernel_of(model, "bfloat16", keep_features=True)
        # Bfloat16 draws the values that float32 draws.
        fine = kernel_of(model, "float32", keep_features=True)
        error = coarse.features[0] - fine.features[0]
        error -= error.mean(axis=0)
        measured = coarse.rounding_share * np.trace(coarse.train_train)
        assert np.sum(error**2) / 30 < measured < 3 * np.sum(error**2)


def folding(factor, front, shape, dtype=None):
    """Features in which `factor` times what tells the inputs apart goes around a circle."""
    inputs = keras.Input(shape, dtype=dtype)
    x = layers.Dense(64)(layers.Flatten()(front(inputs)))
    return keras.Model(inputs, layers.ReLU(name="features")(keras.ops.sin(factor * x)))


VECTORS = np.random.default_rng(2).normal(size=(20, 12)).astype("float32")
BYTES = np.random.default_rng(2).integers(0, 50, size=(20, 12)).astype("uint8")
BLANK_FIRST = np.where(np.arange(20)[:, None] < 9, np.float32(0.0), VECTORS)
EMBEDDING = layers.Embedding(50, 8, "glorot_uniform")


@pytest.mark.fast
@pytest.mark.filterwarnings("ignore::nngp_tf.kernels.UnresolvedKernelWarning")
@pytest.mark.parametrize(
    "x, front, dtype",
    [
        (VECTORS, layers.Identity(), None),
        (VECTORS.astype("float16"), layers.Identity(), None),
        (VECTORS.astype(tf.bfloat16.as_numpy_dtype), layers.Identity(), None),
        (VECTORS.astype("float64"), layers.Identity(), None),
        (BLANK_FIRST, layers.Identity(), None),
        (BYTES, layers.Rescaling(1 / 255), "uint8"),
        (BYTES.astype("float32"), layers.Rescaling(1 / 255), None),
        (BYTES.astype("int32"), EMBEDDING, "int32"),
        (BYTES.astype("float32"), EMBEDDING, None),
        (BYTES.astype("float32"), layers.CategoryEncoding(50, output_mode="one_hot"), None),
    ],
)
def test_inputs_of_every_dtype_are_probed(x, front, dtype):
    """An error of 1e-7 in float32, or of 1e-2 in bfloat16, becomes the whole circle."""
    for factor, compute_dtype, resolves in [
        (1.0, "float32", True),
        (3e3, "bfloat16", False),
        (1e9, "float32", False),
    ]:
        kernel = kernel_of(folding(factor, front, x.shape[1:], dtype), compute_dtype, x)
        assert kernel.is_resolved == resolves, (factor, compute_dtype, kernel.rounding_share)


@pytest.mark.fast
class TestKernels:
    def test_a_warning_names_the_fix(self):
        with pytest.warns(UnresolvedKernelWarning, match="batch_statistics"):
            kernel = monte_carlo_kernel(
                collapsing(1e-9), IMAGES[:, :8, :8], num_inits=1, compute_dtype="float32"
            )
        assert not kernel.is_resolved

    def test_one_image(self):
        with pytest.warns(UnresolvedKernelWarning, match="one training image"):
            monte_carlo_kernel(collapsing(1.0), IMAGES[:1, :8, :8], num_inits=1)

    def test_a_later_precision_is_taken_where_one_does_not_resolve(self):
        model = collapsing(1e-4)
        kernel = kernel_of(model, ("bfloat16", "float32"))
        alone = kernel_of(model, "float32")
        assert kernel.compute_dtype == "float32"
        np.testing.assert_array_equal(kernel.train_train, alone.train_train)

    def test_the_first_precision_is_kept_where_it_resolves(self):
        assert kernel_of(collapsing(1.0), ("bfloat16", "float32")).compute_dtype == "bfloat16"

    def test_a_device_falls_back_on_its_own(self, monkeypatch):
        monkeypatch.setattr(precision, "default_compute_dtype", lambda strategy: "bfloat16")
        assert kernel_of(collapsing(1e-4), None).compute_dtype == "float32"

    def test_it_is_kept_by_joining_and_saving(self, tmp_path):
        options = {"images": IMAGES[:, :8, :8], "dtype": "float32"}
        one = kernel_of(collapsing(0.1), **options)
        later = kernel_of(collapsing(0.1), **options, first_init=1)
        joined = one.join(later)
        assert joined.rounding_variance == (one.rounding_variance + later.rounding_variance) / 2
        joined.save(str(tmp_path / "kernel.npz"))
        read = MonteCarloKernel.load(str(tmp_path / "kernel.npz"))
        assert (read.rounding_share, read.compute_dtype) == (joined.rounding_share, "float32")

    def test_how_the_work_is_divided_does_not_matter(self):
        strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
        shares = [
            kernel_of(collapsing(0.1), "float32", batch_size=batch_size, strategy=strategy)
            for batch_size in (5, 24)
        ]
        assert shares[0].rounding_share == pytest.approx(shares[1].rounding_share, rel=0.3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        Nasbench101Network(INCEPTION, (32, 32, 3), stem_filters=8, modules_per_stack=1),
        MnasNetwork(mnas.MNASNET_SMALL, (32, 32, 3), num_classes=10),
    ],
    ids=["nasbench101", "mnas"],
)
def test_shared_programs_measure_as_the_built_model(network):
    shared, built = (
        kernel_of(x, "float32", IMAGES, batch_norm="batch_statistics")
        for x in (network, network.build())
    )
    assert shared.is_resolved and built.is_resolved
    assert shared.rounding_share == pytest.approx(built.rounding_share, rel=0.5)


APPLICATIONS = sorted(
    name for name, made in vars(keras.applications).items() if inspect.isfunction(made)
)
# One of a family, of those that are soon built.
FAMILIES = (
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0"),
    *("EfficientNetV2B0", "ResNet50V2", "DenseNet121", "VGG16"),
)
IMAGES_64 = np.random.default_rng(1).normal(size=(12, 64, 64, 3)).astype("float32")


def application(name):
    make = getattr(keras.applications, name)
    try:
        return make(weights=None, include_top=False, pooling="avg", input_shape=(64, 64, 3))
    except ValueError as error:
        pytest.skip(f"takes no images of 64 x 64: {error}")


def check_application(name):
    """Compare what is said of a network's features in float32 with their like in float64."""
    model = application(name)
    options = {"weights": "as_given", "feature_layer": None, "keep_features": True}
    kernel = kernel_of(model, "float32", IMAGES_64, **options)
    wide = precision.in_compute_dtype(model, "float64")
    exact = keras.ops.convert_to_numpy(wide(IMAGES_64.astype("float64"), training=False))
    z, exact = (each - each.mean(axis=0) for each in (kernel.features[0], exact))
    rounding = np.sum((z - exact) ** 2) / np.sum(z**2) if np.any(z) else 1.0
    # In between, either may be said.
    if not 0.01 < rounding < 0.5:
        assert kernel.is_resolved == (rounding <= 0.01), (rounding, kernel.varying_share)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::nngp_tf.kernels.UnresolvedKernelWarning")
@pytest.mark.parametrize("name", FAMILIES)
def test_families_of_applications(name):
    check_application(name)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::nngp_tf.kernels.UnresolvedKernelWarning")
@pytest.mark.parametrize("name", [name for name in APPLICATIONS if name not in FAMILIES])
def test_all_applications(name):
    check_application(name)


@pytest.mark.long
@pytest.mark.parametrize("name", FAMILIES)
def test_the_statistics_of_a_batch_resolve(name):
    options = {"batch_norm": "batch_statistics", "feature_layer": None}
    assert kernel_of(application(name), "float32", IMAGES_64, **options).is_resolved
