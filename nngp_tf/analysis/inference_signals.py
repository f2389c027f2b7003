"""Signals of an NNGP run: every criterion of its scans, by every choice of the regulariser.

scan             all the images and initialisations
scans_by_inits   optional: from the first initialisations alone, by their number
scan_all         optional: leave-one-out over training and test images together
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nngp_tf.analysis.signals import NNGP, SIZE, Signal, Source, column, free
from nngp_tf.gaussian_process.scan import CRITERIA, SMALLER_IS_BETTER, Scan
from nngp_tf.kernels.monte_carlo import DEFAULT_CALIBRATION_SIZE
from nngp_tf.models import Nasbench101Network
from nngp_tf.runs.reading import RunRecord
from nngp_tf.search_spaces.nasbench101 import Cell

# Which entry of the scan is the score: (criterion, what chooses the regulariser).
_RULES = (
    ("test_accuracy", "best"),
    ("test_accuracy", "loo_accuracy"),
    ("test_accuracy", "log_marginal_likelihood"),
    ("loo_accuracy", "best"),
    ("test_nll", "best"),
    ("loo_nll", "best"),
    ("log_marginal_likelihood", "best"),
)
_WORDS = {
    "test_accuracy": "test accuracy",
    "loo_accuracy": "leave-one-out accuracy",
    "test_nll": "-test NLL (negated)",
    "loo_nll": "-leave-one-out NLL (negated)",
    "log_marginal_likelihood": "log marginal likelihood",
}
_CHOICES = {
    "best": "",
    "loo_accuracy": ", regulariser by leave-one-out",
    "log_marginal_likelihood": ", regulariser by marginal likelihood",
}
_IMAGE_SIZE = 32  # Of the digits and of CIFAR-10.


def inference_source(run: RunRecord, name: str) -> Source:
    """Return what an NNGP run knows.

    Seconds are those of the whole row, whichever part of it the score needs; multiply-adds are of
    the images that the score needs.

    Args:
      run: Its rows hold scans, failed ones excepted.
      name: Of the source.

    Raises:
      ValueError: If its rows have different regularisers.
    """
    rows = run.rows
    network = column([_multiply_adds(row, run.config) for row in rows])
    signals = []
    for scans, settings in _scans(run):
        signals += _scan_signals(name, scans, run, network, **settings)
    sizes = {
        "parameters": column([row.get("parameters") for row in rows]),
        "multiply_adds": network,
    }
    signals += [
        Signal(f"{name}/{size}", size.replace("_", "-"), values, SIZE, **free(len(rows)))
        for size, values in sizes.items()
        if values is not None
    ]
    return Source(
        name=name,
        path=run.path,
        keys=tuple(row["key"] for row in rows),
        signals=tuple(signals),
        num_failed=sum(row["status"] != "ok" for row in rows),
    )


def _scans(run):
    """Yield the scans [N] of each kind that the rows hold, None for a row without, and settings."""
    num_test = run.config.get("num_test", 0)
    with_test = {"criteria": CRITERIA if num_test else _leave_one_out(CRITERIA)}
    yield [row.get("scan") for row in run.rows], with_test
    by_inits = [row.get("scans_by_inits") or {} for row in run.rows]
    whole = {row.get("num_inits") for row in run.rows} | {run.config.get("num_inits")}
    for num_inits in sorted({int(n) for scans in by_inits for n in scans} - whole):
        scans = [scans.get(str(num_inits)) for scans in by_inits]
        yield scans, with_test | {"num_inits": num_inits}
    if any(row.get("scan_all") for row in run.rows):
        scans = [row.get("scan_all") for row in run.rows]
        yield scans, {"criteria": _leave_one_out(CRITERIA), "of_all_images": True}


def _scan_signals(name, scans, run, network, criteria, num_inits=None, of_all_images=False):
    diag_reg = _diag_reg(scans, run)
    if diag_reg is None:
        return
    scans = [Scan.failing(diag_reg) if lists is None else Scan.from_json(lists) for lists in scans]
    prefix = "all_images_" if of_all_images else ""
    suffix = "" if num_inits is None else f",inits={num_inits}"
    words = ", all images" if of_all_images else ""
    if num_inits is not None:
        words += f", {num_inits} initialisation{'s' if num_inits > 1 else ''}"
    seconds = column([_seconds(row, num_inits) for row in run.rows])
    costs = {
        "cost_seconds": seconds,
        "cost_note": "" if num_inits is None else "kernel's seconds in proportion",
    }
    passes = {c: _passes(run, c, num_inits, of_all_images) for c in criteria}

    def signal(criterion, rule, label, values, **more):
        negated = criterion in SMALLER_IS_BETTER
        multiply_adds = None if network is None else passes[criterion] * network
        return Signal(
            name=f"{name}/{'-' if negated else ''}{prefix}{criterion}@{rule}{suffix}",
            label=f"{label}{words}",
            values=-values if negated else values,
            kind=NNGP,
            cost_multiply_adds=multiply_adds,
            **costs,
            **more,
        )

    for criterion, rule in _RULES:
        if criterion in criteria:
            chooser = criterion if rule == "best" else rule
            values = np.array([getattr(scan.best(chooser), criterion) for scan in scans])
            label = f"{_WORDS[criterion]}{_CHOICES[rule]}"
            if (criterion, rule) == ("test_accuracy", "best"):
                label = "test accuracy, best regulariser (authors')"
            # The curve against the number of initialisations.
            inits = run.config.get("num_inits") if num_inits is None else num_inits
            sign = "-" if criterion in SMALLER_IS_BETTER else ""
            more = {"family": f"{name}/{sign}{criterion}@{rule},inits", "setting": inits}
            yield signal(
                criterion, rule, label, values, is_shown=num_inits is None,
                **({} if of_all_images else more),
            )  # fmt: skip
    if num_inits is not None:
        return
    for criterion in criteria:
        columns = np.stack([getattr(scan, criterion) for scan in scans], axis=1)
        sign = "-" if criterion in SMALLER_IS_BETTER else ""
        for value, values in zip(diag_reg.tolist(), columns, strict=True):
            yield signal(
                criterion, f"{value:.3g}", f"{_WORDS[criterion]} at {value:.3g}", values,
                family=f"{name}/{sign}{prefix}{criterion}@fixed", setting=value, is_shown=False,
            )  # fmt: skip


def _diag_reg(scans, run):
    """Return the regularisers that all the scans have, or None where there is no scan."""
    found = {tuple(lists["diag_reg"]) for lists in scans if lists is not None}
    if len(found) > 1:
        raise ValueError(
            f"the rows of {run.path} have {len(found)} different lists of regularisers: name runs "
            "with one"
        )
    return np.array(found.pop()) if found else None


def _leave_one_out(criteria: Sequence[str]) -> tuple[str, ...]:
    return tuple(criterion for criterion in criteria if not criterion.startswith("test_"))


def _seconds(row: Mapping[str, Any], num_inits: int | None) -> float | None:
    if num_inits is None:
        return row.get("seconds")
    phases = row.get("seconds_by_phase")
    if not phases or not row.get("num_inits"):
        return None
    return phases["kernel"] * num_inits / row["num_inits"] + phases["solve"]


def _passes(run, criterion, num_inits, of_all_images):
    """Return how many images go through the network, calibration included."""
    config = run.config
    num_train = config.get("num_train", np.nan)
    images = num_train
    if of_all_images or criterion.startswith("test_"):
        images += config.get("num_test", np.nan)
    if config.get("batch_norm") != "initial":
        images += min(config.get("calibration_size") or DEFAULT_CALIBRATION_SIZE, num_train)
    return float((num_inits or config.get("num_inits", np.nan)) * images)


def _multiply_adds(row: Mapping[str, Any], config: Mapping[str, Any]) -> float | None:
    """Return the network's multiply-adds on one image; None where they are not known.

    Rows that do not record them tell the network all the same where images have a size known here.
    """
    if (recorded := row.get("multiply_adds")) is not None:
        return recorded
    dataset = str(config.get("dataset")).partition("/")[0]
    if config.get("space") != "nasbench101" or dataset not in ("digits", "cifar10"):
        return None
    size = config.get("image_size") or _IMAGE_SIZE
    sizes = {"stem_filters", "num_stacks", "modules_per_stack"} & config.keys()
    options = {name: config[name] for name in sizes}
    cell = Cell.from_text(row["architecture"])
    return Nasbench101Network(cell, (size, size, 3), **options).multiply_adds
