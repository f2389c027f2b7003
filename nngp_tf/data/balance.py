"""Checks that a data set can give the same number of images of every class."""

from collections.abc import Sequence

import numpy as np

from nngp_tf.data import labels as labels_lib
from nngp_tf.data import splits


def check_counts(num_classes: int, **counts: int) -> None:
    """Raise unless every count is the same number of images for each class.

    Args:
      num_classes: The number of classes.
      **counts: Numbers of images by the name of their argument, e.g. num_train=100.

    Raises:
      ValueError: If a count is not a multiple of `num_classes`.
    """
    for name, count in counts.items():
        if count % num_classes:
            below = count - count % num_classes
            near = f"{below} or {below + num_classes}" if below else f"{num_classes}"
            raise ValueError(
                f"{name}={count} is not a multiple of the {num_classes} classes, which "
                f"balanced=True needs: ask for {near}."
            )


def read_labels(split: splits.Split, class_names: Sequence[str], num_images: int) -> np.ndarray:
    """Return the labels of a split that has enough images of every class.

    Args:
      split: The split.
      class_names: One name a class.
      num_images: How many images are wanted of all classes together, a multiple of their number.

    Returns:
      [size], int64, 0..classes - 1.

    Raises:
      ValueError: If a class has fewer images than its share, or a label is none.
    """
    num_classes = len(class_names)
    labels = labels_lib.check_labels(
        f"labels of {split.description}", split.read_labels(), num_classes
    )
    available = np.bincount(labels, minlength=num_classes)
    share = num_images // num_classes
    if available.min() < share:
        few = int(available.argmin())
        raise ValueError(
            f"balanced=True takes {share} images of each of the {num_classes} classes, but class "
            f"{class_names[few]!r} has {available[few]} in {split.description}: "
            "ask for fewer, or leave the class out."
        )
    return labels
