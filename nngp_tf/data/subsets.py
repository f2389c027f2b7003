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


def _permutation(size: int, seed: int) -> np.ndarray:
    order = np.arange(size)
    np.random.RandomState(seed).shuffle(order)
    return order
