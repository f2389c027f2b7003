import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.data import preprocessing
from nngp_tf.data.preprocessing import Preprocessing

pytestmark = pytest.mark.fast


def coordinates(height, width):
    """An image whose pixels are (row, column, 0)."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, 0 * rows], axis=-1).astype(np.int32)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "height, width, size, side, top, left",
    [
        # By hand: side = floor(min(h, w) size / (size + 32)), margins (h - side + 1) // 2.
        (256, 256, 224, 224, 16, 16),
        (375, 500, 224, 328, 24, 86),  # 0.875 * 375 = 328.1
        (500, 333, 224, 291, 105, 21),  # 0.875 * 333 = 291.4
        (32, 48, 64, 21, 6, 14),  # 2 / 3 * 32 = 21.3
        (32, 32, 32, 16, 8, 8),
        (1, 9, 8, 1, 0, 4),  # 0.2 of a pixel is one pixel
    ],
)
def test_centre_crop(height, width, size, side, top, left):
    crop = preprocessing.mnasnet_centre_crop(tf.constant(coordinates(height, width)), size).numpy()
    assert crop.shape == (side, side, 3)
    np.testing.assert_array_equal(crop[0, 0, :2], [top, left])
    np.testing.assert_array_equal(crop[-1, -1, :2], [top + side - 1, left + side - 1])


def test_mnasnet_samples_from_the_corners():
    # Of 96 pixels the central 48 shrink to 32: steps of 1.5 from pixel 24 on, and bilinear
    # interpolation of a ramp is exact.
    image = Preprocessing("mnasnet", (32, 32))(coordinates(96, 96)).numpy()
    ramp = 24 + 1.5 * np.arange(32)
    np.testing.assert_allclose(image[..., 0], np.repeat(ramp[:, None], 32, axis=1), atol=1e-4)
    np.testing.assert_allclose(image[..., 1], np.repeat(ramp[None], 32, axis=0), atol=1e-4)


@pytest.mark.parametrize("height, width, size", [(120, 90, 64), (75, 200, 224), (41, 40, 32)])
def test_mnasnet_is_the_original_function_on_a_jpeg(height, width, size):
    # tensorflow/tpu, models/official/mnasnet/preprocessing.py: the JPEG's own crop and TensorFlow
    # 1's resize, here without chroma subsampling, at which a cropped JPEG is blurred differently.
    encoded = tf.io.encode_jpeg(noise(height, width), chroma_downsampling=False)
    side = int(np.float32(min(height, width)) * np.float32(size / (size + 32)))
    box = [(height - side + 1) // 2, (width - side + 1) // 2, side, side]
    cropped = tf.io.decode_and_crop_jpeg(encoded, box, channels=3)
    expected = tf.compat.v1.image.resize(cropped[None], (size, size))[0]
    decoded = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image = Preprocessing("mnasnet", (size, size))(decoded)
    np.testing.assert_array_equal(image, expected)


def test_plain_resize_is_antialiased_and_keeps_what_has_the_size():
    pixels = noise(40, 30)
    image = Preprocessing(image_size=(10, 12))(pixels)
    np.testing.assert_allclose(
        image, tf.image.resize(pixels, (10, 12), method="bilinear", antialias=True), atol=1e-3
    )
    np.testing.assert_array_equal(Preprocessing()(pixels), pixels)


def test_standardising_and_rounding_come_last():
    pixels = noise(5, 6)
    mean, std = (100.0, 120.0, 90.0), (50.0, 60.0, 70.0)
    steps = Preprocessing(channel_mean=mean, channel_std=std)
    assert steps.standardises
    assert not Preprocessing().standardises
    expected = (pixels - np.float32(mean)) / np.float32(std)
    np.testing.assert_array_equal(steps(pixels), expected)
    for name, relative in (("bfloat16", 2**-8), ("float16", 2**-11)):
        rounded = dataclasses.replace(steps, dtype=name)(pixels)
        assert rounded.dtype == name
        np.testing.assert_allclose(tf.cast(rounded, tf.float32), expected, rtol=relative)
        assert not np.array_equal(tf.cast(rounded, tf.float32), expected)


def test_statistics_of_imagenet_on_the_raw_scale():
    np.testing.assert_allclose(preprocessing.MNASNET_MEAN, (123.675, 116.28, 103.53))
    np.testing.assert_allclose(preprocessing.MNASNET_STD, (58.395, 57.12, 57.375))


def test_to_dtype_rounds_only_where_it_has_to():
    images = np.float32([[1.0, 1.0 + 2**-9]])
    assert preprocessing.to_dtype(images, "float32") is images
    rounded = preprocessing.to_dtype(images, "bfloat16")
    assert rounded.dtype.name == "bfloat16"
    np.testing.assert_array_equal(rounded.astype(np.float32), [[1.0, 1.0]])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("crop", (8, 8), "float32"), r"preprocessing='crop', expected one of \('resize', 'mnasn"),
        ((None, None, "float32"), "preprocessing=None"),
        (("resize", None, "float64"), r"dtype='float64', expected one of \('float32', 'bfloat16'"),
        (("mnasnet", None, "float32"), "crops a square, got image_size=None: give one integer"),
        (("mnasnet", (8, 9), "float32"), r"crops a square, got image_size=\(8, 9\)"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        preprocessing.check_arguments(*arguments)


def test_mnasnet_is_for_rgb():
    preprocessing.check_channels("resize", 1)
    preprocessing.check_channels("mnasnet", 3)
    with pytest.raises(ValueError, match="is for RGB images, but these have 1 channels"):
        preprocessing.check_channels("mnasnet", 1)
