"""Kernels and labels that the tests of Gaussian-process regression share."""

import numpy as np

from nngp_tf.kernels import MonteCarloKernel

NUM_CLASSES = 4


def features(num_inits, num_images, width, seed=0):
    """Features [M, num_images, C] in float32, as networks give them."""
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 1.0, size=(num_inits, num_images, width)).astype(np.float32)


def kernel(z, num_train, keep_features=False):
    """The kernel of features [M, N + T, C]."""
    products = np.einsum("mic,mjc->ij", z, z, dtype=np.float64) / len(z)
    return from_matrix(products, num_train, num_inits=len(z), features=z if keep_features else None)


def from_matrix(products, num_train, num_inits=1, features=None):
    """The kernel of a matrix over all images [N + T, N + T]."""
    products = np.asarray(products, np.float64)
    train = products[:num_train, :num_train]
    return MonteCarloKernel(
        train_train=train,
        test_train=products[num_train:, :num_train],
        test_test_diag=np.diag(products)[num_train:].copy(),
        num_inits=num_inits,
        first_init=0,
        mean_square_norm=float(np.sum(np.square(train))),
        features=features,
    )


def labels(count, seed=1):
    """Labels [count] of all classes."""
    return np.random.default_rng(seed).permutation(np.arange(count) % NUM_CLASSES)
