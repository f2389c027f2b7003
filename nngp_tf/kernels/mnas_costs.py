"""What mobile networks cost on the programs of `mnas_programs`, by arithmetic alone.

The memory of a replica, beside TensorFlow's own, is at most about

    12 (N + T) H W channels                 images: as arrays, placed twice at most; float32
    5120 (N + T) + 24 (N + T) N             features, and three times the products, float64
    a P                                     folded kernels
    max over layers of the larger of        activations
        a B (H W i + max(H W e + H' W' d, 2 H' W' d, H' W' (d + o)))
        a S (H W i + max(3 H W e, H W e + 3 H' W' d, H' W' (d + 3 o)))

with N training and T test images, P parameters, a bytes of the compute dtype, batches of B and
calibration by S images; a layer takes H x W positions with i channels to H' x W' with o, by e
channels of its expansion and d of its depthwise convolution. What streams in batches is the images'
activations: with their number grow only they, their features and their kernel. The allocator adds
up to a half, and the first networks' traces some MiB each.
"""

from __future__ import annotations

import math

import tensorflow as tf

from nngp_tf.kernels import mnas_layout
from nngp_tf.kernels.mnas_layout import LayerKind
from nngp_tf.models.mnas_network import MnasNetwork


def peak_memory(
    network: MnasNetwork,
    num_train: int,
    num_test: int = 0,
    *,
    batch_size: int,
    calibration_size: int,
    compute_dtype: str,
) -> int:
    """Return the bytes that a kernel's estimate on one device takes at most; see above.

    Args:
      network: The network.
      num_train: N.
      num_test: T.
      batch_size: B.
      calibration_size: S; 0 where batch normalisation needs no images.
      compute_dtype: Of the features.
    """
    num_images = num_train + num_test
    itemsize = tf.as_dtype(compute_dtype).size
    layers = [layer.kind for layer in mnas_layout.encode(network, static=True)]
    activations = max(
        max(batch_size * forward_elements(kind), calibration_size * calibration_elements(kind))
        for kind in layers
    )
    return (
        12 * num_images * math.prod(network.input_shape)
        + 4 * num_images * network.num_features
        + 24 * num_images * num_train
        + itemsize * (network.trainable_parameters + activations)
    )


def forward_elements(kind: LayerKind) -> int:
    """Return the numbers that a layer with shapes holds at a time, for one image."""
    before, after = _positions(kind)
    widths = kind.widths
    expansion = before * widths.depthwise if kind.expands else 0
    return before * widths.input + max(
        expansion + after * widths.depthwise,
        # Squeeze-excitation scales into a copy.
        2 * after * widths.depthwise,
        after * (widths.depthwise + widths.output),
    )


def calibration_elements(kind: LayerKind) -> int:
    """Return the same in training mode: of a convolution, its output, normalised, and its ReLU."""
    before, after = _positions(kind)
    widths = kind.widths
    expansion = before * widths.depthwise if kind.expands else 0
    return before * widths.input + max(
        3 * expansion,
        expansion + 3 * after * widths.depthwise,
        after * (widths.depthwise + 3 * widths.output),
    )


def _positions(kind):
    height, width = kind.image_size
    stride = kind.stride
    return height * width, -(-height // stride) * -(-width // stride)
