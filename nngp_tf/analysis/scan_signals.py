"""Signals of scans over regularisers: every criterion, by every choice of the regulariser."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nngp_tf.analysis.signals import NNGP, Signal
from nngp_tf.gaussian_process.scan import CRITERIA, SMALLER_IS_BETTER, Scan

# Which entry of the scan is the score: (criterion, what chooses the regulariser).
_RULES = (
    ("test_accuracy", "best"),
    ("test_accuracy", "loo_accuracy"),
    ("test_accuracy", "log_marginal_likelihood"),
    ("loo_accuracy", "best"),
    ("test_nll", "best"),
    ("loo_nll", "best"),
    ("loo_error", "best"),
    ("log_marginal_likelihood", "best"),
)
# What enters the profile, at every regulariser.
_PROFILE = ("loo_accuracy", "loo_error")
_WORDS = {
    "test_accuracy": "test accuracy",
    "loo_accuracy": "leave-one-out accuracy",
    "test_nll": "-test NLL (negated)",
    "loo_nll": "-leave-one-out NLL (negated)",
    "loo_error": "-leave-one-out error (negated)",
    "log_marginal_likelihood": "log marginal likelihood",
}
_CHOICES = {
    "best": "",
    "loo_accuracy": ", regulariser by leave-one-out",
    "log_marginal_likelihood": ", regulariser by marginal likelihood",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Scans:
    """The scans of one kind that the rows of a run hold.

    Attributes:
      source: Name of the run.
      lists: `Scan.to_json` of each of N rows, None for a row without.
      has_test: Whether test images were predicted.
      kernel: Name of the kernel if they are of leave-one-out over all images; "" otherwise.
      num_inits: Initialisations that they are of.
      is_whole: Whether those are all of the run's.
      cost_seconds: [N], or None.
      cost_of: For each criterion, its multiply-adds [N], or None.
    """

    source: str
    lists: Sequence[Mapping[str, Any] | None]
    has_test: bool
    kernel: str
    num_inits: int | None
    is_whole: bool
    cost_seconds: np.ndarray | None
    cost_of: Mapping[str, np.ndarray | None]

    @property
    def criteria(self) -> list[str]:
        """The criteria that the scans have: older ones lack some."""
        return [
            criterion
            for criterion in CRITERIA
            if (self.has_test or not criterion.startswith("test_"))
            and any(lists is not None and criterion in lists for lists in self.lists)
        ]


def scan_signals(scans: Scans) -> Iterator[Signal]:
    """Yield the signals of scans: chosen regularisers first, then each one.

    Raises:
      ValueError: If the scans have different regularisers.
    """
    diag_reg = _diag_reg(scans)
    if diag_reg is None:
        return
    read = [Scan.failing(diag_reg) if s is None else Scan.from_json(s) for s in scans.lists]
    for criterion, rule in _RULES:
        if criterion in scans.criteria:
            chooser = criterion if rule == "best" else rule
            values = np.array([getattr(scan.best(chooser), criterion) for scan in read])
            yield _chosen(scans, criterion, rule, values)
    if scans.is_whole:
        for criterion in scans.criteria:
            columns = np.stack([getattr(scan, criterion) for scan in read], axis=1)
            for setting, values in zip(diag_reg.tolist(), columns, strict=True):
                yield _fixed(scans, criterion, setting, values)


def _chosen(scans, criterion, rule, values):
    label = f"{_WORDS[criterion]}{_CHOICES[rule]}"
    if (criterion, rule, scans.kernel) == ("test_accuracy", "best", ""):
        label = "test accuracy, best regulariser (authors')"
    is_hidden = bool(scans.kernel) and criterion not in _PROFILE
    # A curve against the number of initialisations.
    family = {"family": f"{_quantity(scans, criterion)}@{rule},inits", "setting": scans.num_inits}
    return _signal(
        scans,
        criterion,
        rule,
        label,
        values,
        is_shown=scans.is_whole and not is_hidden,
        **({} if scans.kernel else family),
    )


def _fixed(scans, criterion, setting, values):
    rule = f"{setting:.3g}"
    return _signal(
        scans,
        criterion,
        rule,
        f"{_WORDS[criterion]} at {rule}",
        values,
        family=f"{_quantity(scans, criterion)}@fixed",
        setting=setting,
        is_shown=False,
        in_profile=bool(scans.kernel) and criterion in _PROFILE,
    )


def _signal(scans, criterion, rule, label, values, **more):
    words = f", {scans.kernel} kernel, all images".replace("_", "-") if scans.kernel else ""
    if not scans.is_whole:
        words += f", {scans.num_inits} initialisation{'s' if scans.num_inits > 1 else ''}"
    return Signal(
        name=(
            f"{_quantity(scans, criterion)}@{rule}"
            f"{'' if scans.is_whole else f',inits={scans.num_inits}'}"
        ),
        label=f"{label}{words}",
        values=-values if criterion in SMALLER_IS_BETTER else values,
        kind=NNGP,
        cost_seconds=scans.cost_seconds,
        cost_multiply_adds=scans.cost_of[criterion],
        cost_note="" if scans.is_whole else "seconds of fewer initialisations in proportion",
        **more,
    )


def _quantity(scans, criterion):
    sign = "-" if criterion in SMALLER_IS_BETTER else ""
    kernel = f"{scans.kernel}_" if scans.kernel else ""
    return f"{scans.source}/{sign}{kernel}{criterion}"


def _diag_reg(scans):
    """Return the regularisers that all the scans have, or None where there is no scan."""
    found = {tuple(lists["diag_reg"]) for lists in scans.lists if lists is not None}
    if len(found) > 1:
        raise ValueError(
            f"the rows of {scans.source} have {len(found)} different lists of regularisers: name "
            "runs with one"
        )
    return np.array(found.pop()) if found else None
