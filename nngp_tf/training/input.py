"""Images as `tf.data` batches for training and for validation.

    epoch e:  permutation of the images by (seed, e) -> batches -> gather -> augment by (seed, step)

Batches are gathered and augmented whole, in parallel, ahead of the device. They depend on the seed,
the epoch and the step alone, so a run that is taken up at an epoch sees what it would have seen.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from nngp_tf.data.images import ImageData
from nngp_tf.training import augmentation

_AUGMENTATION_STREAM = 1


def training_batches(
    images: ImageData,
    batch_size: int,
    augmentation_name: str,
    seed: int,
    num_epochs: int,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Return the batches of all epochs, one after the other.

    Each epoch has N // batch_size batches; the images left over are others in each epoch.

    Args:
      images: Its training images are used.
      batch_size: B, over all replicas, at most N.
      augmentation_name: One of `nngp_tf.training.recipes.AUGMENTATIONS`.
      seed: 0..2**31 - 1, of order and augmentation.
      num_epochs: Epochs of the run.
      first_epoch: The epoch to begin with, from 0.

    Returns:
      Pairs of images [B, H, W, C], float32, and one-hot labels [B, num_classes], float32.
    """
    steps = len(images.x_train) // batch_size
    x, y = _on_host(images.x_train), _on_host(images.y_train)
    fill = tf.constant(-images.channel_mean / images.channel_std, tf.float32)

    def epoch_of_indices(epoch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(images.x_train)), tf.stack([tf.constant(seed, tf.int64), epoch])
        )
        indices = tf.reshape(order[: steps * batch_size], [steps, batch_size])
        numbers = epoch * steps + tf.range(steps, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices((indices, numbers))

    def batch(indices, number):
        key = tf.random.fold_in(tf.constant([seed, _AUGMENTATION_STREAM]), number)
        chosen = tf.cast(tf.gather(x, indices), tf.float32)
        return (
            augmentation.augment(augmentation_name, chosen, key, fill),
            tf.one_hot(tf.gather(y, indices), images.num_classes),
        )

    indices = tf.data.Dataset.range(first_epoch, num_epochs).flat_map(epoch_of_indices)
    return _parallel(indices, batch)


def validation_batches(images: ImageData, batch_size: int) -> tf.data.Dataset:
    """Return the validation images in order, the last batch filled up to the size of the others.

    Args:
      images: Its test images are used.
      batch_size: B, over all replicas.

    Returns:
      Triples of images [B, H, W, C], float32, one-hot labels [B, num_classes], float32, and weights
      [B], float32: 1, and 0 where an image fills up the last batch.
    """
    number = len(images.x_test)
    x, y = _on_host(images.x_test), _on_host(images.y_test)

    def batch(start):
        positions = start + tf.range(batch_size, dtype=tf.int64)
        indices = tf.minimum(positions, number - 1)
        return (
            tf.cast(tf.gather(x, indices), tf.float32),
            tf.one_hot(tf.gather(y, indices), images.num_classes),
            tf.cast(positions < number, tf.float32),
        )

    return _parallel(tf.data.Dataset.range(0, number, batch_size), batch)


def _parallel(indices, batch):
    options = tf.data.Options()
    # Workers share batches out; there are no files to share.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    batches = indices.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def _on_host(array: np.ndarray) -> tf.Tensor:
    with tf.device("/cpu:0"):
        return tf.convert_to_tensor(array)
