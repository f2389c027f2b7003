import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.data import checks

pytestmark = pytest.mark.fast

IMAGES = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)


def with_value(value, index=(2, 0, 0, 0)):
    images = IMAGES.copy()
    images[index] = value
    return images


BFLOAT16 = tf.bfloat16.as_numpy_dtype


@pytest.mark.parametrize("dtype", [BFLOAT16, np.float16, np.float32, np.float64])
def test_float_images_pass(dtype):
    assert checks.check_images("x", IMAGES.astype(dtype)) is None


def test_one_image_passes():
    checks.check_images("x", IMAGES[:1])


@pytest.mark.parametrize(
    "images, message",
    [
        (IMAGES[0], r"x_test has shape \[4, 5, 2\], expected \[N, H, W, C\]"),
        (IMAGES.astype(np.uint8), "x_test has dtype uint8, expected floating point"),
        (IMAGES[:0], r"x_test has shape \[0, 4, 5, 2\].*at least one input"),
        (IMAGES[..., :0], r"x_test has shape \[3, 4, 5, 0\]"),
        (with_value(np.nan), "NaN or an infinity, first in input 2"),
        (with_value(np.nan).astype(BFLOAT16), "NaN or an infinity, first in input 2"),
        (with_value(np.inf), "first in input 2"),
        (with_value(-np.inf, (1, 3, 4, 1)), "first in input 1"),
        (np.full((2, 4, 4, 3), 7.0), "x_test is 7.0 everywhere"),
        (np.full((2, 4, 4, 3), 7.0, BFLOAT16), "x_test is 7.0 everywhere"),
    ],
)
def test_bad_images_are_named(images, message):
    with pytest.raises(ValueError, match=message) as error:
        checks.check_images("x_test", images)
    assert "\n" not in str(error.value)
