import numpy as np
import pytest

from nngp_tf.data import class_subsets, splits
from nngp_tf.data.preprocessing import Preprocessing

pytestmark = pytest.mark.fast

NAMES = ("ant", "bee", "cat", "dog", "eel")
LABELS = {"train": np.arange(20) % 5, "test": np.array([4, 4, 0, 1, -1])}


def split(name):
    """Images 1x1 whose pixel is their index."""

    def read(indices, preprocessing):
        return indices.astype(preprocessing.dtype).reshape(-1, 1, 1, 1), LABELS[name][indices]

    return splits.Split(
        f"the {name} split of animals",
        len(LABELS[name]),
        read,
        LABELS[name].copy,
        f"animal {{}} of {name}".format,
    )


SOURCE = splits.Source("animals", NAMES, 1, split("train"), lambda: split("test"))


def test_images_of_the_chosen_classes_in_their_order():
    source = class_subsets.restrict(SOURCE, [3, 0])
    assert source.name == "animals"
    assert source.class_names == ("dog", "ant")
    assert source.channels == 1
    assert source.train.size == 8
    np.testing.assert_array_equal(source.train.read_labels(), [1, 0] * 4)

    images, labels = source.train.read(np.array([1, 0, 7]), Preprocessing(dtype="float16"))
    assert images.dtype == np.float16
    np.testing.assert_array_equal(images.ravel(), [3, 0, 18])
    np.testing.assert_array_equal(labels, [0, 1, 0])
    assert source.train.describe(7) == "animal 18 of train"


def test_test_split_is_restricted_alike():
    # An image without a label, -1, belongs to no class, also not to the last one.
    test = class_subsets.restrict(SOURCE, [1, 4]).find_test()
    assert test.description == "the choice of 2 classes out of the test split of animals"
    images, labels = test.read(np.arange(test.size), Preprocessing())
    np.testing.assert_array_equal(images.ravel(), [0, 1, 3])
    np.testing.assert_array_equal(labels, [1, 1, 0])


def test_no_test_split_stays_none():
    source = splits.Source("animals", NAMES, 1, split("train"))
    assert class_subsets.restrict(source, [0, 1]).find_test() is None


@pytest.mark.parametrize(
    "classes", [["dog", "ant"], ("dog", 0), [3, 0], np.array([3, 0]), np.array(["dog", "ant"])]
)
def test_names_and_indices_keep_their_order(classes):
    assert class_subsets.choose(SOURCE, classes, seed=0) == [3, 0]


def test_a_number_of_classes_is_drawn_by_the_seed():
    order = np.arange(5)
    np.random.RandomState(7).shuffle(order)
    assert class_subsets.choose(SOURCE, 3, seed=7) == sorted(order[:3])
    assert len({tuple(class_subsets.choose(SOURCE, 2, seed)) for seed in range(20)}) > 3
    assert class_subsets.choose(SOURCE, np.int64(5), seed=1) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "classes, message",
    [
        (["ant", "wolf"], "names 'wolf', but animals has no such class among its 5, which are ant"),
        (["ant", "Cat"], "no such class among its 5, close to it are cat, ant: choose"),
        (
            ["ant", 5],
            r"has the entry 5, expected a name or an index in 0\.\.4, since animals",
        ),
        (["ant", -1], "has the entry -1"),
        (["ant", 1.5], r"has the entry 1\.5"),
        (["ant", True], "has the entry True"),
        (["ant", "bee", 0], r"names 'ant' \(index 0\) twice"),
        (["ant"], r"classes=\['ant'\] is 1 classes, expected at least 2"),
        ([], r"classes=\[\] is 0 classes"),
        (1, "classes=1, expected a number of classes of at least 2 and at most 5"),
        (6, "classes=6, .* at most 5, what animals has"),
        (-2, "classes=-2"),
        ("cat", "classes='cat', expected a number of classes or a list of names or indices"),
        (2.0, r"classes=2\.0, expected a number of classes or a list"),
        (True, "classes=True"),
    ],
)
def test_bad_classes_are_named(classes, message):
    with pytest.raises(ValueError, match=message) as error:
        class_subsets.choose(SOURCE, classes, seed=0)
    assert "\n" not in str(error.value)


def test_a_name_among_a_thousand_is_not_answered_with_all_of_them():
    source = splits.Source("synsets", tuple(f"n{i:04d}" for i in range(1000)), 3, SOURCE.train)
    with pytest.raises(ValueError, match="among its 1000, which begin with n0000, n0001") as error:
        class_subsets.choose(source, ["goldfish", "shark"], seed=0)
    assert len(str(error.value)) < 250
