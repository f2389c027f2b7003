"""Kernels of vectors, series, volumes and tokens, against those of infinitely wide networks."""

import keras
import numpy as np
import pytest

from nngp_tf.kernels import monte_carlo_kernel, running_kernels

layers = keras.layers
pytestmark = pytest.mark.fast

WIDTH = 4096
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(9, 64)).astype("float32")
SERIES = RNG.normal(size=(4, 10, 3)).astype("float32")
VOLUMES = RNG.normal(size=(4, 3, 4, 5, 2)).astype("float32")
TOKENS = RNG.integers(0, 1000, (6, 12)) % 50


def normal():
    return keras.initializers.RandomNormal(stddev=1.0)


def dense(shape, activation="relu"):
    """One hidden layer."""
    unit = layers.Dense(WIDTH, activation, kernel_initializer=normal(), name="features")
    return keras.Sequential([keras.Input(shape), unit, layers.Dense(10)])


def convolution(layer, pool, shape):
    """A hidden layer at each place, averaged over the places."""
    unit = layer(WIDTH, 1, activation="relu", kernel_initializer=normal())
    return keras.Sequential([keras.Input(shape), unit, pool(name="features")])


def embedding(dtype):
    table = layers.Embedding(1000, WIDTH, embeddings_initializer=normal())
    return keras.Sequential(
        [keras.Input((12,), dtype=dtype), table, layers.GlobalAveragePooling1D(name="features")]
    )


def estimate(model, x, x_test=None, **options):
    options = {"num_inits": 4, "compute_dtype": "float32"} | options
    return monte_carlo_kernel(model, x, x_test, **options)


def arc_cosine(x, y):
    """E[relu(w.x) relu(w.y)] for standard normal w (Cho and Saul 2009, degree 1)."""
    x, y = x.astype("float64"), y.astype("float64")
    scale = np.outer(np.linalg.norm(x, axis=-1), np.linalg.norm(y, axis=-1))
    angle = np.arccos(np.clip(x @ y.T / scale, -1.0, 1.0))
    return scale * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2.0 * np.pi)


def mean_over_places(x):
    """The arc-cosine kernel [N, N] averaged over all pairs of places of inputs [N, ..., C]."""
    places = x.reshape(len(x), -1, x.shape[-1])
    kernel = arc_cosine(places.reshape(-1, x.shape[-1]), places.reshape(-1, x.shape[-1]))
    return kernel.reshape(len(x), places.shape[1], len(x), places.shape[1]).mean(axis=(1, 3))


def assert_near(kernel, expected, tolerance=0.05):
    """Relative to the deviations of the two features; 16,384 units leave an error of 0.01 or so."""
    deviation = np.sqrt(np.diag(expected))
    assert np.abs((kernel / WIDTH - expected) / np.outer(deviation, deviation)).max() < tolerance


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_vectors_have_the_arc_cosine_kernel(dtype, scale):
    x_train, x_test = scale * VECTORS[:6], scale * VECTORS[6:]
    kernel = estimate(dense((64,)), x_train, x_test, compute_dtype=dtype)
    assert_near(kernel.train_train, arc_cosine(x_train, x_train))
    test = arc_cosine(x_test, x_test)
    np.testing.assert_allclose(kernel.test_test_diag / WIDTH, np.diag(test), rtol=0.05)
    both = arc_cosine(x_test, x_train)
    assert np.abs(kernel.test_train / WIDTH - both).max() < 0.05 * np.diag(test).max()


def test_running_kernels_of_vectors():
    one, two = running_kernels(dense((64,)), VECTORS, num_inits=(1, 4), batch_size=4)
    assert (one.num_inits, two.num_inits) == (1, 4)
    assert_near(two.train_train, arc_cosine(VECTORS, VECTORS))


@pytest.mark.parametrize("length", [10, None])
def test_series(length):
    model = convolution(layers.Conv1D, layers.GlobalAveragePooling1D, (length, 3))
    assert_near(estimate(model, SERIES).train_train, mean_over_places(SERIES))


def test_volumes():
    model = convolution(layers.Conv3D, layers.GlobalAveragePooling3D, (3, 4, 5, 2))
    assert_near(estimate(model, VOLUMES).train_train, mean_over_places(VOLUMES))


@pytest.mark.parametrize("cell", [layers.GRU, layers.SimpleRNN])
def test_recurrent_networks(cell):
    model = keras.Sequential([keras.Input((10, 3)), cell(8, name="features")])
    assert np.all(np.linalg.eigvalsh(estimate(model, SERIES).train_train) > 0)


def test_batch_normalisation_of_vectors():
    norm = layers.BatchNormalization(momentum=0.5)
    model = keras.Sequential([keras.Input((64,)), norm, layers.Dense(WIDTH, name="features")])
    model.layers[-1].kernel_initializer = normal()
    kernel = estimate(model, VECTORS, batch_norm="batch_statistics").train_train
    normalised = (VECTORS - VECTORS.mean(axis=0)) / np.sqrt(VECTORS.var(axis=0) + 1e-3)
    assert_near(kernel, normalised @ normalised.T)


