"""Some classes of a data set as a data set of its own.

    chosen classes -> the images that have one of them, in their order, labels 0..C - 1

Labels are read for it, images are not.
"""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from nngp_tf.data import names as names_lib
from nngp_tf.data import splits

# Names that an error message lists at most.
_LISTED = 10


def restrict(source: splits.Source, chosen: Sequence[int]) -> splits.Source:
    """Return the data set with only the images of some classes.

    Args:
      source: The whole data set.
      chosen: [C], distinct indices among `source.class_names`, in the order of the new labels.

    Returns:
      A data set of C classes, its labels 0..C - 1.
    """
    new_labels = np.full(len(source.class_names), -1, np.int64)
    new_labels[chosen] = np.arange(len(chosen))

    def find_test():
        test = source.find_test()
        return None if test is None else _restrict_split(test, new_labels)

    return splits.Source(
        name=source.name,
        class_names=tuple(source.class_names[i] for i in chosen),
        channels=source.channels,
        train=_restrict_split(source.train, new_labels),
        find_test=find_test,
    )


def _restrict_split(split: splits.Split, new_labels: np.ndarray) -> splits.Split:
    """Return the images of a split whose class has a new label of at least 0.

    Args:
      split: The whole split.
      new_labels: [classes], int64, by the old label; -1 for a class that is left out.
    """
    old_labels = split.read_labels()
    labels = np.where(old_labels >= 0, new_labels[old_labels], -1)
    kept = np.flatnonzero(labels >= 0)
    num_chosen = np.count_nonzero(new_labels >= 0)

    def read(indices, preprocessing):
        images, old_labels = split.read(kept[indices], preprocessing)
        return images, new_labels[old_labels]

    return splits.Split(
        description=f"the choice of {num_chosen} classes out of {split.description}",
        size=len(kept),
        read=read,
        read_labels=lambda: labels[kept],
        describe=lambda i: split.describe(kept[i]),
    )


def choose(source: splits.Source, classes: int | Sequence[str | int], seed: int) -> list[int]:
    """Return the indices of some classes among those of a data set.

    Args:
      source: The data set.
      classes: Names or indices, which keep the order in which they are given; or how many classes
        to draw, which keep the order of the data set.
      seed: 0..2**32 - 1, draws the classes where a number is given.

    Returns:
      [C], distinct indices among `source.class_names`.

    Raises:
      ValueError: If a class is not one of `source`, is named twice, or there are fewer than two.
    """
    class_names, source_name = source.class_names, source.name
    number = None if isinstance(classes, bool) else _as_integer(classes)
    if number is not None:
        if not 2 <= number <= len(class_names):
            raise ValueError(
                f"classes={number}, expected a number of classes of at least 2 and at most "
                f"{len(class_names)}, what {source_name} has: correct it."
            )
        order = np.arange(len(class_names))
        np.random.RandomState(seed).shuffle(order)
        return sorted(order[:number].tolist())
    if isinstance(classes, bool | str | bytes) or not isinstance(classes, Sequence | np.ndarray):
        raise ValueError(
            f"classes={classes!r}, expected a number of classes or a list of names or indices: "
            "give one of them."
        )
    index_of = {name: i for i, name in enumerate(class_names)}
    chosen = [_find(entry, index_of, source_name) for entry in classes]
    for place, index in enumerate(chosen):
        if index in chosen[:place]:
            raise ValueError(
                f"classes names {class_names[index]!r} (index {index}) twice, expected each class "
                "once: leave out one of them."
            )
    if len(chosen) < 2:
        raise ValueError(
            f"classes={list(classes)!r} is {len(chosen)} classes, expected at least 2 to tell "
            "apart: name more."
        )
    return chosen


def _find(entry: Any, index_of: dict[str, int], source_name: str) -> int:
    """Return the index of the class that `entry` names."""
    if isinstance(entry, str):
        if entry in index_of:
            return index_of[entry]
        names = list(index_of)
        close = names_lib.nearest(entry, names)
        listed = ", ".join(close or names[:_LISTED])
        if close:
            listed = f"close to it are {listed}"
        elif len(names) > _LISTED:
            listed = f"which begin with {listed}"
        else:
            listed = f"which are {listed}"
        raise ValueError(
            f"classes names {entry!r}, but {source_name} has no such class among its "
            f"{len(names)}, {listed}: choose among them."
        )
    index = None if isinstance(entry, bool) else _as_integer(entry)
    if index is None or not 0 <= index < len(index_of):
        raise ValueError(
            f"classes has the entry {entry!r}, expected a name or an index in "
            f"0..{len(index_of) - 1}, since {source_name} has {len(index_of)} classes: correct it."
        )
    return index


def _as_integer(value: Any) -> int | None:
    """Return an integer of any kind as Python's, None for anything else."""
    try:
        return operator.index(value)
    except TypeError:
        return None
