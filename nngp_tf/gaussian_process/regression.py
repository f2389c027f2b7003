"""Exact Gaussian-process regression on class labels, and its scan over regularisers.

    s      = diag_reg * trace(K) / N                                   (noise variance)
    mean   = K_* (K + s I)^-1 Y,  variance = K_** - K_* (K + s I)^-1 K_*^T
    log p  = -1/2 sum_c [ y_c^T (K + s I)^-1 y_c + log det(K + s I) + N log 2 pi ]
    leave-one-out (Rasmussen & Williams 2006, equations 5.10 to 5.12):
    mean_i = y_i - [(K + s I)^-1 y]_i / [(K + s I)^-1]_ii

Y holds one-hot labels minus 1/classes (arXiv 2011.06006, section 3), a column a class; columns are
independent outputs that share the kernel.
"""

from __future__ import annotations

import numpy as np

from nngp_tf.data.labels import centred_one_hot, check_labels, count_classes
from nngp_tf.gaussian_process.factorisation import factorise
from nngp_tf.gaussian_process.scan import CRITERIA, Scan
from nngp_tf.gaussian_process.spectrum import Spectrum
from nngp_tf.kernels.kernel import MonteCarloKernel

DIAG_REGS = np.logspace(-7, 2, 20)


class Regression:
    """The regression of targets on a kernel, at any regulariser that does not fail."""

    def __init__(self, kernel: MonteCarloKernel, targets: np.ndarray):
        """Factorises the kernel.

        Args:
          kernel: Of N training and T test images, finite.
          targets: Y [N, num_classes].
        """
        self._kernel = kernel
        self._targets = targets
        self._factorisation = factorise(kernel)
        vectors = self._factorisation.eigenvectors
        self._projected = vectors.T @ self._targets
        self._squared_vectors = np.square(vectors)
        self._test_vectors = kernel.test_train @ vectors
        self._scale = float(np.trace(kernel.train_train)) / kernel.num_train
        # What lies outside the range of a kernel factorised in feature space.
        self._outside = self._targets - vectors @ self._projected
        self._outside_diag = np.maximum(1.0 - self._squared_vectors.sum(axis=1), 0.0)

    def noise(self, diag_reg: float) -> float:
        """Return the noise variance s of a relative regulariser."""
        return diag_reg * self._scale

    def fails(self, diag_reg: float) -> bool:
        """Whether the regularised kernel is not positive definite in float64."""
        smallest = self._factorisation.smallest(self.noise(diag_reg))
        return not self._factorisation.tolerance < smallest < np.inf

    def mean(self, diag_reg: float) -> np.ndarray:
        """Posterior mean of the test images [T, num_classes]."""
        # Test rows lie in the range of the features, so the null space adds nothing.
        return self._test_vectors @ (self._projected * self._inverse(diag_reg)[:, None])

    def variance(self, diag_reg: float) -> np.ndarray:
        """Posterior variance of the test images [T], the same for every class, without noise."""
        explained = np.square(self._test_vectors) @ self._inverse(diag_reg)
        return np.maximum(self._kernel.test_test_diag - explained, 0.0)

    def leave_one_out(self, diag_reg: float) -> tuple[np.ndarray, np.ndarray]:
        """Predictions of each training label from all the others.

        Returns:
          Means [N, num_classes] and variances [N] with noise.
        """
        inverse = self._inverse(diag_reg)
        solved = self._factorisation.eigenvectors @ (self._projected * inverse[:, None])
        diagonal = self._squared_vectors @ inverse
        if self._factorisation.null_dimensions:
            solved = solved + self._outside / self.noise(diag_reg)
            diagonal = diagonal + self._outside_diag / self.noise(diag_reg)
        return self._targets - solved / diagonal[:, None], 1.0 / diagonal

    def spectrum(self) -> Spectrum:
        """Summarise the kernel's eigenvalues."""
        return Spectrum.of(self._factorisation.eigenvalues, self._projected, self._targets)

    def log_marginal_likelihood(self, diag_reg: float) -> float:
        """Log density of the training targets, summed over classes (nats)."""
        inverse = self._inverse(diag_reg)
        num_train, num_classes = self._targets.shape
        fit = float(np.sum(np.square(self._projected) * inverse[:, None]))
        log_determinant = -float(np.sum(np.log(inverse)))
        if null := self._factorisation.null_dimensions:
            fit += float(np.sum(np.square(self._outside))) / self.noise(diag_reg)
            log_determinant += null * np.log(self.noise(diag_reg))
        constant = num_train * np.log(2 * np.pi)
        return -0.5 * (fit + num_classes * (log_determinant + constant))

    def _inverse(self, diag_reg):
        return 1.0 / (self._factorisation.eigenvalues + self.noise(diag_reg))


