"""Tests of the builder of mobile networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.models import build_mnas, features
from nngp_tf.search_spaces import mnas
from tests.search_spaces.mnas_examples import PLAIN, replaced

pytestmark = pytest.mark.fast


def trainable_parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def small(network=PLAIN, **options):
    return build_mnas(network, **{"input_shape": (32, 32, 3), "num_classes": 10} | options)


# Trainable parameters of MnasNet's networks (facts, section A11).
@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (mnas.MNASNET_A1, 3_887_038),
        (mnas.MNASNET_B1, 4_383_312),
        (mnas.MNASNET_SMALL, 2_030_264),
    ],
)
def test_parameter_counts_are_those_of_mnasnet(network, expected):
    model = build_mnas(network)
    assert trainable_parameters(model) == expected
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1000)


def test_layers_have_the_constants_of_mnasnet():
    model = small(mnas.MNASNET_A1)
    normalisations = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    # Stem, head and 16 blocks, of which the first has no expansion.
    assert len(normalisations) == 1 + 1 + 16 * 3 - 1
    for layer in normalisations:
        assert (layer.momentum, layer.epsilon) == (0.99, 1e-3)
    biased = [x.name for x in model.layers if getattr(x, "use_bias", False)]
    assert len(biased) == 2 * (3 + 2 + 3) + 1  # Blocks 3, 5 and 6; the classifier.
    assert all(name.endswith(("_squeeze", "_excite", "logits")) for name in biased)
    # 24 x 0.25, then 40 x 0.25.
    assert model.get_layer("block3_layer1_squeeze").filters == 6
    assert model.get_layer("block3_layer2_squeeze").filters == 10
    assert model.get_layer("block3_layer1_excite").filters == 72
    assert model.get_layer("head_conv").filters == 1280
    assert model.get_layer("dropout").rate == 0.2
    assert all(x.padding == "same" for x in model.layers if hasattr(x, "kernel_size"))


def test_initial_values_have_the_distributions_of_mnasnet():
    keras.utils.set_random_seed(0)
    model = small(mnas.MNASNET_A1)
    deviations = {
        "block6_layer2_expand_conv": np.sqrt(2 / 960),
        "block6_layer2_project_conv": np.sqrt(2 / 160),
        "block6_layer2_squeeze": np.sqrt(2 / 40),
        # A depthwise kernel k x k has one output channel: sqrt(2) / k.
        "block6_layer2_depthwise_conv": np.sqrt(2) / 5,
        "stem_conv": np.sqrt(2 / (9 * 32)),
    }
    for name, expected in deviations.items():
        values = model.get_layer(name).get_weights()[0]
        # Five standard deviations of the estimate.
        assert abs(values.std() / expected - 1) < 5 / np.sqrt(2 * values.size), name
    # Not truncated at two standard deviations.
    assert np.abs(model.get_layer("head_conv").get_weights()[0]).max() > 4 * np.sqrt(2 / 1280)
    kernel, bias = model.get_layer("logits").get_weights()
    assert np.abs(kernel).max() <= 1 / np.sqrt(10)
    assert np.abs(kernel).max() > 0.999 / np.sqrt(10)
    assert not bias.any()


def reference_forward(model, network, images):
    """The network in TensorFlow's own operations, with the model's variables."""

    def batch_norm(x, name):
        norm = model.get_layer(f"{name}_bn")
        scale = norm.gamma.value / tf.sqrt(norm.moving_variance.value + 1e-3)
        return (x - norm.moving_mean.value) * scale + norm.beta.value

    def conv(x, name, stride=1):
        return batch_norm(tf.nn.conv2d(x, kernel(name), stride, "SAME"), name)

    def depthwise(x, name, stride):
        y = tf.nn.depthwise_conv2d(x, kernel(name), [1, stride, stride, 1], "SAME")
        return tf.nn.relu(batch_norm(y, name))

    def kernel(name):
        return model.get_layer(f"{name}_conv").kernel.value

    def dense(x, name):
        weights, bias = model.get_layer(name).get_weights()
        return tf.matmul(x, weights.reshape(weights.shape[-2:])) + bias

    x = tf.nn.relu(conv(images, "stem", 2))
    for number, (block, stride) in enumerate(
        zip(network.blocks, network.strides, strict=True), start=1
    ):
        for repeat in range(1, block.num_repeats + 1):
            name = f"block{number}_layer{repeat}"
            step = stride if repeat == 1 else 1
            if block.block_fn == "conv":
                x = tf.nn.relu(conv(x, name, step))
                continue
            if block.block_fn == "dconv":
                y = depthwise(x, f"{name}_depthwise", step)
                x = tf.nn.relu(conv(y, f"{name}_project"))
                continue
            y = x
            if block.expand_ratio > 1:
                y = tf.nn.relu(conv(y, f"{name}_expand"))
            y = depthwise(y, f"{name}_depthwise", step)
            if block.se_ratio:
                squeezed = tf.nn.relu(dense(tf.reduce_mean(y, [1, 2]), f"{name}_squeeze"))
                gate = tf.sigmoid(dense(squeezed, f"{name}_excite"))
                y = y * gate[:, None, None, :]
            y = conv(y, f"{name}_project")
            filters = block.input_filters if repeat == 1 and block.input_filters else x.shape[-1]
            if step == 1 and filters == block.output_filters and block.skip != "none":
                pool = {
                    "identity": lambda x: x,
                    "max_pool": lambda x: tf.nn.max_pool2d(x, 3, 1, "SAME"),
                    "average_pool": lambda x: tf.nn.avg_pool2d(x, 3, 1, "SAME"),
                }[block.skip]
                y = y + pool(x)
            x = y
    return tf.reduce_mean(tf.nn.relu(conv(x, "head")), [1, 2])


@pytest.mark.parametrize(
    "network",
    [
        mnas.MNASNET_SMALL,
        # Every kind of block and skip, twice each; an odd size.
        mnas.Network.from_blocks(
            [
                (2, "conv", 3, 3, 0.25, 8),
                (2, "mbconv", 1, 5, 0.25, 12, "identity"),
                (2, "dconv", 3, 3, 0.25, 16),
                (2, "mbconv", 3, 3, 0, 20, "none"),
                (2, "mbconv", 3, 5, 0.25, 24, "max_pool"),
                (2, "mbconv", 6, 3, 0, 28, "average_pool"),
                (1, "conv", 1, 5, 0, 32),
            ]
        ),
    ],
    ids=["small", "every_kind"],
)
def test_computes_what_mnasnet_defines(network):
    model = small(network, input_shape=(39, 50, 3))
    rng = np.random.default_rng(0)
    for variable in model.variables:
        # Kernels stay as drawn, so that values keep their size from layer to layer.
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(rng.normal(scale=0.5, size=variable.shape))
    images = rng.normal(size=(2, 39, 50, 3)).astype("float32")
    expected = reference_forward(model, network, images).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(features(model)(images), expected, rtol=1e-3, atol=1e-3)


def test_names_are_stable_and_unique():
    # Weights are drawn by the names of variables: a change changes every kernel.
    network = replaced(PLAIN, 3, block_fn="conv", num_repeats=2)
    network = replaced(network, 2, se_ratio=0.25)
    names = [x.name for x in small(network).layers if x.weights]
    assert len(names) == len(set(names))
    expected = ["stem_conv", "stem_bn", "block4_layer2_conv", "block4_layer2_bn"]
    for part in ("expand", "depthwise", "project"):
        expected += [f"block3_layer1_{part}_conv", f"block3_layer1_{part}_bn"]
    expected += ["block3_layer1_squeeze", "block3_layer1_excite", "head_conv", "head_bn", "logits"]
    assert set(names) >= set(expected)


def test_width_multiplier_scales_all_but_the_head():
    model = small(mnas.MNASNET_A1, width_multiplier=0.5)
    filters = {name: model.get_layer(f"{name}_conv").filters for name in ("stem", "head")}
    assert filters == {"stem": 16, "head": 1280}
    assert model.get_layer("block5_layer1_project_conv").filters == 56
    # One rounds: 112 stays, 12 becomes 16.
    narrow = small(replaced(PLAIN, 0, output_filters=12), width_multiplier=1.0)
    assert narrow.get_layer("block1_layer1_project_conv").filters == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (31, 64, 3)}, "images of 31 x 64 are too small .* at least 32 x 32"),
        ({"input_shape": (32, 32)}, "input_shape must be"),
        ({"num_classes": 0}, "num_classes must be a positive integer, got 0"),
        ({"width_multiplier": 0}, "width_multiplier must be positive or None, got 0"),
        ({"width_multiplier": float("nan")}, "width_multiplier must be positive or None, got nan"),
        ({"dropout_rate": 1.0}, "dropout_rate must be at least 0 and below 1, got 1.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_least_size_follows_the_strides():
    gentle = mnas.Network(PLAIN.blocks, strides=[1] * 7)
    assert small(gentle, input_shape=(2, 3, 3)).get_layer("head_relu").output.shape[1:3] == (1, 2)
    with pytest.raises(ValueError, match="use at least 2 x 2"):
        small(gentle, input_shape=(1, 3, 3))
