"""Images standardised per channel, on the raw 0..255 scale."""

from collections.abc import Sequence

import numpy as np

# Sums run over this many images at a time: the float64 temporaries stay small beside the images.
_CHUNK = 64


def parse_statistic(name: str, values: float | Sequence[float] | np.ndarray) -> np.ndarray:
    """Return a channel mean or standard deviation as an array, or raise where it is none.

    Args:
      name: The argument's name, for the message.
      values: A scalar or [C], raw 0..255 scale.

    Returns:
      [] or [C], float64.

    Raises:
      ValueError: If `values` is not a finite number or a list of finite numbers.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if array.ndim > 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(
            f"{name}={values!r}, expected a finite number or one a channel on the 0..255 scale: "
            "correct it, or leave it out to compute it from the training images."
        )
    return array


def parse_standard_deviation(name: str, values: float | Sequence[float] | np.ndarray) -> np.ndarray:
    """Do as `parse_statistic`, and raise ValueError unless every value is above zero."""
    array = parse_statistic(name, values)
    if (array <= 0).any():
        raise ValueError(
            f"{name}={values!r}, expected values above zero: "
            "correct it, or leave it out to compute it from the training images."
        )
    return array


def per_channel(name: str, statistic: np.ndarray, channels: int) -> np.ndarray:
    """Return `statistic` as [C], a scalar repeated.

    Args:
      name: The argument's name, for the message.
      statistic: [] or [C], float64.
      channels: C of the images.

    Raises:
      ValueError: If `statistic` has another length than `channels`.
    """
    if statistic.ndim == 1 and statistic.size != channels:
        raise ValueError(
            f"{name} has {statistic.size} values, but the images have {channels} channels: "
            f"give {channels} values or a single one."
        )
    return np.broadcast_to(statistic, (channels,)).copy()


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the standard deviation of each channel.

    Args:
      images: [N, H, W, C], float32, any scale.

    Returns:
      Two arrays [C], float64, on the scale of `images`; the deviation divides by N H W, and is
      exactly 0 for a constant channel.
    """
    pixels = images.size // images.shape[-1]
    mean = sum(_channel_sums(chunk) for chunk in _chunks(images)) / pixels
    variance = sum(_channel_sums((chunk - mean) ** 2) for chunk in _chunks(images)) / pixels
    # Sums of float32 values are exact in float64 up to 2**29 pixels, so the mean of a constant
    # channel is its value and its deviation exactly 0.
    return mean, np.sqrt(variance)


def standardise_in_place(images: np.ndarray, mean: np.ndarray, std: np.ndarray) -> None:
    """Overwrite `images` [N, H, W, C], float32, by (images - mean) / std, both [C]."""
    images -= mean.astype(images.dtype)
    images /= std.astype(images.dtype)


def _chunks(images: np.ndarray) -> list[np.ndarray]:
    return [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]


def _channel_sums(images: np.ndarray) -> np.ndarray:
    return images.sum(axis=(0, 1, 2), dtype=np.float64)
