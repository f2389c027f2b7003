"""Inner products of features, in full precision on every device."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla
from tensorflow.compiler.xla import xla_data_pb2


def inner_products(left: tf.Tensor, right: tf.Tensor, device_type: str) -> tf.Tensor:
    """Left @ right^T, safe from the reduced precision that matrix units default to.

    CPU and GPU multiply in float64, which TF32 does not touch. TPU has no float64 units: there XLA
    is asked for its highest float32 precision instead of a single bfloat16 pass.

    Args:
      left: [P, C].
      right: [N, C], of the same dtype.
      device_type: "CPU", "GPU" or "TPU".

    Returns:
      [P, N], float64 on CPU and GPU, float32 on TPU.
    """
    if device_type != "TPU":
        return tf.matmul(tf.cast(left, tf.float64), tf.cast(right, tf.float64), transpose_b=True)
    dimensions = xla_data_pb2.DotDimensionNumbers(
        lhs_contracting_dimensions=[1], rhs_contracting_dimensions=[1]
    )
    highest = xla_data_pb2.PrecisionConfig.HIGHEST
    precision = xla_data_pb2.PrecisionConfig(operand_precision=[highest, highest])
    return xla.dot_general(
        tf.cast(left, tf.float32), tf.cast(right, tf.float32), dimensions, precision
    )
