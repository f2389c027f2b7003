"""Random crops and flips of batches of standardised images, by stateless random numbers.

The recipes augment raw images and standardise them afterwards. Crops, flips and interpolation
commute with a standardisation per channel, so standardised images are augmented here, and what is
outside of an image has the value that standardisation gives to a raw 0.
"""

from __future__ import annotations

import tensorflow as tf

PADDING = 4
_SMALLEST_AREA = 0.08
_ASPECTS = (3 / 4, 4 / 3)


def augment(name: str, images: tf.Tensor, seed: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Augment a batch by the name of an augmentation.

    Args:
      name: One of `nngp_tf.training.recipes.AUGMENTATIONS`.
      images: [B, H, W, C], float32, standardised.
      seed: [2], int32 or int64.
      fill: [C], float32, the value of a raw 0.

    Returns:
      [B, H, W, C], float32.
    """
    if name == "crop_and_flip":
        return crop_and_flip(images, seed, fill)
    if name == "resized_crop_and_flip":
        return resized_crop_and_flip(images, seed)
    return images


def crop_and_flip(
    images: tf.Tensor, seed: tf.Tensor, fill: tf.Tensor, padding: int = PADDING
) -> tf.Tensor:
    """Shift each image by up to `padding` pixels, and mirror half of them.

    This is a random crop, of the images' own size, out of images padded on each side.

    Args:
      images: [B, H, W, C].
      seed: [2], int32 or int64.
      fill: [C], what the padding consists of.
      padding: Pixels on each side.

    Returns:
      [B, H, W, C].
    """
    batch, height, width, _ = _sizes(images)
    seeds = tf.random.split(seed, 2)
    shift = tf.random.stateless_uniform(
        [2, batch, 1], seeds[0], -padding, padding + 1, dtype=tf.int32
    )
    rows = tf.range(height) + shift[0]
    columns = tf.range(width) + shift[1]
    columns = tf.where(_coins(batch, seeds[1]), columns[:, ::-1], columns)
    cropped = tf.gather(images, tf.clip_by_value(rows, 0, height - 1), axis=1, batch_dims=1)
    cropped = tf.gather(cropped, tf.clip_by_value(columns, 0, width - 1), axis=2, batch_dims=1)
    inside = _within(rows, height)[:, :, None] & _within(columns, width)[:, None, :]
    return tf.where(inside[..., None], cropped, fill)


def resized_crop_and_flip(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Cut a random rectangle out of each image, resize it to the image's size, mirror half of them.

    The ratio of width to height is uniform in 3/4..4/3, and the area uniform from 0.08 of the image
    to the largest that fits at that ratio. Resizing is bilinear.

    Args:
      images: [B, H, W, C].
      seed: [2], int32 or int64.

    Returns:
      [B, H, W, C], float32.
    """
    batch, height, width, _ = _sizes(images)
    seeds = tf.random.split(seed, 4)
    boxes = random_boxes(batch, width / height, seeds)
    top, left, bottom, right = tf.unstack(boxes, axis=1)
    flip = _coins(batch, seeds[3])[:, 0]
    # A box whose left is right of its right is mirrored.
    left, right = tf.where(flip, right, left), tf.where(flip, left, right)
    return tf.image.crop_and_resize(
        images, tf.stack([top, left, bottom, right], axis=1), tf.range(batch), [height, width]
    )


def random_boxes(batch: int | tf.Tensor, image_aspect: float, seeds: tf.Tensor) -> tf.Tensor:
    """Draw the rectangles of `resized_crop_and_flip`.

    Args:
      batch: How many.
      image_aspect: Width over height of the images.
      seeds: [3 or more, 2], int32 or int64.

    Returns:
      [B, 4], float32: top, left, bottom, right, as shares of height and width.
    """
    aspect = tf.random.stateless_uniform([batch], seeds[0], *_ASPECTS) / image_aspect
    largest = tf.minimum(aspect, 1 / aspect)
    uniform = tf.random.stateless_uniform([batch], seeds[1])
    area = _SMALLEST_AREA + uniform * tf.maximum(largest - _SMALLEST_AREA, 0)
    size = tf.minimum(tf.sqrt(tf.stack([area / aspect, area * aspect], axis=1)), 1)
    corner = tf.random.stateless_uniform([batch, 2], seeds[2]) * (1 - size)
    return tf.concat([corner, corner + size], axis=1)


def _sizes(images):
    batch = images.shape[0]
    return tf.shape(images)[0] if batch is None else batch, *images.shape[1:]


def _coins(batch, seed):
    return tf.random.stateless_uniform([batch, 1], seed) < 0.5


def _within(positions, size):
    return (positions >= 0) & (positions < size)
