"""The scores of a Gaussian-process regression over a range of regularisers, as a value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

SMALLER_IS_BETTER = ("test_nll", "loo_nll", "loo_error")
CRITERIA = (
    "test_accuracy",
    "test_nll",
    "loo_accuracy",
    "loo_nll",
    "loo_error",
    "log_marginal_likelihood",
)


def check_criterion(criterion: str) -> str:
    """Return the name of a score of the scan.

    Raises:
      ValueError: If it is not one of `CRITERIA`.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"score must be one of {', '.join(CRITERIA)}, got {criterion!r}")
    return criterion


class Best(float):
    """The best value of a criterion, and everything else at the regulariser that reaches it.

    Attributes:
      criterion: Name of the criterion.
      index: Position in the scan; None if the criterion is NaN throughout, as is the value then.
      diag_reg, test_accuracy, test_nll, loo_accuracy, loo_nll, loo_error,
        log_marginal_likelihood: The scan's entries there; NaN if there is no such position.
    """

    def __new__(cls, criterion: str, index: int | None, entries: Mapping[str, float]) -> Best:
        """Construct it from the scan's entries at `index`."""
        best = super().__new__(cls, entries[criterion])
        best.criterion = criterion
        best.index = index
        for name, value in entries.items():
            setattr(best, name, value)
        return best

    def __reduce__(self):
        entries = {name: getattr(self, name) for name in ("diag_reg", *CRITERIA)}
        return Best, (self.criterion, self.index, entries)


@dataclasses.dataclass(frozen=True)
class Scan:
    """Scores at each of R regularisers, NaN where it failed or the score itself is not finite.

    Attributes:
      diag_reg: Relative regularisers [R].
      failed: Where K + diag_reg * trace(K)/N * I is not positive definite or not finite [R].
      test_accuracy: Share of test images whose largest mean is their class [R]; NaN without labels.
      test_nll: Negative log predictive density of the test targets with noise, summed over classes,
        mean over images, in nats [R]; NaN without labels.
      loo_accuracy: Accuracy on the training images, each predicted from the others [R].
      loo_nll: As `test_nll`, for the leave-one-out predictions [R].
      loo_error: Squared error of their means, summed over classes, mean over images [R].
      log_marginal_likelihood: Of the training targets, summed over classes, in nats [R].
    """

    diag_reg: np.ndarray
    failed: np.ndarray
    test_accuracy: np.ndarray
    test_nll: np.ndarray
    loo_accuracy: np.ndarray
    loo_nll: np.ndarray
    loo_error: np.ndarray
    log_marginal_likelihood: np.ndarray

    @classmethod
    def failing(cls, diag_reg: np.ndarray) -> Scan:
        """Return a scan in which every regulariser has failed so far."""
        return cls(
            diag_reg=diag_reg,
            failed=np.ones(len(diag_reg), bool),
            **{name: np.full(len(diag_reg), np.nan) for name in CRITERIA},
        )

    def best(self, criterion: str = "test_accuracy") -> Best:
        """Return the best entry by a criterion.

        "test_accuracy" is the score that the authors report: the maximum over regularisers on the
        validation images themselves. "loo_accuracy" and "log_marginal_likelihood" choose without
        test labels: `scan.best("loo_accuracy").test_accuracy` is the test accuracy at that choice.
        Among equals the first counts: of the usual scan, the one with the smallest regulariser.

        Args:
          criterion: One of `CRITERIA`; the smallest is best of those in `SMALLER_IS_BETTER`, the
            largest of the others.

        Returns:
          The best value, a float that also carries the other entries.

        Raises:
          ValueError: For an unknown criterion.
        """
        check_criterion(criterion)
        names = ("diag_reg", *CRITERIA)
        scores = getattr(self, criterion) * (-1.0 if criterion in SMALLER_IS_BETTER else 1.0)
        if np.all(np.isnan(scores)):
            return Best(criterion, None, dict.fromkeys(names, float("nan")))
        index = int(np.nanargmax(scores))
        entries = {name: float(getattr(self, name)[index]) for name in names}
        return Best(criterion, index, entries)

    def to_json(self) -> dict[str, list]:
        """List for JSON; NaN becomes None, which JSON lacks."""

        def plain(values):
            return [None if v != v else v for v in values.tolist()]

        return {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, lists: Mapping[str, list]) -> Scan:
        """Read what `to_json` wrote; NaN is what an older version did not write."""
        absent = [None] * len(lists["diag_reg"])
        dtypes = {f.name: bool if f.name == "failed" else float for f in dataclasses.fields(cls)}
        return cls(
            **{name: np.array(lists.get(name, absent), dtype) for name, dtype in dtypes.items()}
        )
