"""Images as the kernel functions take them: without a copy wherever none is needed."""

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels import arguments

pytestmark = pytest.mark.fast

BFLOAT16 = tf.bfloat16.as_numpy_dtype
SPEC = arguments.ModelInput((None, None, 3), "float32")
X = np.random.default_rng(0).normal(size=(5, 4, 4, 3))


@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16, np.float32, np.float64])
def test_images_of_one_dtype_are_not_copied(dtype):
    x_train, x_test = X[:3].astype(dtype), X[3:].astype(dtype)
    checked = arguments.check_inputs(x_train, x_test, SPEC)
    assert checked[0] is x_train
    assert checked[1] is x_test
    assert checked[0].dtype == checked[1].dtype == dtype


@pytest.mark.parametrize(
    ("train", "test", "both"),
    [
        (np.float16, BFLOAT16, np.float32),
        (np.float16, np.float32, np.float32),
        (np.float32, np.float16, np.float32),
        (np.float32, np.float64, np.float32),
        (np.float64, np.float16, np.float64),
        (np.longdouble, np.longdouble, np.float32),
    ],
)
def test_images_of_several_dtypes_get_one(train, test, both):
    checked = arguments.check_inputs(X[:3].astype(train), X[3:].astype(test), SPEC)
    assert [x.dtype for x in checked] == [both, both]
    np.testing.assert_array_equal(checked[0], X[:3].astype(train).astype(both))
    np.testing.assert_array_equal(checked[1], X[3:].astype(test).astype(both))


@pytest.mark.parametrize("x_test", [None, X[:0]])
def test_no_test_images(x_test):
    x_train, none = arguments.check_inputs(X.astype(BFLOAT16), x_test, SPEC)
    assert none.shape == (0, 4, 4, 3)
    assert x_train.dtype == none.dtype == BFLOAT16


def test_one_count_in_place_of_a_series():
    with pytest.raises(ValueError, match=r"\(3,\)"):
        arguments.check_counts(3, 0, 0)
