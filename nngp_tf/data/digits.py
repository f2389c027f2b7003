"""scikit-learn's handwritten digits: the data set that needs no download."""

import dataclasses

import numpy as np
import tensorflow as tf

from nngp_tf.data import decoding, splits

_SIZE = (32, 32)
_MAXIMUM = 16.0


def open_digits() -> splits.Source:
    """Return scikit-learn's digits as 32x32 RGB: 1,797 images, 10 classes, no download.

    The 8x8 images of values 0..16 are scaled to 0..255 and their one channel is repeated.
    """
    from sklearn import datasets  # Only the digits need scikit-learn.

    digits = datasets.load_digits()
    pixels = np.repeat(digits.images[..., None] * (255.0 / _MAXIMUM), 3, axis=-1)
    pixels = pixels.astype(np.float32)
    labels = digits.target.astype(np.int64)

    def read(indices, preprocessing):
        size = preprocessing.image_size or _SIZE
        return decoding.collect_images(
            tf.data.Dataset.from_tensor_slices(
                (np.arange(len(indices)), labels[indices], pixels[indices])
            ),
            len(indices),
            decode=lambda image: image,
            preprocessing=dataclasses.replace(preprocessing, image_size=size),
            describe=lambda i: f"digit {indices[i]}",
        )

    names = tuple(str(name) for name in digits.target_names)
    train = splits.Split(
        "the data set 'digits'", len(labels), read, labels.copy, lambda i: f"digit {i}"
    )
    return splits.Source("digits", names, 3, train)