def scan_diag_reg(
    kernel: MonteCarloKernel,
    train_labels: np.ndarray,
    test_labels: np.ndarray | None = None,
    num_classes: int | None = None,
    diag_reg: np.ndarray = DIAG_REGS,
) -> Scan:
    """Scores the regression at every regulariser, all from one factorisation in float64.

    A regulariser at which K + s I is not positive definite is marked in `failed` and its scores are
    NaN; a kernel with entries that are not finite fails at all of them. A single score that is not
    finite is NaN too, such as the density of a test image whose predictive variance vanishes.

    Args:
      kernel: Of N training and T test images.
      train_labels: Integers [N], 0 <= label < num_classes.
      test_labels: Integers [T]; None leaves the scores on test images NaN.
      num_classes: Classes; one more than the largest label of both unless given. Give it where few
        labels may lack the last classes: it changes the targets, and with them densities.
      diag_reg: Relative regularisers; 20 from 1e-7 to 1e2 unless given, as the authors scan.

    Returns:
      The scan.

    Raises:
      ValueError: For labels that do not fit, or regularisers that are negative or not finite.
    """
    diag_reg = _check_diag_reg(diag_reg)
    if num_classes is None:
        num_classes = count_classes(train_labels=train_labels, test_labels=test_labels)
    train_targets = _targets("train_labels", train_labels, kernel.num_train, num_classes)
    test_targets = None
    if test_labels is not None:
        test_targets = _targets("test_labels", test_labels, len(kernel.test_train), num_classes)

    matrices = (kernel.train_train, kernel.test_train, kernel.test_test_diag)
    if not all(np.all(np.isfinite(matrix)) for matrix in matrices):
        return Scan.failing(diag_reg)
    # What overflows is NaN in the end.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        regression = Regression(kernel, train_targets)
    return scan_regression(regression, train_targets, test_targets, diag_reg)


def scan_regression(
    regression: Regression,
    train_targets: np.ndarray,
    test_targets: np.ndarray | None = None,
    diag_reg: np.ndarray = DIAG_REGS,
) -> Scan:
    """Scores a regression at every regulariser; see `scan_diag_reg`.

    Args:
      regression: On the training targets.
      train_targets: Y [N, num_classes].
      test_targets: [T, num_classes]; None leaves the scores on test images NaN.
      diag_reg: Relative regularisers [R].

    Returns:
      The scan.
    """
    scan = Scan.failing(diag_reg)
    # What overflows is NaN in the end.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        _fill(scan, regression, train_targets, test_targets)
    for criterion in CRITERIA:
        scores = getattr(scan, criterion)
        scores[~np.isfinite(scores)] = np.nan
    return scan


def _fill(scan, regression, train_targets, test_targets):
    """Set the scores at every regulariser that does not fail."""
    for index, value in enumerate(scan.diag_reg):
        if regression.fails(value):
            continue
        scan.failed[index] = False
        scan.log_marginal_likelihood[index] = regression.log_marginal_likelihood(value)
        mean, variance = regression.leave_one_out(value)
        scan.loo_accuracy[index] = _accuracy(mean, train_targets)
        scan.loo_nll[index] = _mean_nll(mean, variance, train_targets)
        scan.loo_error[index] = np.mean(np.sum(np.square(train_targets - mean), axis=1))
        if test_targets is not None and len(test_targets):
            mean = regression.mean(value)
            variance = regression.variance(value) + regression.noise(value)
            scan.test_accuracy[index] = _accuracy(mean, test_targets)
            scan.test_nll[index] = _mean_nll(mean, variance, test_targets)


def _check_diag_reg(diag_reg):
    diag_reg = np.array(diag_reg, np.float64, ndmin=1)
    if diag_reg.ndim != 1 or not diag_reg.size:
        raise ValueError(f"diag_reg must be one or more numbers [R], got shape {diag_reg.shape}")
    bad = diag_reg[~(np.isfinite(diag_reg) & (diag_reg >= 0))]
    if bad.size:
        raise ValueError(f"diag_reg must be finite and at least 0, got {bad[0]}")
    return diag_reg


def _targets(name, labels, count, num_classes):
    labels = check_labels(name, labels, num_classes)
    if len(labels) != count:
        raise ValueError(
            f"{name} has {len(labels)} labels, but the kernel has {count} such images: give one "
            "label for each"
        )
    return centred_one_hot(labels, num_classes)


def _accuracy(mean, targets):
    return float(np.mean(np.argmax(mean, axis=1) == np.argmax(targets, axis=1)))


def _mean_nll(mean, variance, targets):
    """Negative log density of the targets, summed over classes, mean over images (nats)."""
    squares = np.sum(np.square(targets - mean), axis=1)
    num_classes = targets.shape[1]
    return float(np.mean(0.5 * (squares / variance + num_classes * np.log(2 * np.pi * variance))))