@pytest.mark.parametrize(
    ("dtype", "tokens"),
    [
        ("int32", TOKENS),
        ("uint8", TOKENS.astype("uint8")),
        # As Keras takes them where nothing else is said.
        ("float32", TOKENS),
        ("float32", TOKENS.astype("float32")),
        ("int32", TOKENS + 900),
    ],
)
@pytest.mark.parametrize("compute_dtype", ["float32", "bfloat16"])
def test_tokens(dtype, tokens, compute_dtype):
    # Rows of the table are independent, so that equal tokens count.
    same = tokens[:, :, None, None] == tokens[None, None]
    kernel = estimate(embedding(dtype), tokens, compute_dtype=compute_dtype)
    assert_near(kernel.train_train, np.moveaxis(same, 2, 1).mean(axis=(2, 3)))


def test_tokens_of_a_subclassed_model():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.table = layers.Embedding(1000, WIDTH, embeddings_initializer=normal())

        def call(self, tokens):
            return keras.ops.mean(self.table(tokens), axis=1)

    model = Subclassed()
    model(TOKENS)
    kernel = estimate(model, TOKENS, feature_layer=None)
    expected = estimate(embedding("int32"), TOKENS)
    np.testing.assert_allclose(np.diag(kernel.train_train), np.diag(expected.train_train), rtol=0.1)


def test_raw_images_of_a_model_that_takes_them():
    raw = RNG.integers(0, 256, (4, 3, 3, 2)).astype("uint8")
    pool = layers.GlobalAveragePooling2D(data_format="channels_last", name="features")
    unit = layers.Dense(WIDTH, "relu", kernel_initializer=normal())
    model = keras.Sequential(
        [keras.Input((3, 3, 2), dtype="uint8"), layers.Rescaling(1 / 255), unit, pool]
    )
    assert_near(estimate(model, raw).train_train, mean_over_places(raw / np.float32(255)))


def two_inputs():
    one, two = keras.Input((64,)), keras.Input((64,))
    return keras.Model([one, two], layers.Add(name="features")([one, two]))


def subclassed():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4)

        def call(self, x):
            return self.dense(x)

    model = Subclassed()
    model(VECTORS)
    return model


@pytest.mark.parametrize(
    ("model", "x", "named"),
    [
        (dense((64,)), VECTORS[:, :3], r"shape \[9, 3\].*takes \[N, 64\]"),
        (dense((64,)), VECTORS[..., None], r"shape \[9, 64, 1\].*takes \[N, 64\]"),
        (dense((64,)), VECTORS[0], r"shape \[64\].*takes \[N, 64\].*batch"),
        (dense((64,)), 3.0, r"shape \[\].*takes \[N, 64\]"),
        (dense((None, 3)), VECTORS, r"shape \[9, 64\].*takes \[N, None, 3\]"),
        (dense((64,)), np.ones((9, 64), "float32"), "everywhere"),
        (dense((64,)), np.where(VECTORS > 2, np.nan, VECTORS), "NaN or an infinity"),
        (dense((64,)), VECTORS > 0, "dtype bool"),
        (dense((64,)), (9 * VECTORS).astype("int32"), "dtype int32, expected floating point"),
        (dense((64,)), VECTORS.astype(str), "dtype <U32, expected floating point"),
        (dense((10, 3)), SERIES, r"output of layer 'features' has shape \(None, 10, 4096\)"),
        (embedding("int32"), TOKENS.astype("float32"), "dtype float32, but the model takes int32"),
        (embedding("uint8"), TOKENS + 900, "to 948, which the model's input of uint8 cannot hold"),
        (embedding("bfloat16"), TOKENS + 900, "to 948, which .* of bfloat16 cannot hold"),
        (two_inputs(), VECTORS, "2 inputs, expected one"),
    ],
)
def test_what_the_model_does_not_take(model, x, named):
    with pytest.raises(ValueError, match=named) as error:
        estimate(model, x)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("x", "named"), [(VECTORS[:, :3], "expected axis -1 .* value 64"), (3.0, r"\[N, \.\.\.\]")]
)
def test_what_a_subclassed_model_does_not_take(x, named):
    with pytest.raises(ValueError, match=named) as error:
        estimate(subclassed(), x, feature_layer=None)
    assert "\n" not in str(error.value)


def test_test_inputs_of_another_shape():
    model = convolution(layers.Conv1D, layers.GlobalAveragePooling1D, (None, 3))
    with pytest.raises(ValueError, match=r"x_test has inputs of shape \(8, 3\)"):
        estimate(model, SERIES, SERIES[:, :8])


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (lambda x: keras.ops.mean(x, axis=-1), r"has shape \(None,\)"),
        (lambda x: [x, 2.0 * x], r"has shape \[\(None, 64\), \(None, 64\)\]"),
        (lambda x: {"one": 2.0 * x}, "one tensor"),
    ],
)
def test_output_that_is_no_vector(output, named):
    inputs = keras.Input((64,))
    with pytest.raises(ValueError, match=named) as error:
        estimate(keras.Model(inputs, output(inputs)), VECTORS, feature_layer=None)
    assert "\n" not in str(error.value)
