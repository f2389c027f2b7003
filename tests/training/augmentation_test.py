"""Augmentations against all that they may give, computed by NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.training import augmentation

pytestmark = pytest.mark.fast

FILL = np.array([-1.5, 2.5], np.float32)
SEED = tf.constant([3, 5])


def pictures(number, height=5, width=6):
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, size=(number, height, width, 2)).astype(np.float32)


def crops(image, fill, padding):
    """Every crop of the padded image, mirrored ones included: {(down, right, flipped): image}."""
    height, width, channels = image.shape
    padded = np.empty((height + 2 * padding, width + 2 * padding, channels), np.float32)
    padded[:] = fill
    padded[padding : padding + height, padding : padding + width] = image
    found = {}
    for down in range(2 * padding + 1):
        for right in range(2 * padding + 1):
            crop = padded[down : down + height, right : right + width]
            found[down, right, False] = crop
            found[down, right, True] = crop[:, ::-1]
    return found


def test_every_crop_and_no_other():
    images = pictures(600)
    augmented = augmentation.crop_and_flip(images, SEED, FILL, padding=2).numpy()
    seen = []
    for image, result in zip(images, augmented, strict=True):
        matches = [k for k, crop in crops(image, FILL, 2).items() if np.array_equal(crop, result)]
        assert len(matches) == 1
        seen += matches
    assert len(set(seen)) == 5 * 5 * 2
    # 600 coins: five standard deviations.
    assert abs(sum(flipped for *_, flipped in seen) - 300) < 5 * np.sqrt(150)


def test_the_benchmarks_padding():
    image = pictures(1, 32, 32)
    images = np.repeat(image, 200, axis=0)
    augmented = augmentation.augment("crop_and_flip", images, SEED, FILL).numpy()
    possible = crops(image[0], FILL, 4)
    known = {crop.tobytes(): position for position, crop in possible.items()}
    positions = {known[result.tobytes()] for result in augmented}
    # Images of a batch are moved one by one, down and right alike from 0 to 8.
    assert len(positions) > 100
    assert {down for down, _, _ in positions} == {right for _, right, _ in positions} == {*range(9)}


def test_standardising_before_is_standardising_after():
    raw = pictures(20)
    mean, std = np.array([120, 30], np.float32), np.array([60, 20], np.float32)
    after = (augmentation.crop_and_flip(raw, SEED, np.zeros(2, np.float32)) - mean) / std
    before = augmentation.crop_and_flip((raw - mean) / std, SEED, -mean / std)
    np.testing.assert_allclose(before, after, atol=1e-6)
    after = (augmentation.resized_crop_and_flip(raw, SEED) - mean) / std
    before = augmentation.resized_crop_and_flip((raw - mean) / std, SEED)
    np.testing.assert_allclose(before, after, atol=1e-5)


@pytest.mark.parametrize("name", ["crop_and_flip", "resized_crop_and_flip"])
def test_the_seed_decides(name):
    images = pictures(8)
    first = augmentation.augment(name, images, SEED, FILL).numpy()
    assert first.shape == images.shape
    np.testing.assert_array_equal(augmentation.augment(name, images, SEED, FILL), first)
    other = augmentation.augment(name, images, tf.constant([3, 6]), FILL).numpy()
    assert not np.array_equal(other, first)


def test_none_leaves_images_alone():
    images = pictures(3)
    np.testing.assert_array_equal(augmentation.augment("none", images, SEED, FILL), images)


@pytest.mark.parametrize("image_aspect", [1.0, 2.0, 0.5])
def test_boxes(image_aspect):
    seeds = tf.random.split(SEED, 3)
    boxes = augmentation.random_boxes(3000, image_aspect, seeds).numpy()
    assert (boxes > -1e-6).all()
    assert (boxes < 1 + 1e-6).all()
    height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area, aspect = height * width, width * image_aspect / height
    assert aspect.min() == pytest.approx(3 / 4, abs=0.01)
    assert aspect.max() == pytest.approx(4 / 3, abs=0.01)
    assert area.min() == pytest.approx(0.08, abs=0.01)
    # The largest rectangle of ratio 1 in the square, and of the nearest ratio in the others.
    largest = {1.0: 1.0, 2.0: 2 / 3, 0.5: 2 / 3}[image_aspect]
    assert area.max() == pytest.approx(largest, abs=0.03)
    # Boxes touch both ends.
    assert boxes[:, 0].min() < 0.01
    assert boxes[:, 2].max() > 0.99


def test_resized_crops_of_a_ramp_are_ramps():
    ramp = np.arange(9, dtype=np.float32)
    images = np.broadcast_to(ramp[None, None, :, None], (400, 7, 9, 1))
    result = augmentation.resized_crop_and_flip(images, SEED).numpy()[..., 0]
    assert (result >= 0).all()
    assert (result <= 8).all()
    steps = np.diff(result, axis=2)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1, :1], steps.shape), atol=1e-4)
    # Half of them run backwards: five standard deviations.
    assert abs((steps[:, 0, 0] < 0).sum() - 200) < 5 * np.sqrt(100)
    # Columns 0 to 8 are 8 steps wide, and boxes at least sqrt(0.08 * 3 / 4 * 7 / 9) of the width.
    assert np.abs(steps[:, 0, 0]).min() > 0.21
    assert np.abs(steps[:, 0, 0]).max() <= 1.0001
