"""Which images of a data set are used: seeded permutations.

NumPy's legacy generator is used on purpose. Its stream is frozen, and it is the one with which the
NNGP authors chose their images, so a seed here selects the very images it selects there.
"""

import numpy as np


def authors_subset(
    size: int, num_train: int, num_test: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return disjoint training and test indices into one split, by the NNGP authors' rule.

    Equal to `np.random.seed(seed); order = np.arange(size); np.random.shuffle(order)`, of which
    the first `num_train` train and the last `num_test` test (google-research,
    nngp_nas/NNGP_on_NASBench101.ipynb). NumPy's global generator is left alone.

    Args:
      size: The number of images in the split.
      num_train: Training images, at most `size - num_test`.
      num_test: Test images; may be 0.
      seed: 0..2**32 - 1.

    Returns:
      [num_train] and [num_test], int64, in the order of the permutation.
    """
    order = _permutation(size, seed)
    return order[:num_train], order[size - num_test :]


def split_subset(size: int, count: int, seed: int) -> np.ndarray:
    """Return the indices of the first `count` images of a seeded permutation of a whole split.

    Args:
      size: The number of images in the split.
      count: Images to choose, at most `size`; may be 0.
      seed: 0..2**32 - 1.

    Returns:
      [count], int64, in the order of the permutation.
    """
    return _permutation(size, seed)[:count]


def balanced_authors_subset(
    labels: np.ndarray, num_classes: int, num_train: int, num_test: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Apply the rule of `authors_subset` within each class, the same number of images of each.

    Of the permutation of the split, the first `num_train / num_classes` images of a class train
    and its last `num_test / num_classes` test.

    Args:
      labels: [size], integers, of all images of the split.
      num_classes: The number of classes.
      num_train: Training images, a multiple of `num_classes`.
      num_test: Test images, a multiple of `num_classes`; may be 0. No class has fewer images than
        its share of both.
      seed: 0..2**32 - 1.

    Returns:
      [num_train] and [num_test], int64, in the order of the permutation.
    """
    order = _permutation(len(labels), seed)
    first, last = _places_in_class(labels[order])
    return order[first < num_train // num_classes], order[last < num_test // num_classes]


def balanced_split_subset(
    labels: np.ndarray, num_classes: int, count: int, seed: int
) -> np.ndarray:
    """Apply the rule of `split_subset` within each class, the same number of images of each.

    Args:
      labels: [size], integers, of all images of the split.
      num_classes: The number of classes.
      count: Images to choose, a multiple of `num_classes`. No class has fewer than its share.
      seed: 0..2**32 - 1.

    Returns:
      [count], int64, in the order of the permutation.
    """
    chosen, _ = balanced_authors_subset(labels, num_classes, count, 0, seed)
    return chosen


def _places_in_class(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many entries before and after each of `labels` [size] are equal to it."""
    by_class = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    first = np.empty(len(labels), np.int64)
    first[by_class] = np.arange(len(labels)) - np.repeat(starts, counts)
    last = np.empty(len(labels), np.int64)
    last[by_class] = np.repeat(starts + counts - 1, counts) - np.arange(len(labels))
    return first, last


def _permutation(size: int, seed: int) -> np.ndarray:
    order = np.arange(size)
    np.random.RandomState(seed).shuffle(order)
    return order
