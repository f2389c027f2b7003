"""Batches: every image once an epoch, the same after a restart, validation images all counted."""

import dataclasses

import numpy as np
import pytest

from nngp_tf.data.images import load_images
from nngp_tf.training import input as input_lib

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def images():
    """Images that say which they are: the first pixel is the position, so is that of the test."""
    loaded = load_images("digits", 50, 21)
    for x in (loaded.x_train, loaded.x_test):
        x[:, 0, 0, 0] = np.arange(len(x))
    return loaded


def batches(images, seed=0, first_epoch=0, augmentation="none"):
    dataset = input_lib.training_batches(images, 16, augmentation, seed, 3, first_epoch)
    return list(dataset.as_numpy_iterator())


def positions(batch):
    return batch[0][:, 0, 0, 0].astype(int).tolist()


def test_epochs(images):
    found = batches(images)
    # 50 // 16 batches in each of 3 epochs.
    assert len(found) == 9
    epochs = [[p for b in found[3 * e : 3 * e + 3] for p in positions(b)] for e in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == 48
    # Another order, and others left out.
    assert epochs[0] != epochs[1] != epochs[2]
    assert len({frozenset(epoch) for epoch in epochs}) > 1


def test_images_go_with_their_labels(images):
    for x, y in batches(images):
        assert (x.shape, x.dtype) == ((16, 32, 32, 3), np.float32)
        assert (y.shape, y.dtype) == ((16, 10), np.float32)
        chosen = positions((x, y))
        np.testing.assert_array_equal(x, images.x_train[chosen])
        np.testing.assert_array_equal(y, np.eye(10)[images.y_train[chosen]])


@pytest.mark.parametrize("augmentation", ["none", "crop_and_flip", "resized_crop_and_flip"])
def test_a_later_epoch_is_the_same_after_a_restart(images, augmentation):
    whole = batches(images, augmentation=augmentation)
    resumed = batches(images, augmentation=augmentation, first_epoch=1)
    assert len(resumed) == 6
    for (x, y), (expected_x, expected_y) in zip(resumed, whole[3:], strict=True):
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)


def test_the_seed_decides(images):
    assert positions(batches(images)[0]) == positions(batches(images)[0])
    assert positions(batches(images, seed=1)[0]) != positions(batches(images)[0])
    # Augmentation of the same images differs by step and by seed.
    x = images.x_train
    same = dataclasses.replace(images, x_train=np.repeat(x[:1], len(x), axis=0))
    first, second = (b[0] for b in batches(same, augmentation="crop_and_flip")[:2])
    other = batches(same, seed=1, augmentation="crop_and_flip")[0][0]
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_padding_is_a_raw_zero(images):
    black = dataclasses.replace(images, x_train=np.full_like(images.x_train, 100.0))
    x, _ = batches(black, augmentation="crop_and_flip")[0]
    filled = x[x != 100.0].reshape(-1, 3)
    assert len(filled)
    raw = filled * images.channel_std + images.channel_mean
    np.testing.assert_allclose(raw, 0, atol=1e-4)


def test_validation(images):
    found = list(input_lib.validation_batches(images, 8).as_numpy_iterator())
    # 21 images, and three that fill up.
    assert [x.shape for x, _, _ in found] == [(8, 32, 32, 3)] * 3
    x, y, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    np.testing.assert_array_equal(weights, [1] * 21 + [0] * 3)
    np.testing.assert_array_equal(x[:21], images.x_test)
    np.testing.assert_array_equal(y[:21], np.eye(10)[images.y_test])


def test_half_precision_images_are_augmented_in_float32(images):
    half = dataclasses.replace(
        images,
        x_train=images.x_train.astype(np.float16),
        x_test=images.x_test.astype(np.float16),
    )
    for augmentation in ("crop_and_flip", "resized_crop_and_flip"):
        x, _ = batches(half, augmentation=augmentation)[0]
        expected, _ = batches(images, augmentation=augmentation)[0]
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, expected, atol=0.05)
    x, _, _ = next(input_lib.validation_batches(half, 8).as_numpy_iterator())
    assert x.dtype == np.float32
