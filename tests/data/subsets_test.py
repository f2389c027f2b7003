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
