"""Class labels, and the regression targets made of them."""

from typing import Any

import numpy as np

# More outputs than any data set has classes would only fill the memory.
_MOST_CLASSES = 100_000


def check_labels(name: str, labels: Any, num_classes: int) -> np.ndarray:
    """Return `labels` as an int64 array, or raise where they are not class indices.

    Args:
      name: The argument's name, for the messages.
      labels: [N], integers in 0..num_classes - 1; N may be 0.
      num_classes: The number of classes, at least 2.

    Returns:
      [N], int64.

    Raises:
      ValueError: If `num_classes` is not an integer of at least 2, or `labels` is not one axis of
        integers in 0..num_classes - 1; names the first label that is wrong.
    """
    if isinstance(num_classes, bool) or not isinstance(num_classes, int | np.integer):
        raise ValueError(f"num_classes={num_classes!r}, expected an integer: give a count.")
    if num_classes < 2:
        raise ValueError(f"num_classes={num_classes}, expected at least 2 classes to tell apart.")
    labels = _indices(name, labels, f"in 0..{num_classes - 1}")
    if (labels >= num_classes).any():
        bad = int((labels >= num_classes).argmax())
        raise ValueError(
            f"{name}[{bad}] is {labels[bad]}, expected a class index in 0..{num_classes - 1}: "
            "correct the label or num_classes."
        )
    return labels


def count_classes(**labels: Any) -> int:
    """Return one more than the largest label.

    Args:
      **labels: By the names of the arguments, for messages: integers [N] from 0 on, or None.

    Raises:
      ValueError: Labels are not one axis of integers from 0 on, all are 0, none is 0 (numbered from
        1 on they would count a class too many), there are none, or one is too large to be the index
        of a class.
    """
    largest, smallest = 0, _MOST_CLASSES
    for name, given in labels.items():
        indices = _indices(name, () if given is None else given, "from 0 on")
        if indices.size and indices.max() >= _MOST_CLASSES:
            bad = int(indices.argmax())
            raise ValueError(
                f"{name}[{bad}] is {indices[bad]}, expected a class index below {_MOST_CLASSES}: "
                "number the classes from 0 on, or give num_classes."
            )
        largest = max(largest, int(indices.max(initial=0)))
        smallest = min(smallest, int(indices.min(initial=_MOST_CLASSES)))
    if not largest:
        raise ValueError(
            f"{' and '.join(labels)} hold no label above 0, expected two classes or more: give "
            "labels of other classes, or num_classes."
        )
    if smallest:
        raise ValueError(
            f"{' and '.join(labels)} hold labels from {smallest} to {largest} and none of 0: "
            "number the classes from 0 on, or give num_classes."
        )
    return largest + 1


def _indices(name: str, labels: Any, where: str) -> np.ndarray:
    """Return labels [N] as int64, or raise where they are not integers from 0 on."""
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(
            f"{name} has shape {list(labels.shape)}, expected [N]: "
            "give one class index an image, not a one-hot row."
        )
    if labels.size == 0:
        return np.zeros(0, np.int64)
    if not np.issubdtype(labels.dtype, np.integer):
        bad = _first_non_integer(labels)
        raise ValueError(
            f"{name}[{bad}] is {labels.tolist()[bad]!r} ({labels.dtype}), expected an integer "
            f"class index {where}: cast whole numbers with .astype('int64')."
        )
    if labels.min() < 0:
        bad = int((labels < 0).argmax())
        raise ValueError(
            f"{name}[{bad}] is {labels[bad]}, expected a class index {where}: correct the label."
        )
    return labels.astype(np.int64)


def centred_one_hot(labels: Any, num_classes: int) -> np.ndarray:
    """Return the regression targets of the classes: one-hot rows minus 1/num_classes.

    Every row sums to zero, so a Gaussian process with zero mean prefers no class. This is the
    target of the NNGP authors' notebook (google-research, nngp_nas), there for ten classes.

    Args:
      labels: [N], integers in 0..num_classes - 1; N may be 0.
      num_classes: The number of classes, at least 2.

    Returns:
      [N, num_classes], float64: 1 - 1/num_classes at the label, -1/num_classes elsewhere.

    Raises:
      ValueError: As `check_labels`.
    """
    labels = check_labels("labels", labels, num_classes)
    targets = np.full((labels.size, num_classes), -1.0 / num_classes)
    targets[np.arange(labels.size), labels] += 1.0
    return targets


def _first_non_integer(labels: np.ndarray) -> int:
    """Return the index of the first label with a fraction, or 0 where only the dtype is wrong."""
    if not np.issubdtype(labels.dtype, np.floating):
        return 0
    return int((labels != np.floor(labels)).argmax())
