"""Inner products of features: float64 where there is any, XLA's best float32 on TPU."""

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels import gram

pytestmark = pytest.mark.fast


def features(rows, columns=200, seed=0):
    """Of mean 1, as after a ReLU: their differences lie in the digits that low precision drops."""
    rng = np.random.default_rng(seed)
    return (1 + 0.01 * rng.normal(size=(rows, columns))).astype("float32")


LEFT, RIGHT = features(7), features(5, seed=1)
EXACT = LEFT.astype("float64") @ RIGHT.astype("float64").T


@tf.function(jit_compile=True)
def on_tpu(left, right):
    """The form for TPU, which needs a compiler that this machine's CPU has too."""
    return gram.inner_products(left, right, "TPU")


def relative_error(product):
    return np.abs(product.numpy().astype("float64") / EXACT - 1).max()


@pytest.mark.parametrize("device_type", ["CPU", "GPU"])
def test_cpu_and_gpu_multiply_in_float64(device_type):
    product = gram.inner_products(tf.constant(LEFT), tf.constant(RIGHT), device_type)
    assert product.dtype == tf.float64
    assert product.shape == (7, 5)
    # 1e-14 is out of reach of float32 (6e-8), TF32 (5e-4) and bfloat16 (4e-3) factors or sums.
    assert relative_error(product) < 1e-14


@pytest.mark.parametrize("device_type", ["CPU", "GPU"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_dtypes_are_widened_before_the_product(device_type, dtype):
    left, right = (tf.cast(x, dtype) for x in (LEFT, RIGHT))
    exact = tf.cast(left, tf.float64).numpy() @ tf.cast(right, tf.float64).numpy().T
    product = gram.inner_products(left, right, device_type)
    np.testing.assert_allclose(product, exact, rtol=1e-14)


@pytest.mark.usefixtures("xla_on_cpu")
def test_tpu_form_is_float32_to_rounding():
    product = on_tpu(LEFT, RIGHT)
    assert product.dtype == tf.float32
    assert product.shape == (7, 5)
    # Sums of 200 products, each rounded by 2**-24; one bfloat16 pass would be off by 1e-4 or more.
    assert relative_error(product) < 200 * 2**-24
    assert relative_error(tf.matmul(*(tf.cast(x, tf.bfloat16) for x in (LEFT, RIGHT.T)))) > 1e-4


@pytest.mark.usefixtures("xla_on_cpu")
def test_tpu_form_asks_for_the_highest_precision():
    # Both factors: with one of them at the default, a TPU multiplies in bfloat16 all the same.
    hlo = on_tpu.experimental_get_compiler_ir(LEFT, RIGHT)(stage="hlo")
    (product,) = [line for line in hlo.splitlines() if " dot(" in line]
    assert "operand_precision={highest,highest}" in product
    assert "f32[7,5]" in product


@pytest.mark.usefixtures("xla_on_cpu")
def test_tpu_form_accepts_bfloat16():
    left, right = (tf.cast(x, tf.bfloat16) for x in (LEFT, RIGHT))
    exact = tf.cast(left, tf.float64).numpy() @ tf.cast(right, tf.float64).numpy().T
    np.testing.assert_allclose(on_tpu(left, right), exact, rtol=1e-5)


def test_without_rows():
    """No test images."""
    assert gram.inner_products(tf.zeros([0, 200]), tf.constant(RIGHT), "CPU").shape == (0, 5)


@pytest.mark.usefixtures("xla_on_cpu")
def test_tpu_form_without_rows():
    assert on_tpu(tf.zeros([0, 200]), tf.constant(RIGHT)).shape == (0, 5)
