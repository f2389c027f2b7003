"""One factorisation of a kernel, good for every regulariser.

    K = U diag(e) U^T,   (K + s I)^-1 = U diag(1 / (e + s)) U^T + (I - U U^T) / s

In kernel space U is square and the last term vanishes. With features Phi [N, R], K = Phi Phi^T and
R < N, the R x R matrix Phi^T Phi gives e and the U of K's range for less, and the last term covers
the null space.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.linalg

from nngp_tf.kernels.kernel import MonteCarloKernel


@dataclasses.dataclass(frozen=True)
class Factorisation:
    """Eigenvalues and eigenvectors of the kernel of N training images.

    Attributes:
      eigenvalues: e [R], ascending.
      eigenvectors: U [N, R].
      tolerance: What an eigenvalue of K + s I must exceed to count as positive in float64.
    """

    eigenvalues: np.ndarray
    eigenvectors: np.ndarray
    tolerance: float

    @property
    def null_dimensions(self) -> int:
        """N - R: dimensions in which the kernel is zero by construction."""
        return self.eigenvectors.shape[0] - self.eigenvectors.shape[1]

    def smallest(self, noise: float) -> float:
        """Return the smallest eigenvalue of K + noise I."""
        candidates = [0.0] if self.null_dimensions else []
        if self.eigenvalues.size:
            candidates.append(float(self.eigenvalues[0]))
        return min(candidates) + noise


def factorise(kernel: MonteCarloKernel) -> Factorisation:
    """Factorises `train_train` in the smaller of kernel space and feature space.

    Feature space needs `kernel.features`.

    Args:
      kernel: A finite kernel.

    Returns:
      The factorisation, in float64.
    """
    if kernel.features is not None:
        num_inits, _, width = kernel.features.shape
        if num_inits * width < kernel.num_train:
            return _in_feature_space(kernel)
    eigenvalues, eigenvectors = scipy.linalg.eigh(kernel.train_train)
    return Factorisation(eigenvalues, eigenvectors, _tolerance(eigenvalues, kernel.num_train))


def _in_feature_space(kernel):
    num_train = kernel.num_train
    stacked = np.concatenate(list(kernel.features[:, :num_train]), axis=1).astype(np.float64)
    stacked /= np.sqrt(kernel.num_inits)
    eigenvalues, rotation = scipy.linalg.eigh(stacked.T @ stacked)
    tolerance = _tolerance(eigenvalues, num_train)
    # Directions lost in rounding belong to the null space.
    kept = eigenvalues > tolerance
    eigenvalues = eigenvalues[kept]
    eigenvectors = (stacked @ rotation[:, kept]) / np.sqrt(eigenvalues)
    return Factorisation(eigenvalues, eigenvectors, tolerance)


def _tolerance(eigenvalues, size):
    return size * np.finfo(np.float64).eps * float(np.max(np.abs(eigenvalues), initial=0.0))
