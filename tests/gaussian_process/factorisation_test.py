"""The factorisation of a kernel, in kernel space and in feature space."""

import numpy as np
import pytest
import scipy.linalg

from nngp_tf.gaussian_process.factorisation import factorise
from tests.gaussian_process import examples

pytestmark = pytest.mark.fast

NUM_TRAIN = 20


def full_inverse(factorisation, noise):
    """(K + noise I)^-1 by the formula at the top of the module."""
    u = factorisation.eigenvectors
    inverse = (u / (factorisation.eigenvalues + noise)) @ u.T
    return inverse + (np.eye(len(u)) - u @ u.T) / noise


@pytest.mark.parametrize(
    ("num_inits", "width", "keep_features", "directions"),
    [
        (1, 30, False, NUM_TRAIN),
        (1, 30, True, NUM_TRAIN),  # Features are of no use where there are as many as images ...
        (2, 10, True, NUM_TRAIN),
        (3, 6, True, 18),  # ... and save time where there are fewer.
        (1, 5, True, 5),
        (3, 6, False, NUM_TRAIN),
    ],
)
def test_chooses_the_smaller_space_and_inverts(num_inits, width, keep_features, directions):
    z = examples.features(num_inits, NUM_TRAIN + 3, width)
    kernel = examples.kernel(z, NUM_TRAIN, keep_features)
    factorisation = factorise(kernel)
    assert factorisation.eigenvectors.shape == (NUM_TRAIN, directions)
    assert factorisation.null_dimensions == NUM_TRAIN - directions
    u = factorisation.eigenvectors
    np.testing.assert_allclose(u.T @ u, np.eye(directions), atol=1e-9)
    reconstructed = (u * factorisation.eigenvalues) @ u.T
    np.testing.assert_allclose(reconstructed, kernel.train_train, atol=1e-9)
    for noise in (1e-4, 1.0, 1e4):
        expected = scipy.linalg.inv(kernel.train_train + noise * np.eye(NUM_TRAIN))
        np.testing.assert_allclose(
            full_inverse(factorisation, noise), expected, atol=1e-8 * np.abs(expected).max()
        )


def test_dependent_features_go_to_the_null_space():
    z = examples.features(1, NUM_TRAIN, 6)
    z[:, :, 4] = z[:, :, 0]
    z[:, :, 5] = 0.0
    factorisation = factorise(examples.kernel(z, NUM_TRAIN, keep_features=True))
    assert factorisation.eigenvectors.shape == (NUM_TRAIN, 4)
    assert factorisation.null_dimensions == NUM_TRAIN - 4


def test_smallest_eigenvalue():
    z = examples.features(2, NUM_TRAIN, 5)
    in_feature_space = factorise(examples.kernel(z, NUM_TRAIN, keep_features=True))
    # Exactly: a null space is known to be one.
    assert in_feature_space.smallest(0.0) == 0.0
    assert in_feature_space.smallest(0.25) == 0.25
    in_kernel_space = factorise(examples.kernel(z, NUM_TRAIN))
    assert abs(in_kernel_space.smallest(0.0)) < in_kernel_space.tolerance
    indefinite = factorise(examples.from_matrix(np.diag([3.0, -2.0, 1.0]), 3))
    assert indefinite.smallest(0.5) == -1.5


@pytest.mark.parametrize("keep_features", [False, True])
def test_a_kernel_of_zeros_has_nothing_that_counts_as_positive(keep_features):
    z = np.zeros((1, NUM_TRAIN, 4), np.float32)
    factorisation = factorise(examples.kernel(z, NUM_TRAIN, keep_features))
    assert factorisation.smallest(0.0) == 0.0
    assert factorisation.tolerance == 0.0
