"""Signals of an NNGP run, from all that its rows hold.

scan             all the images and initialisations
scans_by_inits   optional: from the first initialisations alone, by their number
leave_one_out    optional: over training and test images together, by kernel: scan and spectrum
scan_all         the plain kernel's scan of these, in older runs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nngp_tf.analysis.scan_signals import Scans, scan_signals
from nngp_tf.analysis.signals import NNGP, SIZE, STRUCTURE, Signal, Source, column, free
from nngp_tf.gaussian_process.scan import CRITERIA
from nngp_tf.kernels.monte_carlo import DEFAULT_CALIBRATION_SIZE
from nngp_tf.models import Nasbench101Network
from nngp_tf.runs.reading import RunRecord
from nngp_tf.search_spaces.nasbench101 import Cell
from nngp_tf.search_spaces.nasbench101_structure import structure

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
    signals = [signal for scans in _scans(run, name, network) for signal in scan_signals(scans)]
    signals += _spectra(run, name, network)
    sizes = {
        "parameters": column([row.get("parameters") for row in rows]),
        "multiply_adds": network,
    }
    signals += [
        Signal(f"{name}/{size}", size.replace("_", "-"), values, SIZE, **free(len(rows)))
        for size, values in sizes.items()
        if values is not None
    ]
    signals += _structure(run, name)
    return Source(
        name=name,
        path=run.path,
        keys=tuple(row["key"] for row in rows),
        signals=tuple(signals),
        num_failed=sum(row["status"] != "ok" for row in rows),
    )


def _scans(run: RunRecord, name: str, network: np.ndarray | None) -> Iterator[Scans]:
    """Yield the scans of each kind that the rows hold."""
    rows, config = run.rows, run.config

    def scans(lists, kernel="", num_inits=None):
        return Scans(
            source=name,
            lists=lists,
            has_test=bool(config.get("num_test")) and not kernel,
            kernel=kernel,
            num_inits=num_inits or config.get("num_inits"),
            is_whole=num_inits is None,
            cost_seconds=column([_seconds(row, num_inits) for row in rows]),
            cost_of={
                criterion: _cost(config, network, bool(kernel) or "test_" in criterion, num_inits)
                for criterion in CRITERIA
            },
        )

    yield scans([row.get("scan") for row in rows])
    by_inits = [row.get("scans_by_inits") or {} for row in rows]
    for num_inits in sorted({int(n) for scans_ in by_inits for n in scans_}):
        yield scans([scans_.get(str(num_inits)) for scans_ in by_inits], num_inits=num_inits)
    for kernel in _kernels(run):
        yield scans([_leave_one_out(row, kernel).get("scan") for row in rows], kernel=kernel)


def _spectra(run, name, network):
    """Return signals of the kernels' spectra, whichever way they may predict."""
    cost = _cost(run.config, network, True, None)
    seconds = column([_seconds(row, None) for row in run.rows])
    signals = []
    for kernel in _kernels(run):
        spectra = [_leave_one_out(row, kernel).get("spectrum") or {} for row in run.rows]
        for quantity in dict.fromkeys(quantity for spectrum in spectra for quantity in spectrum):
            values = [spectrum.get(quantity) for spectrum in spectra]
            signals.append(
                Signal(
                    name=f"{name}/{kernel}_{quantity}",
                    label=f"{quantity}, {kernel} kernel, all images".replace("_", "-"),
                    values=np.array([np.nan if v is None else v for v in values], np.float64),
                    kind=NNGP,
                    cost_seconds=seconds,
                    cost_multiply_adds=cost,
                    is_shown=False,
                    in_profile=True,
                )
            )
    return signals


def _structure(run, name):
    """Return signals of what can be read off the cells, of NAS-Bench-101."""
    if run.config.get("space") != "nasbench101":
        return []
    numbers = [structure(Cell.from_text(row["architecture"])) for row in run.rows]
    return [
        Signal(
            name=f"{name}/{quantity}",
            label=quantity.replace("_", " "),
            values=np.array([of_cell[quantity] for of_cell in numbers]),
            kind=STRUCTURE,
            is_shown=False,
            **free(len(run.rows)),
        )
        for quantity in dict.fromkeys(quantity for of_cell in numbers for quantity in of_cell)
    ]


def _kernels(run):
    return list(dict.fromkeys(kernel for row in run.rows for kernel in _by_kernel(row)))


def _by_kernel(row):
    older = {"plain": {"scan": row["scan_all"]}} if row.get("scan_all") else {}
    return older | (row.get("leave_one_out") or {})


def _leave_one_out(row, kernel):
    return _by_kernel(row).get(kernel) or {}


def _seconds(row: Mapping[str, Any], num_inits: int | None) -> float | None:
    if num_inits is None:
        return row.get("seconds")
    phases = row.get("seconds_by_phase")
    if not phases or not row.get("num_inits"):
        return None
    return phases["kernel"] * num_inits / row["num_inits"] + phases["solve"]


def _cost(config, network, needs_test, num_inits):
    """Return multiply-adds [N]: of all images that go through the network, to calibrate too."""
    if network is None:
        return None
    num_train = config.get("num_train", np.nan)
    images = num_train
    if needs_test:
        images += config.get("num_test", np.nan)
    if config.get("batch_norm") != "initial":
        images += min(config.get("calibration_size") or DEFAULT_CALIBRATION_SIZE, num_train)
    return float((num_inits or config.get("num_inits", np.nan)) * images) * network


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
