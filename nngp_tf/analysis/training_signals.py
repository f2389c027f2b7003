"""Signals of a training run: the validation accuracy after each epoch that was validated."""

from __future__ import annotations

import itertools

import numpy as np

from nngp_tf.analysis.signals import SIZE, TRAINING, Signal, Source, column, free
from nngp_tf.runs.reading import RunRecord


def training_source(run: RunRecord, name: str) -> Source:
    """Return what a training run knows.

    An epoch costs what was spent until its end: the seconds as measured, and three passes of the
    training images an epoch. The last epoch may serve as the truth.

    Args:
      run: Its rows hold validation accuracies by epoch; one that diverged has none from there on.
      name: Of the source.
    """
    rows = run.rows
    reached = {int(epoch) for row in rows for epoch in row.get("validation_accuracy") or {}}
    epochs = sorted(reached)
    network = column([row.get("multiply_adds") for row in rows])
    num_images = run.config.get("num_train")
    cumulative = [_cumulative(row.get("seconds_by_epoch") or {}) for row in rows]
    signals = []
    for epoch in epochs:
        text = str(epoch)
        cost = None
        if network is not None and num_images is not None:
            cost = 3.0 * num_images * epoch * network
        accuracies = [(row.get("validation_accuracy") or {}).get(text) for row in rows]
        signals.append(
            Signal(
                name=f"{name}/validation_accuracy_{epoch}",
                label=f"validation accuracy after {epoch} epoch{'s' if epoch > 1 else ''}",
                values=np.array([np.nan if a is None else a for a in accuracies], np.float64),
                kind=TRAINING,
                cost_seconds=column([seconds.get(epoch) for seconds in cumulative]),
                cost_multiply_adds=cost,
                family=f"{name}/validation_accuracy",
                setting=float(epoch),
            )
        )
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
        truth=f"{name}/validation_accuracy_{epochs[-1]}" if epochs else None,
    )


def _cumulative(seconds_by_epoch):
    epochs = sorted(map(int, seconds_by_epoch))
    sums = itertools.accumulate(seconds_by_epoch[str(epoch)] for epoch in epochs)
    return dict(zip(epochs, sums, strict=True))
