import dataclasses

import numpy as np
import pytest

from nngp_tf.data import digits, splits
from nngp_tf.data.preprocessing import Preprocessing

pytestmark = pytest.mark.fast

LABELS = np.array([1, 0, 1, 1])


def read(indices, preprocessing):
    images = np.zeros((len(indices), 2, 2, 3), preprocessing.dtype)
    images += indices[:, None, None, None].astype(images.dtype)
    return images, LABELS[indices]


SPLIT = splits.Split("four squares", 4, read, LABELS.copy, "square {}".format)


def test_a_split_is_read_by_index():
    images, labels = SPLIT.read(np.array([3, 1]), Preprocessing(dtype="float16"))
    assert images.dtype == np.float16
    np.testing.assert_array_equal(images[:, 0, 0, 0], [3, 1])
    np.testing.assert_array_equal(labels, [1, 0])


def test_a_source_has_no_test_split_unless_told():
    source = splits.Source("squares", ("a", "b"), 3, SPLIT)
    assert source.find_test() is None
    assert dataclasses.replace(source, find_test=lambda: SPLIT).find_test() is SPLIT


def test_both_are_frozen():
    source = splits.Source("squares", ("a", "b"), 3, SPLIT)
    for value, name in ((SPLIT, "size"), (source, "train")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)


def test_labels_are_those_of_the_images_read():
    # The contract that every kind of source keeps, on the one that needs no files.
    split = digits.open_digits().train
    chosen = np.array([1000, 3, 77])
    _, labels = split.read(chosen, Preprocessing())
    all_labels = split.read_labels()
    assert all_labels.shape == (split.size,)
    assert all_labels.dtype == labels.dtype == np.int64
    np.testing.assert_array_equal(all_labels[chosen], labels)
    # A caller may change what it is given.
    all_labels[:] = -1
    np.testing.assert_array_equal(split.read_labels()[chosen], labels)
