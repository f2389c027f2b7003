"""Checks of image arrays, shared by everything that takes images."""

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
    # NumPy does not count bfloat16, which comes from a package beside it.
    if not np.issubdtype(images.dtype, np.floating) and images.dtype.name != "bfloat16":
        raise ValueError(
            f"{name} has dtype {images.dtype}, expected floating point: "
            "standardise it, or cast with .astype('float32')."
        )
    if images.size == 0:
        raise ValueError(
            f"{name} has shape {list(images.shape)}, expected [N, H, W, C] with no zero: "
            "give at least one image."
        )
    # Extremes propagate NaN and infinities, and need no temporary array as large as the images.
    lowest, highest = images.min(), images.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        bad = next(i for i, image in enumerate(images) if not np.isfinite(image).all())
        raise ValueError(
            f"{name} holds a NaN or an infinity, first in image {bad}, expected finite values: "
            "clean the images."
        )
    if lowest == highest:
        raise ValueError(
            f"{name} is {lowest} everywhere, expected images that differ: "
            "check how they were read or standardised."
        )
