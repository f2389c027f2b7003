import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.data import decoding
from nngp_tf.data.preprocessing import Preprocessing

pytestmark = pytest.mark.fast


def collect(images, positions=None, image_size=None, dtype="float32"):
    """Sends PNG images through `collect_images`; labels are 10, 11, ..."""
    encoded = [tf.io.encode_png(image).numpy() for image in images]
    count = len(images)
    positions = np.arange(count) if positions is None else np.array(positions)
    elements = tf.data.Dataset.from_tensor_slices((positions, 10 + np.arange(count), encoded))

    def decode(payload):
        pixels = tf.io.decode_image(payload, channels=3, expand_animations=False)
        pixels.set_shape([None, None, 3])
        return pixels

    return decoding.collect_images(
        elements,
        count,
        decode=decode,
        preprocessing=Preprocessing(image_size=image_size, dtype=dtype),
        describe=lambda i: f"image {i}",
    )


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)


def test_images_go_to_their_positions_unchanged():
    images = random_images(3, 5, 4, 3)
    pixels, labels = collect(images, positions=[2, 0, 1])
    assert pixels.dtype == np.float32
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(pixels[[2, 0, 1]], images)
    np.testing.assert_array_equal(labels, [11, 12, 10])


def test_shrinking_is_antialiased():
    # Bilinear samples alone would fall between the two middle columns of four, which are black.
    stripes = np.tile(np.array([255, 0, 0, 255], np.uint8), (1, 32, 8))[..., None]
    pixels, _ = collect(np.repeat(stripes, 3, axis=-1), image_size=(8, 8))
    np.testing.assert_allclose(pixels[:, :, 1:-1], 127.5, atol=40.0)


def test_enlarging_is_bilinear():
    image = np.zeros((1, 1, 2, 3), np.uint8)
    image[0, 0, 1] = 200
    pixels, _ = collect(image, image_size=(1, 4))
    # Pixel centres lie at quarters of the old spacing, clamped at the border.
    np.testing.assert_allclose(pixels[0, 0, :, 0], [0, 50, 150, 200], atol=1e-3)


def test_sizes_that_differ_need_image_size():
    images = [random_images(8, 8, 3), random_images(8, 8, 3), random_images(6, 9, 3)]
    message = "image 0 has 8x8 pixels and image 2 has 6x9 .*: give image_size"
    with pytest.raises(ValueError, match=message):
        collect(images)
    pixels, _ = collect(images, image_size=(4, 5))
    assert pixels.shape == (3, 4, 5, 3)


def test_image_that_does_not_decode_is_named():
    encoded = [tf.io.encode_png(random_images(4, 4, 3)).numpy()] * 3
    encoded[1] = b"no image"
    elements = tf.data.Dataset.from_tensor_slices((np.arange(3), np.arange(3), encoded))
    with pytest.raises(ValueError, match=r"image 1 does not decode as an image .*: replace"):
        decoding.collect_images(
            elements,
            3,
            decode=lambda payload: tf.io.decode_png(payload, channels=3),
            preprocessing=Preprocessing(),
            describe=lambda i: f"image {i}",
        )


def test_data_that_end_early_are_an_error():
    encoded = [tf.io.encode_png(random_images(4, 4, 3)).numpy()] * 2
    elements = tf.data.Dataset.from_tensor_slices((np.arange(2), np.arange(2), encoded))
    with pytest.raises(ValueError, match="The data end or are damaged before image 2"):
        decoding.collect_images(
            elements,
            3,
            decode=tf.io.decode_png,
            preprocessing=Preprocessing(),
            describe=lambda i: f"image {i}",
        )


def test_images_are_held_at_the_dtype_of_the_preprocessing():
    images = random_images(3, 5, 4, 3)
    pixels, _ = collect(images, dtype="bfloat16")
    assert pixels.dtype.name == "bfloat16"
    # Eight bits hold all that a pixel can be.
    np.testing.assert_array_equal(pixels.astype(np.float32), images)
