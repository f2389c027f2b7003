"""How many classes a regression has: as many as its labels say, unless it is told."""

import numpy as np
import pytest

from nngp_tf.data.labels import count_classes
from nngp_tf.gaussian_process import profile, scan_diag_reg
from nngp_tf.kernels.kernel import MonteCarloKernel

pytestmark = pytest.mark.fast

NUM_TRAIN = 9
FEATURES = np.random.default_rng(0).normal(size=(14, 6))
KERNEL = MonteCarloKernel(
    train_train=FEATURES[:NUM_TRAIN] @ FEATURES[:NUM_TRAIN].T,
    test_train=FEATURES[NUM_TRAIN:] @ FEATURES[:NUM_TRAIN].T,
    test_test_diag=np.sum(FEATURES[NUM_TRAIN:] ** 2, axis=1),
    num_inits=1,
    first_init=0,
    mean_square_norm=1.0,
)
TRAIN = np.arange(NUM_TRAIN) % 3
TEST = np.arange(5) % 3


def _check_same(found, expected):
    for name in ("test_nll", "loo_nll", "loo_error", "log_marginal_likelihood"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def _log_marginal_likelihood(num_classes, diag_reg):
    """The density, by its definition and NumPy's solver."""
    targets = np.eye(num_classes)[TRAIN] - 1 / num_classes
    gram = KERNEL.train_train
    regularised = gram + diag_reg * np.trace(gram) / NUM_TRAIN * np.eye(NUM_TRAIN)
    fit = np.sum(targets * np.linalg.solve(regularised, targets))
    log_determinant = np.linalg.slogdet(2 * np.pi * regularised)[1]
    return -0.5 * (fit + num_classes * log_determinant)


@pytest.mark.parametrize("num_classes", [None, 3, 10])
def test_the_density_is_that_of_so_many_classes(num_classes):
    scan = scan_diag_reg(KERNEL, TRAIN, TEST, num_classes, [0.1])
    expected = _log_marginal_likelihood(num_classes or 3, 0.1)
    np.testing.assert_allclose(scan.log_marginal_likelihood, [expected], rtol=1e-12)


def test_the_largest_label_of_both_counts():
    _check_same(scan_diag_reg(KERNEL, TRAIN), scan_diag_reg(KERNEL, TRAIN, None, 3))
    more = TEST + np.array([0, 0, 0, 0, 11])
    _check_same(scan_diag_reg(KERNEL, TRAIN, more), scan_diag_reg(KERNEL, TRAIN, more, 13))
    # More than the ten that were once taken for granted.
    _check_same(
        scan_diag_reg(KERNEL, TRAIN + 20, TEST), scan_diag_reg(KERNEL, TRAIN + 20, TEST, 23)
    )


def test_leave_one_out_counts_alike():
    labels = np.arange(14) % 4
    assert profile(FEATURES[None], labels) == profile(FEATURES[None], labels, 4)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (np.eye(3)[TRAIN], r"train_labels has shape \[9, 3\], expected \[N\].* one-hot"),
        (TRAIN[:, None], r"train_labels has shape \[9, 1\]"),
        (TRAIN.astype(float), r"train_labels\[0\] is 0.0 .*astype"),
        (TRAIN + 0.5, r"train_labels\[0\] is 0.5"),
        (TRAIN - 1, r"train_labels\[0\] is -1"),
        (TRAIN + 1, "labels from 1 to 3 and none of 0: number the classes from 0 on"),
        (TRAIN.astype(object), r"train_labels\[0\] is 0 \(object\), expected an integer"),
        (TRAIN == 1, r"train_labels\[0\] is False"),
        (np.array(list("aabbccabc")), "train_labels.* is 'a'"),
        (TRAIN * 10**9, rf"train_labels\[2\] is {2 * 10**9}"),
        (TRAIN * 0, "no label above 0, expected two classes"),
        (TRAIN[:5], "train_labels has 5 labels, but the kernel has 9"),
    ],
)
def test_labels_that_are_none(labels, problem):
    with pytest.raises(ValueError, match=problem):
        scan_diag_reg(KERNEL, labels)


def test_a_label_beyond_the_classes_that_are_given():
    with pytest.raises(ValueError, match=r"test_labels\[2\] is 2, expected .* 0\.\.1"):
        scan_diag_reg(KERNEL, TRAIN % 2, TEST, 2)


def test_count_classes():
    assert count_classes(a=[0, 4], b=None) == 5
    assert count_classes(a=[], b=np.array([1, 0], np.uint8)) == 2
    with pytest.raises(ValueError, match="from 1 to 3 and none of 0"):
        count_classes(a=[1, 2], b=[3])
    with pytest.raises(ValueError, match="a and b hold no label above 0"):
        count_classes(a=[], b=[0, 0])
