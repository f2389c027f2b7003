"""Short training over a list of architectures, into a run directory.

for each network without a row: train, or go on with its backup -> row -> remove the backup
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from nngp_tf.data.benchmark_table import BenchmarkTable
from nngp_tf.data.images import ImageData
from nngp_tf.kernels.strategy import is_chief
from nngp_tf.runs import failures, progress, ranking
from nngp_tf.runs.store import RunDirectory
from nngp_tf.training import short

_BACKUP = "backup"
_TENSORBOARD = "tensorboard"


def run_training(
    networks: Iterable[short.Network],
    images: ImageData,
    settings: short.TrainingSettings,
    directory: RunDirectory,
    strategy: tf.distribute.Strategy | None = None,
    tensorboard: bool = False,
    backup: bool = True,
    retry_failed: bool = False,
) -> list[dict[str, Any]]:
    """Train the networks that have no row yet, and append their rows.

    An exception at one of them is recorded as a failed row, and the run goes on.

    Args:
      networks: Each key once.
      images: See `nngp_tf.training.short.train`, as are the next two.
      settings: How they are trained.
      directory: Where the rows go.
      strategy: Where to compute; of several processes, the chief writes.
      tensorboard: Whether TensorBoard's logs are written, into the directory's `tensorboard`.
      backup: Whether a network that is being trained is backed up after each epoch, in the
        directory's `backup`, and gone on with from there.
      retry_failed: Whether networks that failed before are trained again.

    Returns:
      The rows of all the networks, in their order.

    Raises:
      ValueError: If the first network cannot be trained with these settings.
      RunEndedError: See `nngp_tf.runs.inference.run_inference`.
    """
    networks = list(networks)
    strategy = strategy or tf.distribute.get_strategy()
    settings = short.resolve(settings, strategy)
    short.check(images, settings, strategy, tensorboard)
    if retry_failed and (failed := directory.discard_failed()):
        logging.info("%s: %d failed architectures are tried again", directory.path, failed)
    directory.expect(len(networks))
    todo = [network for network in networks if network.key not in directory.rows]
    done = len(networks) - len(todo)
    if done:
        logging.info("%s holds %d of %d architectures", directory.path, done, len(networks))
    series = failures.Series()
    with progress.bar(len(networks), done, "training") as bar:
        for index, network in enumerate(todo):
            backup_dir = _path(directory, _BACKUP, network) if backup else None
            logs_dir = _path(directory, _TENSORBOARD, network) if tensorboard else None
            start = time.perf_counter()
            try:
                row = short.train(network, images, settings, strategy, backup_dir, logs_dir)
            except Exception as error:
                failures.check(error)
                # Settings that suit no network show at the first of a run.
                if index == done == 0 and isinstance(error, ValueError):
                    raise
                row = _failed_row(network, settings, error, time.perf_counter() - start)
                logging.warning("%s failed: %s", row["key"], row["error"])
            directory.append(row)
            if backup and is_chief(strategy) and tf.io.gfile.exists(backup_dir):
                tf.io.gfile.rmtree(backup_dir)
            series.add(row)
            bar.update()
            logging.info(
                "%s: %s, validation accuracy %.4f, %d parameters, %.2f s",
                row["key"],
                row["error"] or "ok",
                last_accuracy(row),
                row["parameters"],
                row["seconds"],
            )
    return directory.rows.of(network.key for network in networks)


def last_accuracy(row: Mapping[str, Any]) -> float:
    """Return the validation accuracy of the last epoch that has one; NaN where training failed."""
    accuracies = row["validation_accuracy"]
    if row["status"] != "ok" or not accuracies:
        return float("nan")
    return accuracies[max(accuracies, key=int)]


def report(
    rows: Iterable[Mapping[str, Any]], truth: BenchmarkTable | None = None, num_best: int = 10
) -> str:
    """Return a table of the best architectures, and Kendall's tau where truth is known.

    Args:
      rows: Of a run directory.
      truth: Trained accuracies, if there are any.
      num_best: Lines of the table.

    Returns:
      Lines of text.
    """
    rows = list(rows)
    accuracies = np.array([last_accuracy(row) for row in rows])
    return ranking.table(rows, accuracies, "validation_accuracy", truth, num_best)


def _path(directory, name, network):
    return f"{directory.path.rstrip('/')}/{name}/{network.key}"


def _failed_row(network, settings, error, seconds):
    """Return the row of a network at which an exception was raised."""
    return {
        **short.row_of(network, settings),
        "status": "failed",
        "error": traceback.format_exception_only(error)[-1].strip(),
        "traceback": "".join(traceback.format_exception(error)),
        "seconds": seconds,
    }
