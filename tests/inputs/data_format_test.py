"""Keras' image data format: ours states its own; a user's channels_first is computed or named."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from nngp_tf.data.images import load_images
from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.models import features
from nngp_tf.training import recipes, short
from tests.inputs import data_format_worker

layers = keras.layers

X = np.random.default_rng(0).normal(size=(6, 8, 8, 3)).astype("float32")
FIRST = np.ascontiguousarray(np.moveaxis(X, -1, 1))


@pytest.fixture
def channels_first():
    """Keras configured so while a test runs."""
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def estimate(model, x=X, **options):
    options = {"num_inits": 2, "batch_norm": "batch_statistics"} | options
    return monte_carlo_kernel(model, x, **options)


def run(arguments, **environment):
    """Run Python, and return what it prints."""
    command = [sys.executable, *arguments]
    environment = os.environ | environment
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True)


@pytest.mark.slow
def test_networks_and_their_training_do_not_depend_on_it(tmp_path):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    output = run(["-m", data_format_worker.__name__], KERAS_HOME=str(tmp_path)).stdout
    got = json.loads(output.splitlines()[-1])
    assert got.pop("format") == "channels_first"
    # As in the processes of users who left the configuration alone.
    expected = json.loads(json.dumps(data_format_worker.numbers()))
    assert got.keys() == expected.keys()
    for name, network in data_format_worker.NETWORKS.items():
        assert got[f"{name} variables"] == expected.pop(f"{name} variables")
        assert got[f"{name} parameters"] == network.trainable_parameters
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.fast
@pytest.mark.parametrize("network", data_format_worker.NETWORKS.values(), ids=lambda x: x.key[:8])
def test_parameters_of_networks_built_later(network, channels_first):
    model = network.build()
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == network.trainable_parameters
    assert model.output_shape == (None, 10)


def own(data_format):
    """A user's network, of many kinds of layers."""
    shape, axis = ((8, 8, 3), -1) if data_format == "channels_last" else ((3, 8, 8), 1)
    stack = [
        layers.Rescaling(2.0),
        layers.Conv2D(6, 3, strides=2, padding="same", data_format=data_format),
        layers.BatchNormalization(axis=axis, momentum=0.5),
        layers.ReLU(),
        layers.DepthwiseConv2D(3, data_format=data_format),
        layers.GroupNormalization(2, axis=axis),
        layers.UpSampling2D(2, data_format=data_format),
        layers.SeparableConv2D(4, 3, padding="same", data_format=data_format),
        layers.MaxPooling2D(2, data_format=data_format),
        layers.Flatten(data_format=data_format),
        layers.Dense(5, name="features"),
    ]
    return keras.Sequential([keras.Input(shape), *stack])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_own_model_has_the_kernel_of_its_twin(dtype):
    first = estimate(own("channels_first"), FIRST, compute_dtype=dtype).train_train
    last = estimate(own("channels_last"), compute_dtype=dtype).train_train
    tolerance = {"float32": 1e-4, "bfloat16": 0.05}[dtype]
    assert np.abs(first - last).max() < tolerance * np.abs(last).max()


@pytest.mark.fast
@pytest.mark.parametrize(
    ("data_format", "x", "named"),
    [
        ("channels_first", X, r"takes \[N, 3, 8, 8\].*np.moveaxis\(x_train, -1, 1\)"),
        ("channels_last", FIRST, r"takes \[N, 8, 8, 3\].*np.moveaxis\(x_train, 1, -1\)"),
    ],
)
def test_images_of_the_other_format(data_format, x, named):
    with pytest.raises(ValueError, match=named):
        estimate(own(data_format), x)


def small(convolution):
    pool = layers.GlobalAveragePooling2D(name="features")
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(2.0), convolution, pool])


@pytest.mark.fast
@pytest.mark.parametrize("nested", [False, True])
def test_own_model_built_by_accident(channels_first, nested):
    model = small(layers.Conv2D(4, 3, name="first"))
    if nested:
        model = keras.Sequential([model, layers.Dense(4, name="features")])
    # Eight channels of 8 x 3.
    with pytest.raises(ValueError, match=r"'first' takes the images.*data_format='channels_last'"):
        estimate(model)


@pytest.mark.fast
def test_own_volumes_and_dense_networks(channels_first):
    volumes = np.random.default_rng(0).normal(size=(4, 6, 7, 8, 1)).astype("float32")
    pool = layers.GlobalAveragePooling3D(name="features")
    model = keras.Sequential([keras.Input((6, 7, 8, 1)), layers.Conv3D(4, 1, name="first"), pool])
    with pytest.raises(ValueError, match="'first' takes the images"):
        estimate(model, volumes)
    # Another order of the numbers is as good.
    stack = [layers.Flatten(), layers.Dense(4, name="features")]
    kernel = estimate(keras.Sequential([keras.Input((8, 8, 3)), *stack]))
    assert kernel.num_train == len(X)


@pytest.mark.fast
def test_own_model_that_turns_the_images_itself(channels_first):
    turned = [layers.Permute((3, 1, 2)), layers.Conv2D(4, 3)]
    pool = layers.GlobalAveragePooling2D(name="features")
    model = keras.Sequential([keras.Input((8, 8, 3)), *turned, pool])
    last = layers.Conv2D(4, 3, data_format="channels_last")
    pool = layers.GlobalAveragePooling2D(data_format="channels_last", name="features")
    twin = keras.Sequential([keras.Input((8, 8, 3)), last, pool])
    kernel = estimate(twin, compute_dtype="float32").train_train
    np.testing.assert_allclose(
        estimate(model, compute_dtype="float32").train_train, kernel, rtol=1e-4
    )


WITHOUT_ONEDNN = """
import keras, numpy as np
from nngp_tf.kernels import monte_carlo_kernel
convolution = keras.layers.Conv2D(4, 3, data_format="channels_first", name="first")
pool = keras.layers.GlobalAveragePooling2D(data_format="channels_first", name="features")
model = keras.Sequential([keras.Input((3, 8, 8)), convolution, pool])
x = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype("float32")
try:
    print(monte_carlo_kernel(model, x, num_inits=1).num_train)
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_cpu_without_the_operation():
    output = run(["-c", WITHOUT_ONEDNN], TF_ENABLE_ONEDNN_OPTS="0").stdout
    # Some builds of TensorFlow have it all the same.
    assert "'first' takes channels first, which this CPU" in output or output.strip() == "4"


@pytest.mark.fast
def test_training_under_another_floatx():
    images = load_images("digits", 100, 50)
    settings = short.TrainingSettings(recipes.get("nasbench101", batch_size=32), 1)
    keras.config.set_floatx("float16")
    try:
        with pytest.raises(ValueError, match="floatx 'float16'"):
            short.check(images, settings)
    finally:
        keras.config.set_floatx("float32")
    short.check(images, settings)


@pytest.mark.fast
def test_images_of_our_networks_keep_their_digits_in_float64():
    model = features(data_format_worker.NASBENCH101.build("float64"))
    images = np.random.default_rng(0).normal(size=(3, 16, 16, 3))
    assert np.any(model(images) != model(images.astype("float32")))
