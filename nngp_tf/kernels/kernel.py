"""A Monte-Carlo kernel as a value: joined, saved, summarised."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import tensorflow as tf

from nngp_tf.kernels import rounding


@dataclasses.dataclass(frozen=True)
class MonteCarloKernel:
    """The mean over M initialisations of z(x).z(x') (arXiv 2011.06006, section 3).

    Inner products are not divided by the width C, as in the authors' code.

    Attributes:
      train_train: Kernel of the training images [N, N], float64.
      test_train: Kernel between test and training images [T, N], float64.
      test_test_diag: Prior variances of the test images [T], float64.
      num_inits: M, the initialisations averaged.
      first_init: Index of the first of them.
      mean_square_norm: Mean over initialisations of ||K_m||^2 (Frobenius) of `train_train`.
      features: z [M, N + T, C], training images first; None unless asked for.
      rounding_variance: Mean square of what rounding adds to a feature vector, the inner products'
        own included; see `nngp_tf.kernels.rounding`. 0 where it was not measured.
      compute_dtype: Precision of the features; None where it is not known.
    """

    train_train: np.ndarray
    test_train: np.ndarray
    test_test_diag: np.ndarray
    num_inits: int
    first_init: int
    mean_square_norm: float
    features: np.ndarray | None = None
    rounding_variance: float = 0.0
    compute_dtype: str | None = None

    @property
    def num_train(self) -> int:
        """N."""
        return len(self.train_train)

    @property
    def spread(self) -> float:
        """Relative standard deviation of one initialisation's `train_train` about the mean.

        In the Frobenius norm, with M - 1 degrees of freedom; NaN for M = 1. The relative error of
        this estimate is about `spread / sqrt(num_inits)`.
        """
        if self.num_inits == 1:
            return float("nan")
        square = float(np.sum(np.square(self.train_train)))
        if not square:
            return float("nan")
        variance = max(self.mean_square_norm - square, 0.0)
        return float(np.sqrt(variance / square * self.num_inits / (self.num_inits - 1)))

    @property
    def varying_share(self) -> float:
        """tr(K_c) / tr(K) of `train_train`, K_c the kernel centred over the images; 0 to 1.

        0 for a kernel of zeros, NaN for one that is not finite.
        """
        trace = float(np.trace(self.train_train))
        constant = float(np.mean(self.train_train)) * self.num_train
        return float(np.maximum(0.0, (trace - constant) / trace)) if trace else 0.0

    @property
    def rounding_share(self) -> float:
        """The part of the trace by which rounding makes images differ; to `varying_share`."""
        trace = float(np.trace(self.train_train))
        measured = (self.num_train - 1) * self.rounding_variance / trace if trace else 0.0
        # The products of features are exact to the last digit of float64 at best.
        return measured + float(np.finfo(np.float64).eps)

    @property
    def is_resolved(self) -> bool:
        """Whether the features tell the images apart, rather than their rounding errors do.

        False unless `varying_share` is more than 10 times `rounding_share`.
        """
        return self.varying_share > rounding.LEAST_RATIO * self.rounding_share

    @property
    def unresolved_reason(self) -> str:
        """What there is to say of an unresolved kernel, and what to do."""
        if self.num_train == 1:
            return "a kernel of one training image has nothing to tell apart: give two or more"
        dtype = self.compute_dtype or "their precision"
        remedy = (
            "use batch_norm='batch_statistics', or a compute_dtype of more digits or range, "
            "'float32' or 'float64'"
        )
        if not np.isfinite(self.varying_share):
            return f"the kernel is not finite, its features overflow in {dtype}: {remedy}"
        return (
            f"the features do not tell the images apart in {dtype}: {self.varying_share:.1e} of "
            f"the kernel's trace varies, but rounding alone makes {self.rounding_share:.1e}: "
            f"{remedy}"
        )

    def join(self, later: MonteCarloKernel) -> MonteCarloKernel:
        """Join the estimate over the initialisations that follow these.

        Args:
          later: Of the same network, seed and images, with
            `later.first_init == self.first_init + self.num_inits`.

        Returns:
          The estimate over both, with features if both have them.

        Raises:
          ValueError: If the initialisations do not follow, or the images are not as many.
        """
        following = self.first_init + self.num_inits
        if later.first_init != following:
            raise ValueError(
                f"the second kernel starts at initialisation {later.first_init}, but this one goes "
                f"on at {following}: compute it with first_init={following}"
            )
        if later.test_train.shape != self.test_train.shape:
            raise ValueError(
                f"kernels of {later.test_train.shape} and {self.test_train.shape} test x training "
                "images cannot be joined: compute both on the same images"
            )
        total = self.num_inits + later.num_inits

        def mean(name):
            ours, theirs = getattr(self, name), getattr(later, name)
            return (ours * self.num_inits + theirs * later.num_inits) / total

        names = (
            *("train_train", "test_train", "test_test_diag"),
            *("mean_square_norm", "rounding_variance"),
        )
        features = None
        if self.features is not None and later.features is not None:
            features = np.concatenate([self.features, later.features])
        return MonteCarloKernel(
            num_inits=total,
            first_init=self.first_init,
            features=features,
            compute_dtype=self.compute_dtype if self.compute_dtype == later.compute_dtype else None,
            **{name: mean(name) for name in names},
        )

    def save(self, path: str) -> None:
        """Write the kernel as a NumPy archive; the path may be gs://."""
        values = {k: v for k, v in vars(self).items() if v is not None}
        archive = io.BytesIO()
        np.savez(archive, **values)
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(archive.getvalue())

    @classmethod
    def load(cls, path: str) -> MonteCarloKernel:
        """Read what `save` wrote."""
        with tf.io.gfile.GFile(path, "rb") as file:
            content = io.BytesIO(file.read())
        with np.load(content, allow_pickle=False) as archive:
            values = {name: archive[name] for name in archive.files}
        for name in values.keys() - {"train_train", "test_train", "test_test_diag", "features"}:
            values[name] = values[name].item()
        return cls(**values)
