"""A Monte-Carlo kernel as a value: joined, saved, summarised."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import tensorflow as tf


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
    """

    train_train: np.ndarray
    test_train: np.ndarray
    test_test_diag: np.ndarray
    num_inits: int
    first_init: int
    mean_square_norm: float
    features: np.ndarray | None = None

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

        names = ("train_train", "test_train", "test_test_diag", "mean_square_norm")
        features = None
        if self.features is not None and later.features is not None:
            features = np.concatenate([self.features, later.features])
        return MonteCarloKernel(
            num_inits=total,
            first_init=self.first_init,
            features=features,
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
        for name, kind in (("num_inits", int), ("first_init", int), ("mean_square_norm", float)):
            values[name] = kind(values[name])
        return cls(**values)
