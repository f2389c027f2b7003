import numpy as np
import pytest

from nngp_tf.data import balance, splits

pytestmark = pytest.mark.fast

LABELS = np.array([0, 1, 1, 2, 2, 2])
NAMES = ("ant", "bee", "cat")


def split(labels=LABELS):
    return splits.Split("the drawer", len(labels), None, labels.copy, "sock {}".format)


def test_labels_of_a_split_with_enough_of_every_class():
    labels = balance.read_labels(split(), NAMES, 3)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize(
    "labels, num_images, message",
    [
        (LABELS, 6, "takes 2 images of each of the 3 classes, but class 'ant' has 1 in the drawer"),
        (LABELS[1:], 3, "takes 1 images of each of the 3 classes, but class 'ant' has 0"),
        (LABELS - 1, 3, r"labels of the drawer\[0\] is -1, expected a class index"),
    ],
)
def test_too_few_of_a_class(labels, num_images, message):
    with pytest.raises(ValueError, match=message):
        balance.read_labels(split(labels), NAMES, num_images)


def test_counts_that_divide():
    balance.check_counts(5, num_train=20, num_test=0)


@pytest.mark.parametrize(
    "counts, message",
    [
        ({"num_train": 21, "num_test": 5}, "num_train=21 is not a multiple of the 5 .* 20 or 25"),
        ({"num_train": 20, "num_test": 3}, "num_test=3 is not a multiple of the 5 .* ask for 5"),
    ],
)
def test_counts_that_do_not_divide(counts, message):
    with pytest.raises(ValueError, match=message):
        balance.check_counts(5, **counts)
