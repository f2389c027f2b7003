"""Mobile networks in Keras: MnasNet's stem, blocks and head around seven searched blocks.

    stem 3x3 conv-BN-ReLU, stride 2 -> seven blocks -> head 1x1 conv-BN-ReLU, 1280 filters
    -> global average pool ("features") -> dropout -> dense ("logits")

    mbconv  [expand 1x1 conv-BN-ReLU] -> depthwise conv-BN-ReLU -> [squeeze-excitation]
            -> project 1x1 conv-BN -> [+ skip]
    conv    conv-BN-ReLU
    dconv   depthwise conv-BN-ReLU -> 1x1 conv-BN-ReLU

Definitions: models/official/mnasnet of tensorflow/tpu.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

from nngp_tf.search_spaces import mnas

BATCH_NORM_MOMENTUM = 0.99
BATCH_NORM_EPSILON = 1e-3
HEAD_FILTERS = 1280
STEM_STRIDE = 2


def build_mnas(
    network: mnas.Network,
    input_shape: Sequence[int] = (224, 224, 3),
    num_classes: int = 1000,
    width_multiplier: float | None = None,
    dropout_rate: float = 0.2,
    dtype_policy: str | keras.DTypePolicy | None = None,
) -> keras.Model:
    """Build a network of the mobile search space.

    The layer "features" holds the globally averaged output [N, 1280] and "logits" the output
    [N, num_classes] before any softmax. Both are float32 under a mixed policy.

    Args:
      network: Its blocks.
      input_shape: Image height, width and channels.
      num_classes: Width of "logits".
      width_multiplier: Scales the filters of stem and blocks and rounds them to multiples of 8; the
        head keeps its own. None leaves all as they are, 1 rounds them.
      dropout_rate: Of the features in training, 0.2 in MnasNet but 0 in MnasNet-small.
      dtype_policy: Keras dtype policy or its name ("mixed_bfloat16"); the global one if None.

    Returns:
      A functional model from images [N, H, W, channels] to logits [N, num_classes].

    Raises:
      ValueError: If the image has fewer pixels a side than the network reduces to one (32 in the
        search space), or an option is out of range.
    """
    check_sizes(network, input_shape, num_classes, width_multiplier, dropout_rate)
    policy = keras.dtype_policies.get(dtype_policy or keras.config.dtype_policy())

    input_dtype = "float64" if policy.compute_dtype == "float64" else "float32"
    images = keras.Input(tuple(input_shape), dtype=input_dtype, name="images")
    filters = mnas.round_filters(network.stem_filters, width_multiplier)
    x = _conv_bn_relu(images, filters, "stem", policy, kernel_size=3, strides=STEM_STRIDE)
    for block, layers in enumerate(network.layers(width_multiplier), start=1):
        for repeat, layer in enumerate(layers, start=1):
            x = _LAYERS[layer.block_fn](x, layer, f"block{block}_layer{repeat}", policy)
    x = _conv_bn_relu(x, HEAD_FILTERS, "head", policy)

    head = "float32" if policy.compute_dtype in ("float16", "bfloat16") else policy
    x = keras.layers.GlobalAveragePooling2D(
        data_format="channels_last", dtype=head, name="features"
    )(x)
    x = keras.layers.Dropout(dropout_rate, dtype=head, name="dropout")(x)
    dense = keras.layers.Dense(
        num_classes,
        # Uniform within 1 / sqrt(num_classes) of 0.
        kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_out", "uniform"),
        dtype=head,
        name="logits",
    )
    return keras.Model(images, dense(x), name="mnas")


def check_sizes(
    network: mnas.Network,
    input_shape: Sequence[int],
    num_classes: int,
    width_multiplier: float | None,
    dropout_rate: float,
) -> None:
    """Raise ValueError for an option out of range or an image too small for the strides."""
    if num_classes != int(num_classes) or num_classes < 1:
        raise ValueError(f"num_classes must be a positive integer, got {num_classes!r}")
    if width_multiplier is not None and not 0 < width_multiplier < math.inf:
        raise ValueError(f"width_multiplier must be positive or None, got {width_multiplier!r}")
    if not 0 <= dropout_rate < 1:
        raise ValueError(f"dropout_rate must be at least 0 and below 1, got {dropout_rate!r}")
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ValueError(
            f"input_shape must be (height, width, channels), all positive, got {input_shape!r}"
        )
    stride = STEM_STRIDE * math.prod(network.strides)
    if min(input_shape[:2]) < stride:
        raise ValueError(
            f"images of {input_shape[0]} x {input_shape[1]} are too small for the strides of the "
            f"network: use at least {stride} x {stride}"
        )


def _mbconv(x, layer, name, policy):
    y = x
    if layer.expansion_filters:
        y = _conv_bn_relu(y, layer.expansion_filters, f"{name}_expand", policy)
    y = _depthwise_bn_relu(y, layer, f"{name}_depthwise", policy)
    if layer.squeeze_filters:
        y = _squeeze_excitation(y, layer.squeeze_filters, name, policy)
    y = _conv_bn(y, layer.output_filters, f"{name}_project", policy)
    if layer.skip == mnas.NONE:
        return y
    skip = _skip(x, layer.skip, f"{name}_skip", policy)
    return keras.layers.Add(dtype=policy, name=f"{name}_sum")([y, skip])


def _conv(x, layer, name, policy):
    return _conv_bn_relu(
        x, layer.output_filters, name, policy, kernel_size=layer.kernel_size, strides=layer.stride
    )


def _dconv(x, layer, name, policy):
    x = _depthwise_bn_relu(x, layer, f"{name}_depthwise", policy)
    return _conv_bn_relu(x, layer.output_filters, f"{name}_project", policy)


_LAYERS = {mnas.MBCONV: _mbconv, mnas.CONV: _conv, mnas.DCONV: _dconv}


def _squeeze_excitation(x, squeeze_filters, name, policy):
    filters = x.shape[-1]
    mean = keras.layers.GlobalAveragePooling2D(
        data_format="channels_last", keepdims=True, dtype=policy, name=f"{name}_mean"
    )
    squeeze = _convolution(squeeze_filters, f"{name}_squeeze", policy, use_bias=True)
    relu = keras.layers.ReLU(dtype=policy, name=f"{name}_squeeze_relu")
    excite = _convolution(filters, f"{name}_excite", policy, use_bias=True)
    gate = keras.layers.Activation("sigmoid", dtype=policy, name=f"{name}_excite_sigmoid")
    scale = keras.layers.Multiply(dtype=policy, name=f"{name}_scale")
    return scale([x, gate(excite(relu(squeeze(mean(x)))))])


def _skip(x, skip, name, policy):
    if skip == mnas.IDENTITY:
        return x
    pools = {
        mnas.MAX_POOL: keras.layers.MaxPooling2D,
        mnas.AVERAGE_POOL: keras.layers.AveragePooling2D,
    }
    return pools[skip](
        3, strides=1, padding="same", data_format="channels_last", dtype=policy, name=name
    )(x)


def _depthwise_bn_relu(x, layer, name, policy):
    conv = keras.layers.DepthwiseConv2D(
        layer.kernel_size,
        strides=layer.stride,
        padding="same",
        data_format="channels_last",
        use_bias=False,
        depthwise_initializer=_initialiser(),
        dtype=policy,
        name=f"{name}_conv",
    )
    return _relu(_batch_norm(conv(x), name, policy), name, policy)


def _conv_bn_relu(x, filters, name, policy, **options):
    return _relu(_conv_bn(x, filters, name, policy, **options), name, policy)


def _conv_bn(x, filters, name, policy, **options):
    return _batch_norm(_convolution(filters, f"{name}_conv", policy, **options)(x), name, policy)


def _convolution(filters, name, policy, kernel_size=1, strides=1, use_bias=False):
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        data_format="channels_last",
        use_bias=use_bias,
        kernel_initializer=_initialiser(),
        dtype=policy,
        name=name,
    )


def _batch_norm(x, name, policy):
    return keras.layers.BatchNormalization(
        axis=-1,
        momentum=BATCH_NORM_MOMENTUM,
        epsilon=BATCH_NORM_EPSILON,
        dtype=policy,
        name=f"{name}_bn",
    )(x)


def _relu(x, name, policy):
    return keras.layers.ReLU(dtype=policy, name=f"{name}_relu")(x)


def _initialiser():
    # Normal with variance 2 / (height x width x output channels), of which a depthwise kernel has
    # one for each input channel.
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
