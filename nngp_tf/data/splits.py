"""A labelled data set as one object, whatever it is read from."""

import dataclasses
from collections.abc import Callable

import numpy as np

from nngp_tf.data.preprocessing import Preprocessing

ReadFn = Callable[[np.ndarray, Preprocessing], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Split:
    """Labelled images, read by index.

    Attributes:
      description: The split in words, for error messages.
      size: The number of images.
      read: Takes the indices to read [K], distinct, and the preprocessing of each image; returns
        images [K, H, W, C] and labels [K], int64, in the order of the indices.
      read_labels: Returns the labels of all images [size], int64; decodes none of them, but may
        have to go through the files.
      describe: Takes an index; returns that image in words, for error messages.
    """

    description: str
    size: int
    read: ReadFn
    read_labels: Callable[[], np.ndarray]
    describe: Callable[[int], str]


def _no_test() -> None:
    return None


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set that was found, nothing of it decoded yet.

    Attributes:
      name: The data set in words.
      class_names: One name a class, in the order of the labels.
      channels: C of its images.
      train: The training split.
      find_test: The split with labelled test images, or None; called only where one is wanted,
        since it may have to look at a file.
    """

    name: str
    class_names: tuple[str, ...]
    channels: int
    train: Split
    find_test: Callable[[], Split | None] = _no_test
