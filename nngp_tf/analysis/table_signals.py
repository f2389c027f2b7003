"""Signals of a benchmark table: its accuracies by split and epochs, and the networks' sizes."""

from __future__ import annotations

import numpy as np

from nngp_tf.analysis.signals import SIZE, TRAINING, Signal, Source, free
from nngp_tf.data.benchmark_table import BenchmarkTable

# NAS-Bench-101 trains on four of the five files of CIFAR-10's training images.
_TRAINING_IMAGES = 40_000
_TRUTH = ("test", 108)


def table_source(table: BenchmarkTable, name: str) -> Source:
    """Return what a table knows.

    Accuracies are means over the recorded runs, and costs are of one run: seconds as recorded, and
    where they are not, in proportion to the epochs of the nearest budget that has them.

    Args:
      table: Of NAS-Bench-101 cells.
      name: Of the source.
    """
    signals = [
        Signal(
            name=f"{name}/{split}_accuracy_{epochs}",
            label=f"{split} accuracy after {epochs} epochs",
            values=table.accuracy(split, epochs),
            kind=TRAINING,
            family=f"{name}/{split}_accuracy",
            setting=float(epochs),
            # What is trained for as long as the truth is no shortcut to it.
            is_shown=split == "validation" and epochs < _TRUTH[1],
            **_costs(table, epochs),
        )
        for split, epochs in sorted(table.accuracies)
    ]
    sizes = {"parameters": table.trainable_parameters, "multiply_adds": table.multiply_adds}
    signals += [
        Signal(
            name=f"{name}/{size}",
            label=size.replace("_", "-"),
            values=values.astype(np.float64),
            kind=SIZE,
            **free(len(table)),
        )
        for size, values in sizes.items()
        if values is not None
    ]
    return Source(
        name=name,
        path=table.source,
        keys=table.module_hashes,
        signals=tuple(signals),
        truth=f"{name}/{_TRUTH[0]}_accuracy_{_TRUTH[1]}" if _TRUTH in table.accuracies else None,
        is_table=True,
    )


def _costs(table, epochs):
    costs = {}
    if table.multiply_adds is not None:
        costs["cost_multiply_adds"] = 3.0 * _TRAINING_IMAGES * epochs * table.multiply_adds
    if table.training_seconds:
        nearest = min(table.training_seconds, key=lambda e: (abs(np.log(e / epochs)), e))
        costs["cost_seconds"] = table.seconds(nearest) * epochs / nearest
        if nearest != epochs:
            costs["cost_note"] = f"seconds of {nearest} epochs in proportion"
    return costs
