import numpy as np
import pytest
from sklearn import datasets

from nngp_tf.data import digits
from nngp_tf.data.preprocessing import Preprocessing

pytestmark = pytest.mark.fast


def test_digits_are_scikit_learns_on_the_raw_scale():
    expected = datasets.load_digits()
    source = digits.open_digits()
    assert source.train.size == 1797
    assert source.class_names == tuple("0123456789")
    assert source.find_test() is None
    np.testing.assert_array_equal(source.train.read_labels(), expected.target)

    chosen = np.array([1796, 0, 42])
    pixels, labels = source.train.read(chosen, Preprocessing(image_size=(8, 8)))
    # At their own size the images are not interpolated.
    np.testing.assert_allclose(pixels[..., 0], expected.images[chosen] / 16 * 255, rtol=1e-6)
    np.testing.assert_array_equal(labels, expected.target[chosen])


def test_default_is_32_by_32_rgb_and_interpolated():
    pixels, _ = digits.open_digits().train.read(np.arange(20), Preprocessing())
    assert pixels.shape == (20, 32, 32, 3)
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])
    assert pixels.min() >= 0
    assert 200 < pixels.max() <= 255.001
