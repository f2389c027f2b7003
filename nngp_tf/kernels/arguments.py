"""Checks of what the kernel functions are given; each raises ValueError before any work starts."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from nngp_tf.data import checks
from nngp_tf.kernels import weights


def check_images(x_train: np.ndarray, x_test: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return training images [N, H, W, channels] and test images [T, H, W, channels], checked.

    Both have one dtype: that of the training images if it is float64, or a half precision which the
    test images share, else float32. An array that has it already is returned itself.
    """
    x_train = np.asarray(x_train)
    x_test = x_train[:0] if x_test is None else np.asarray(x_test)
    checks.check_images("x_train", x_train)
    if len(x_test):
        checks.check_images("x_test", x_test)
        if x_test.shape[1:] != x_train.shape[1:]:
            raise ValueError(
                f"x_test has images of shape {x_test.shape[1:]}, but x_train of "
                f"{x_train.shape[1:]}: resize one of them"
            )
    is_half = x_train.dtype.itemsize == 2 and (x_test.dtype == x_train.dtype or not len(x_test))
    dtype = x_train.dtype if is_half or x_train.dtype == np.float64 else np.dtype(np.float32)
    return x_train.astype(dtype, copy=False), x_test.astype(dtype, copy=False)


def check_integer(name: str, value: Any) -> int:
    """Return an integer of Python's, whatever kind of integer is given."""
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be an integer, got {value!r}") from None


def check_counts(num_inits: Sequence[int], first_init: int, seed: int) -> list[int]:
    """Return the counts of initialisations as a list."""
    counts = [check_integer("num_inits", count) for count in num_inits]
    if not counts or counts[0] < 1 or any(b <= a for a, b in itertools.pairwise(counts)):
        raise ValueError(f"num_inits must be positive and increasing, got {num_inits!r}")
    if first_init < 0 or first_init + counts[-1] > weights.MAX_INITIALISATIONS:
        raise ValueError(
            f"initialisations must lie in 0 to {weights.MAX_INITIALISATIONS}, got "
            f"{first_init} to {first_init + counts[-1]}"
        )
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed must lie in 0 to 2**31 - 1, got {seed!r}")
    return counts


def check_size(name: str, size: int | None, default: int, available: int) -> int:
    """Return a size between 1 and `available`; None stands for the default."""
    if size is None:
        return min(default, available)
    size = check_integer(name, size)
    if not 1 <= size <= available:
        raise ValueError(f"{name} must lie between 1 and the {available} images, got {size!r}")
    return size


def check_input_shape(shape: tuple[int | None, ...], images: np.ndarray) -> None:
    """Check images against a model's input shape, with or without N; sizes may be None."""
    got = images.shape[1:]
    wanted = shape[-3:] if len(shape) in (3, 4) else shape
    if len(wanted) != 3 or any(w not in (None, g) for w, g in zip(wanted, got, strict=True)):
        raise ValueError(
            f"the model takes images of shape {wanted}, got {got}: "
            "build it with that input_shape or resize the images"
        )
