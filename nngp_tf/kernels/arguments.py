"""Checks of what the kernel functions are given; each raises ValueError before any work starts."""

from __future__ import annotations

import dataclasses
import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nngp_tf.data import checks
from nngp_tf.kernels import weights


@dataclasses.dataclass(frozen=True)
class ModelInput:
    """What a model takes.

    Attributes:
      shape: Of one input, whose sizes may be None; None if it is not known.
      dtype: "float32", "int32", ...; None if it is not known.
      takes_tokens: Whether integers are looked up, whatever `dtype` is.
    """

    shape: tuple[int | None, ...] | None = None
    dtype: str | None = None
    takes_tokens: bool = False


def check_inputs(
    x_train: np.ndarray, x_test: np.ndarray | None, spec: ModelInput
) -> tuple[np.ndarray, np.ndarray]:
    """Return training inputs [N, ...] and test inputs [T, ...], checked against a model's.

    Both have one dtype. Of floating point it is that of the training inputs if it is float64, or a
    half precision which the test inputs share, else float32; integers have the model's. An array
    that has it already is returned itself.
    """
    x_train = _checked("x_train", np.asarray(x_train), spec)
    if x_test is None or np.shape(x_test)[:1] == (0,):
        x_test = x_train[:0]
    else:
        x_test = _checked("x_test", np.asarray(x_test), spec)
    if x_test.shape[1:] != x_train.shape[1:]:
        raise ValueError(
            f"x_test has inputs of shape {x_test.shape[1:]}, but x_train of {x_train.shape[1:]}: "
            "resize one of them"
        )
    if np.issubdtype(x_train.dtype, np.integer) and x_test.dtype == x_train.dtype:
        return x_train, x_test
    is_half = x_train.dtype.itemsize == 2 and x_test.dtype == x_train.dtype
    dtype = x_train.dtype if is_half or x_train.dtype == np.float64 else np.dtype(np.float32)
    return x_train.astype(dtype, copy=False), x_test.astype(dtype, copy=False)


def _checked(name, x, spec):
    """Return an array that the model takes; integers in the model's dtype."""
    _check_shape(name, x, spec.shape)
    takes_integers = spec.dtype is not None and tf.as_dtype(spec.dtype).is_integer
    if np.issubdtype(x.dtype, np.integer) and (takes_integers or spec.takes_tokens):
        checks.check_values(name, x)
        cast = x.astype(tf.as_dtype(spec.dtype or "int32").as_numpy_dtype, copy=False)
        # Compared as integers: floating point would round both.
        if np.any(cast.astype(x.dtype) != x):
            raise ValueError(
                f"{name} holds integers from {x.min()} to {x.max()}, which the model's input of "
                f'{cast.dtype} cannot hold: build the model with keras.Input(..., dtype="int32")'
            )
        return cast
    if takes_integers:
        raise ValueError(
            f"{name} has dtype {x.dtype}, but the model takes {spec.dtype}: give integers, or "
            "build the model with a keras.Input of floating point"
        )
    checks.check_floating(name, x)
    checks.check_values(name, x)
    return x


def _check_shape(name, x, wanted):
    if wanted is None:
        if x.ndim == 0:
            raise ValueError(f"{name} is {x}, expected an array [N, ...]: give a batch of inputs")
        return

    def fits(shape):
        return len(shape) == len(wanted) and all(
            w in (None, s) for w, s in zip(wanted, shape, strict=True)
        )

    one = x.shape[1:]
    if x.ndim and fits(one):
        return
    if fits(x.shape):
        fix = f"give a batch, {name}[None] for one input"
    elif len(one) > 1 and fits((one[-1], *one[:-1])):
        # As of `load_images`.
        fix = (
            "the model is built channels first and the inputs are channels last: transpose with "
            f"np.moveaxis({name}, -1, 1)"
        )
    elif len(one) > 1 and fits((*one[1:], one[0])):
        fix = (
            "the model is built channels last and the inputs are channels first: transpose with "
            f"np.moveaxis({name}, 1, -1)"
        )
    else:
        fix = "build it for that shape, or reshape or resize the inputs"
    takes = ", ".join(map(str, ["N", *wanted]))
    raise ValueError(f"{name} has shape {list(x.shape)}, but the model takes [{takes}]: {fix}")


def check_integer(name: str, value: Any) -> int:
    """Return an integer of Python's, whatever kind of integer is given."""
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be an integer, got {value!r}") from None


def check_counts(num_inits: Sequence[int], first_init: int, seed: int) -> list[int]:
    """Return the counts of initialisations as a list."""
    if not np.iterable(num_inits):
        raise ValueError(f"num_inits must be a series of counts, ({num_inits!r},) for this one")
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
