"""Checks of arrays of images and other inputs, shared by everything that takes them."""

import numpy as np


def check_images(name: str, images: np.ndarray) -> None:
    """Raise unless `images` is a batch of float images that carries information.

    Args:
      name: The argument's name, for the message.
      images: [N, H, W, C], bfloat16, float16, float32 or float64, any scale.

    Raises:
      ValueError: If `images` is not floating point, does not have four axes, is empty along one
        of them, holds a NaN or an infinity, or has the same value everywhere.
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(
            f"{name} has shape {list(images.shape)}, expected [N, H, W, C]: "
            "give a batch of images, channels last."
        )
    check_floating(name, images)
    check_values(name, images)


def check_floating(name: str, inputs: np.ndarray) -> None:
    """Raise ValueError unless an array is floating point."""
    # NumPy does not count bfloat16, which comes from a package beside it.
    if not np.issubdtype(inputs.dtype, np.floating) and inputs.dtype.name != "bfloat16":
        raise ValueError(
            f"{name} has dtype {inputs.dtype}, expected floating point: "
            "standardise it, or cast with .astype('float32')."
        )


def check_values(name: str, inputs: np.ndarray) -> None:
    """Raise unless a batch of numbers carries information.

    Args:
      name: The argument's name, for the message.
      inputs: [N, ...], numbers of any dtype.

    Raises:
      ValueError: If `inputs` is empty along an axis, holds a NaN or an infinity, or has the same
        value everywhere.
    """
    if inputs.size == 0:
        raise ValueError(
            f"{name} has shape {list(inputs.shape)}, expected no zero in it: "
            "give at least one input."
        )
    # Extremes propagate NaN and infinities, and need no temporary array as large as the inputs.
    lowest, highest = inputs.min(), inputs.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        bad = next(i for i, one in enumerate(inputs) if not np.isfinite(one).all())
        raise ValueError(
            f"{name} holds a NaN or an infinity, first in input {bad}, expected finite values: "
            "clean the inputs."
        )
    if lowest == highest:
        raise ValueError(
            f"{name} is {lowest} everywhere, expected inputs that differ: "
            "check how they were read or standardised."
        )
