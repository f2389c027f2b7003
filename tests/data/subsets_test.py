import numpy as np
import pytest

from nngp_tf.data import subsets

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("seed", [0, 123, 2**32 - 1])
def test_authors_subset_is_the_notebooks(seed):
    state = np.random.get_state()
    np.random.seed(seed)
    shuffled = np.arange(50000)
    np.random.shuffle(shuffled)
    np.random.set_state(state)

    train, test = subsets.authors_subset(50000, 500, 200, seed)
    np.testing.assert_array_equal(train, shuffled[:500])
    np.testing.assert_array_equal(test, shuffled[-200:])


def test_authors_subset_of_cifar10_has_not_moved():
    # NumPy 2.4; the legacy stream is frozen, so another value means another rule.
    train, test = subsets.authors_subset(50000, 3, 3, 0)
    np.testing.assert_array_equal(train, [11841, 19602, 45519])
    np.testing.assert_array_equal(test, [42613, 43567, 2732])


def test_authors_subset_without_test_images_and_of_everything():
    train, test = subsets.authors_subset(10, 10, 0, 0)
    assert test.size == 0
    np.testing.assert_array_equal(np.sort(train), np.arange(10))

    train, test = subsets.authors_subset(10, 6, 4, 0)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(10))


def test_global_generator_is_left_alone():
    np.random.seed(5)
    expected = np.random.rand()
    np.random.seed(5)
    subsets.authors_subset(100, 10, 10, 0)
    subsets.split_subset(100, 10, 0)
    assert np.random.rand() == expected


def test_split_subset_grows_by_appending():
    small, large = subsets.split_subset(100, 10, 1), subsets.split_subset(100, 50, 1)
    np.testing.assert_array_equal(small, large[:10])
    assert len(set(large)) == 50
    assert subsets.split_subset(100, 0, 1).size == 0


def test_seeds_differ():
    assert not np.array_equal(subsets.split_subset(100, 10, 0), subsets.split_subset(100, 10, 1))


class TestBalanced:
    """Ninety images of three classes, of which there are ten, thirty and fifty."""

    LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [10, 30, 50]))

    def test_first_and_last_of_each_class_in_the_permutation(self):
        order = np.arange(90)
        np.random.RandomState(4).shuffle(order)
        train, test = subsets.balanced_authors_subset(self.LABELS, 3, 12, 6, seed=4)
        for chosen, count, part in ((train, 4, slice(4)), (test, 2, slice(-2, None))):
            expected = [order[self.LABELS[order] == label][part] for label in range(3)]
            assert set(chosen) == set(np.concatenate(expected))
            assert len(chosen) == 3 * count
            # In the order of the permutation, so that classes are mixed.
            places = np.argsort(order)[chosen]
            assert (np.diff(places) > 0).all()

    def test_whole_class_divides_into_training_and_test(self):
        train, test = subsets.balanced_authors_subset(self.LABELS, 3, 18, 12, seed=0)
        both = np.concatenate([train, test])
        assert set(both[self.LABELS[both] == 0]) == set(np.flatnonzero(self.LABELS == 0))

    def test_no_test_images(self):
        train, test = subsets.balanced_authors_subset(self.LABELS, 3, 3, 0, seed=0)
        np.testing.assert_array_equal(np.sort(self.LABELS[train]), [0, 1, 2])
        assert test.size == 0

    def test_split_subset_grows(self):
        small, large = (subsets.balanced_split_subset(self.LABELS, 3, n, 1) for n in (6, 30))
        assert set(small) < set(large)
        np.testing.assert_array_equal(np.bincount(self.LABELS[large]), [10, 10, 10])
