"""What the eigenvalues of a kernel say of it, as a value.

With eigenvalues e_i of K [N, N], p_i = e_i / sum e and u_i the eigenvectors:

    effective_rank       exp(-sum p_i log p_i)
    participation_ratio  1 / sum p_i^2
    log_mean             log(trace(K) / N)
    alignment            sum_i e_i ||u_i^T Y||^2 / (||K|| ||Y Y^T||), Frobenius: how like the
                         kernel is to that of the labels (Cristianini et al. 2001)
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Summary of a spectrum; NaN where the kernel is zero or not finite."""

    effective_rank: float
    participation_ratio: float
    log_mean: float
    alignment: float

    @classmethod
    def of(cls, eigenvalues: np.ndarray, projected: np.ndarray, targets: np.ndarray) -> Spectrum:
        """Summarise a spectrum.

        Args:
          eigenvalues: e [R]; those of the null space may be left out.
          projected: U^T Y [R, num_classes].
          targets: Y [N, num_classes].
        """
        eigenvalues = np.maximum(eigenvalues, 0.0)
        total = float(eigenvalues.sum())
        if not 0 < total < np.inf:
            return cls.undefined()
        share = eigenvalues[eigenvalues > 0] / total
        norms = np.linalg.norm(eigenvalues) * np.linalg.norm(targets.T @ targets)
        return cls(
            effective_rank=float(np.exp(-np.sum(share * np.log(share)))),
            participation_ratio=float(1.0 / np.sum(np.square(share))),
            log_mean=float(np.log(total / len(targets))),
            alignment=float(np.sum(np.square(projected) * eigenvalues[:, None]) / norms),
        )

    @classmethod
    def undefined(cls) -> Spectrum:
        """Return that of a kernel that has none."""
        return cls(*[float("nan")] * len(dataclasses.fields(cls)))

    def to_json(self) -> dict[str, float | None]:
        """Name the values for JSON; NaN becomes None, which JSON lacks."""
        return {k: None if v != v else v for k, v in dataclasses.asdict(self).items()}
