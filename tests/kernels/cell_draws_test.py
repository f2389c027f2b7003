"""Draws for TPU, which XLA compiles for the CPU here; `cell_program_test` has those for CPU."""

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels import cell_layout, initialisers, weights
from nngp_tf.kernels.cell_draws import Axis, conv_kernel

pytestmark = [pytest.mark.fast, pytest.mark.usefixtures("xla_on_cpu")]

STACK = cell_layout.Stack(filters=10, width=4, blocks=3)
INDEX = np.array([0, 1, 2, 3, 4, 5, 6, -1, 7, 8, 9, -1], np.int32)


def on_tpu(draw):
    """Draws as on TPU; outside of XLA, TensorFlow has no Threefry."""

    @tf.function(jit_compile=True, autograph=False)
    def compiled(seed, initialisation):
        with weights.drawn_on("TPU"):
            return draw(weights.stream(seed, initialisation, 5))

    return lambda seed, initialisation: compiled(
        tf.constant(seed), tf.constant(initialisation)
    ).numpy()


def padded(width):
    return [Axis.of_output(STACK, tf.constant(INDEX)), Axis.of_slot(STACK, tf.constant(width))]


def test_padding_is_zero_and_nothing_else():
    rows, columns = padded(3)
    kernel = on_tpu(lambda stream: conv_kernel(stream, 3, rows, columns))(0, 0)
    assert kernel.shape == (3, 3, 12, 4)
    real = np.logical_and(INDEX[:, None] >= 0, np.arange(4) < 3)
    assert np.array_equal(kernel != 0, np.broadcast_to(real, kernel.shape))


def test_scale_follows_the_real_channels():
    rows, columns = padded(4)
    draw = on_tpu(lambda stream: conv_kernel(stream, 3, rows, columns))
    kernels = np.stack([draw(0, init) for init in range(40)])
    real = kernels[kernels != 0]
    assert abs(real.std() * np.sqrt(9 * 10) - 1) < 0.02
    assert abs(real.mean()) < 0.01 * real.std() * 3


def test_a_kernel_without_padding_is_that_of_the_keras_model():
    """As `weights.WeightSampler` draws it: the same stream, shape and scale."""
    axes = Axis(6, 6), Axis(8, 8)
    stddev = initialisers.truncated_stddev(1.0, 9 * 6)
    expected = on_tpu(lambda stream: stddev * weights.truncated_normal([3, 3, 6, 8], stream))(7, 3)
    got = on_tpu(lambda stream: conv_kernel(stream, 3, *axes))(7, 3)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_draws_follow_seed_and_initialisation():
    draw = on_tpu(lambda stream: weights.truncated_normal([64], stream))
    first = draw(0, 0)
    assert np.array_equal(draw(0, 0), first)
    for other in (draw(1, 0), draw(0, 1)):
        assert not np.any(other == first)


def test_the_generator_is_that_of_the_block():
    stream = tf.constant([1, 2])
    expected = weights.uniform([8], stream).numpy()
    assert weights.draws_are_nested()
    with pytest.raises(KeyError), weights.drawn_on("TPU"):
        assert not weights.draws_are_nested()
        raise KeyError
    assert weights.draws_are_nested()
    with weights.drawn_on("GPU"):
        np.testing.assert_array_equal(weights.uniform([8], stream), expected)
    np.testing.assert_array_equal(weights.uniform([16], stream)[:8], expected)
