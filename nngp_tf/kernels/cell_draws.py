"""Kernels of NAS-Bench-101 convolutions, drawn into the padded layout of `cell_layout`.

The numbers are those that `weights.WeightSampler` draws for the Keras model of the same network,
save on TPU, where a kernel with padding has numbers of its own.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from nngp_tf.kernels import initialisers, weights
from nngp_tf.kernels.cell_layout import Stack


@dataclasses.dataclass(frozen=True)
class Axis:
    """The channels of one side of a kernel.

    Attributes:
      size: Channels with padding, static.
      count: Real channels, an integer or a scalar tensor.
      index: For each channel the real one that it is, or -1 [size]; None where all are real.
    """

    size: int
    count: int | tf.Tensor
    index: tf.Tensor | None = None

    @classmethod
    def of_slot(cls, stack: Stack, width: tf.Tensor) -> Axis:
        """Return the first `width` channels of a slot."""
        if not stack.padded:
            return cls(stack.width, stack.width)
        channels = tf.range(stack.width)
        return cls(stack.width, width, tf.where(channels < width, channels, -1))

    @classmethod
    def of_output(cls, stack: Stack, index: tf.Tensor) -> Axis:
        """Return the channels of a stack's output."""
        return cls(stack.output, stack.filters, index if stack.padded else None)


def conv_key(name: str) -> int:
    """Return the key of the kernel of a convolution that the builder names `name`."""
    return weights.variable_key(f"{name}_conv/kernel")


def conv_kernel(stream: tf.Tensor, kernel_size: int, rows: Axis, columns: Axis) -> tf.Tensor:
    """Draw a kernel after the builder's initialiser, Keras' `lecun_normal`.

    Args:
      stream: Seed [2].
      kernel_size: Side k.
      rows: Input channels.
      columns: Output channels.

    Returns:
      [k, k, rows.size, columns.size], zero where a channel is not real.
    """
    shape = [kernel_size, kernel_size, rows.size, columns.size]
    fan_in = tf.cast(kernel_size**2 * rows.count, tf.float32)
    stddev = initialisers.truncated_stddev(1.0, 1.0) * tf.math.rsqrt(fan_in)
    padded = rows.index is not None or columns.index is not None
    row = tf.range(rows.size) if rows.index is None else rows.index
    column = tf.range(columns.size) if columns.index is None else columns.index
    real = tf.logical_and(row[:, None] >= 0, column >= 0)
    if not weights.draws_are_nested():
        # Where no order is to be kept: numbers in one dimension, and gathering single ones, are
        # what a TPU does worst.
        kernel = weights.truncated_normal(shape, stream) * stddev
        return tf.where(real, kernel, 0.0) if padded else kernel
    flat = weights.truncated_normal([kernel_size**2 * rows.size * columns.size], stream)
    if not padded:
        return tf.reshape(flat, shape) * stddev
    tap = tf.reshape(tf.range(kernel_size**2), [-1, 1, 1])
    place = (tap * rows.count + row[:, None]) * columns.count + column
    kernel = tf.where(real, tf.gather(flat, tf.maximum(place, 0)), 0.0)
    return tf.reshape(kernel, shape) * stddev
