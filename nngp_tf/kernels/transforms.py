"""Kernels of the same features that are not their plain inner product.

    plain         mean_m z_m(x).z_m(x')                                       (arXiv 2011.06006)
    cosine        the plain kernel between images scaled to length 1
    centred       the plain one of z_m less its mean over the images
    standardised  the same of s_m, which is z_m with every feature of every initialisation brought
                  to mean 0 and variance 1 over the images, over the number of features
    arc_cosine    [sin t + (pi - t) cos t] / pi with cos t the standardised kernel between images
                  scaled to length 1: that of one more layer of infinitely many ReLU units
                  (Cho and Saul 2009, degree 1)

The plain kernel of a network that hardly normalises is all but constant: nearly all of its trace is
the mean over images, and features of large scale drown the others. Standardised features tell apart
what the plain ones do not, so the scores of both together predict more than either. Those that are
scanned unless others are named are the ones that did so; docs/nasbench101.md compares all.
"""

from __future__ import annotations

import numpy as np

from nngp_tf.kernels.kernel import MonteCarloKernel

DEFAULT_KERNELS = ("plain", "standardised", "arc_cosine")
KERNELS = (*DEFAULT_KERNELS, "cosine", "centred")
# Relative to the largest feature: what varies less is rounding.
_CONSTANT = 1e-6


def transformed(features: np.ndarray, name: str) -> MonteCarloKernel:
    """Return a kernel of features as one of training images only.

    Args:
      features: z [M, N, C] of N images, such as `MonteCarloKernel.features`.
      name: One of `KERNELS`.

    Raises:
      ValueError: For another name.
    """
    if name not in KERNELS:
        raise ValueError(f"kernel must be one of {', '.join(KERNELS)}, got {name!r}")
    kernel = _mean_product(features, name)
    if name in ("cosine", "arc_cosine"):
        kernel = _cosine(kernel)
    if name == "arc_cosine":
        kernel = _of_relu_units(kernel)
    return MonteCarloKernel(
        train_train=kernel,
        test_train=np.zeros((0, len(kernel))),
        test_test_diag=np.zeros(0),
        num_inits=len(features),
        first_init=0,
        mean_square_norm=float("nan"),
    )


def standardise(features: np.ndarray) -> np.ndarray:
    """Bring each feature to mean 0 and variance 1 over the images; constant ones become 0.

    Args:
      features: [N, C].

    Returns:
      [N, C], float64.
    """
    features = np.asarray(features, np.float64)
    centred = features - features.mean(axis=0)
    deviation = centred.std(axis=0)
    varies = deviation > _CONSTANT * np.max(np.abs(features), initial=0.0)
    return centred * np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varies)


def _mean_product(features, name):
    total = 0.0
    for one in features:
        one, width = np.asarray(one, np.float64), 1
        if name == "centred":
            one = one - one.mean(axis=0)
        elif name in ("standardised", "arc_cosine"):
            one, width = standardise(one), one.shape[1]
        total = total + one @ one.T / (width * len(features))
    return total


def _cosine(kernel):
    length = np.sqrt(np.diag(kernel))
    inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    return np.clip(kernel * np.outer(inverse, inverse), -1.0, 1.0)


def _of_relu_units(cosine):
    angle = np.arccos(cosine)
    return (np.sin(angle) + (np.pi - angle) * cosine) / np.pi
