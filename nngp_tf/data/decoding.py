"""Selected images out of a `tf.data` pipeline into one array."""

import re
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nngp_tf.data import preprocessing as preprocessing_lib

_UNREADABLE = (
    tf.errors.FailedPreconditionError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
)
# What TensorFlow puts around the cause.
_NODES = re.compile(
    r"^(\{\{.*?\}\} ?)?(Error in user-defined function .* with iterator: \S+: )?| \[Op:.*$"
)


def collect_images(
    elements: tf.data.Dataset,
    count: int,
    *,
    decode: Callable[[tf.Tensor], tf.Tensor],
    preprocessing: preprocessing_lib.Preprocessing,
    describe: Callable[[int], str],
) -> tuple[np.ndarray, np.ndarray]:
    """Decode images in parallel and put each at its place in one array.

    Beside the array that is returned, only the images in flight are held: as many as tf.data
    decodes in parallel, about one a core, at their stored size as uint8 and as float32.

    Args:
      elements: Yields (position, label, payload): the place of the image in the result, its class
        and what `decode` takes, e.g. the bytes of a JPEG.
      count: The number of elements; their positions are 0..count - 1 in any order.
      decode: Payload to pixels [H, W, C], raw 0..255 scale; runs inside the pipeline.
      preprocessing: What is done to the pixels of each image, inside the pipeline too.
      describe: The i-th element in the order of `elements`, in words for an error message.

    Returns:
      Images [count, H, W, C] of the dtype and scale of `preprocessing`, and labels [count], int64.

    Raises:
      ValueError: If an image cannot be read or does not decode, `elements` ends early or is
        damaged, or images differ in size and are not resized.
    """

    def to_pixels(position, label, payload):
        return position, label, preprocessing(decode(payload))

    # The parallel map runs ahead by itself; a tuned prefetch would hold up to 512 images more.
    decoded = elements.map(to_pixels, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    iterator = decoded.as_numpy_iterator()
    labels = np.zeros(count, np.int64)
    images = None
    for received in range(count):
        try:
            position, label, pixels = next(iterator)
        # Elements come in order, errors too: the first one missing is the one that failed.
        except tf.errors.InvalidArgumentError as error:
            # What a Python function in the pipeline raised stands before its traceback.
            raised = re.search("ValueError: (.*)", error.message)
            raise ValueError(
                f"{describe(received)} does not decode as an image "
                f"({raised[1] if raised else cause(error)}): replace or remove it."
            ) from error
        except _UNREADABLE as error:
            raise ValueError(
                f"{describe(received)} cannot be read ({cause(error)}): "
                "see that all files of the data set are there and may be read."
            ) from error
        except (StopIteration, tf.errors.DataLossError) as error:
            raise ValueError(
                f"The data end or are damaged before {describe(received)}: "
                "prepare or copy the data set again."
            ) from error
        if images is None:
            images = np.empty((count, *pixels.shape), pixels.dtype)
        if pixels.shape != images.shape[1:]:
            raise size_error(describe(0), images.shape[1:], describe(received), pixels.shape)
        images[position] = pixels
        labels[position] = label
    return images, labels


def size_error(
    name: str, shape: tuple[int, ...], other_name: str, other_shape: tuple[int, ...]
) -> ValueError:
    """Return the error that names two images of different shapes [H, W, C]."""
    return ValueError(
        f"{name} has {shape[0]}x{shape[1]} pixels and {other_name} has "
        f"{other_shape[0]}x{other_shape[1]} (height x width), expected one size: "
        "give image_size to resize them all."
    )


def cause(error: tf.errors.OpError) -> str:
    """Return the first line of an error of TensorFlow's without the nodes that raised it."""
    return _NODES.sub("", error.message.strip().splitlines()[0])
