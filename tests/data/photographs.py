"""Photographs for tests: CIFAR-10's, enlarged to sizes and aspect ratios that vary, as JPEG."""

import itertools
from collections.abc import Iterator

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
# Height and width.
SIZES = ((96, 128), (150, 100), (120, 120), (64, 160), (199, 87))


def jpegs(shared_data) -> Iterator[tuple[bytes, int]]:
    """Yield (JPEG, class index among NAMES) of CIFAR-10's test images; skip where it is absent."""
    data_dir = shared_data / "tensorflow_datasets"
    if not data_dir.is_dir():
        pytest.skip(f"no TFDS data at {data_dir}")
    images = tfds.load("cifar10", split="test", data_dir=data_dir, as_supervised=True)
    for (image, label), size in zip(images, itertools.cycle(SIZES)):
        pixels = tf.clip_by_value(tf.image.resize(image, size, method="bicubic"), 0, 255)
        yield tf.io.encode_jpeg(tf.cast(tf.round(pixels), tf.uint8)).numpy(), int(label)


def by_class(shared_data, count: int) -> dict[str, list[bytes]]:
    """Return `count` JPEGs of each class of NAMES, of several sizes."""
    chosen = {name: [] for name in NAMES}
    for encoded, label in jpegs(shared_data):
        if len(chosen[NAMES[label]]) < count:
            chosen[NAMES[label]].append(encoded)
        if all(len(images) == count for images in chosen.values()):
            break
    return chosen
