"""How much of a kernel is rounding.

    x'     = x (1 + e r / 2), r uniform in [-1, 1], e the spacing of numbers at 1
    d      = z(x') - z(x), centred over the probed images
    share  = (N - 1) mean ||d||^2 / 2 / tr K  +  e^2 / 12

From an image that is moved within its own rounding error on, every operation rounds other numbers,
so the two feature vectors differ by two sums of what the operations rounded off and of what later
layers made of it. Whole numbers may be tokens, which are looked up, and zeros do not move: there
the weights are moved instead. So it is measured where it arises, under the same weights, compiler
and precision, for the cost of `NUM_PROBES` images. What the move does not show is rounding that is
the same for both, as where a layer brings all images within one spacing: e^2 / 12 stands for it,
the variance of one rounding. A shift that all images share changes no centred kernel: it does not
count.

Beside the same weights in a higher precision (networks of keras.applications, NAS-Bench-101 and
MNAS; bfloat16 and float32), the first term was a tenth to all of the difference, which holds the
rounding of the weights as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import tensorflow as tf

from nngp_tf.kernels import weights

NUM_PROBES = 8
# Of kernels that are all rounding, the varying share was 1 to 4 times the rounding share. With 10,
# a tenth of what varies may be rounding.
LEAST_RATIO = 10.0
_SEED = 20110606

Array = TypeVar("Array", np.ndarray, tf.Tensor)


def probed(values: Array, num_train: int) -> Array:
    """Return what is of the images to be probed [min(NUM_PROBES, N), ...], out of [N or more, ...].

    They are spread over the training images, of which the first may all be blank.
    """
    return values[: num_train : max(1, num_train // NUM_PROBES)][:NUM_PROBES]


def are_whole(images: np.ndarray) -> bool:
    """Return whether images [P, ...] hold whole numbers alone."""
    return np.issubdtype(images.dtype, np.integer) or bool(np.all(images == np.rint(images)))


def probes(images: np.ndarray, spacing: float) -> np.ndarray:
    """Return images [P, ...] moved within their rounding error.

    The spacing is that of `precision.spacing`; their dtype must have as many digits.
    """
    half_spacing = spacing / 2
    wide = images.astype(np.float64)
    moves = np.random.default_rng(_SEED).uniform(-half_spacing, half_spacing, images.shape)
    return (wide * (1.0 + moves)).astype(images.dtype)


def moved(values: Sequence[tf.Tensor], spacing: float, key: str) -> list[tf.Tensor]:
    """Return the weights, those of floating point moved within their rounding error.

    Args:
      values: Weights.
      spacing: That of `precision.spacing`.
      key: Tells these weights from others of the network.
    """
    half_spacing = spacing / 2

    def move(index, value):
        if not value.dtype.is_floating:
            return value
        stream = weights.stream(_SEED, index, weights.variable_key(key))
        by = weights.uniform(value.shape, stream, -half_spacing, half_spacing)
        return value + value * tf.cast(by, value.dtype)

    return [move(*pair) for pair in enumerate(values)]


def unseen_share(spacing: float) -> float:
    """Return the share of the trace that one rounding of the features makes."""
    return spacing**2 / 12.0


def variance(z: tf.Tensor, z_probes: tf.Tensor) -> tf.Tensor:
    """Return the mean squared rounding error [] of a feature vector.

    Args:
      z: Features [P, C] of P images.
      z_probes: Features [P, C] of their probes.
    """
    moved = z_probes - z
    moved -= tf.reduce_mean(moved, axis=0)
    degrees_of_freedom = max(z.shape[0] - 1, 1)
    return tf.reduce_sum(tf.square(moved)) / (2.0 * degrees_of_freedom)
