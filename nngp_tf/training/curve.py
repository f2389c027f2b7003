"""What a run of training records epoch by epoch, and the backup that lets a killed run go on.

    DIRECTORY/keras/        weights and optimiser after the last whole epoch, by Keras
    DIRECTORY/curve.json    {"iterations": ..., "seconds": ..., "epochs": [{...}, ...]}, after it

A backup counts only if both belong to the same step.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

import keras
import tensorflow as tf
from absl import logging

_KERAS = "keras"
_CURVE = "curve.json"
_ASIDE = ".partial"


class Curve(keras.callbacks.Callback):
    """Records loss, accuracies and seconds of each epoch.

    Attributes:
      epochs: A dictionary an epoch: loss, accuracy, val_accuracy where it was computed, seconds.
      seconds: Spent until now, from the construction, and before it by the run taken up.
    """

    def __init__(self):
        """Start from no epochs."""
        super().__init__()
        self.epochs: list[dict[str, float]] = []
        self._start = time.perf_counter()
        self._began = self._start

    @property
    def seconds(self) -> float:
        """Spent until now."""
        return time.perf_counter() - self._start

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Record an epoch."""
        names = ("loss", "accuracy", "val_accuracy")
        values = {name: float(logs[name]) for name in names if name in logs}
        self.epochs.append(values | {"seconds": time.perf_counter() - self._began})

    def resume(self, record: dict[str, Any]) -> None:
        """Go on from the record of a run."""
        self.epochs = list(record["epochs"])
        self._start = time.perf_counter() - record["seconds"]

    def by_epoch(self, name: str) -> dict[str, float]:
        """Return a quantity under its epochs, "1", "2", ..., as far as the loss was finite."""
        return {
            str(epoch): values[name]
            for epoch, values in enumerate(self.epochs, start=1)
            if name in values and math.isfinite(values["loss"])
        }

    def diverged(self) -> bool:
        """Whether the loss of the last epoch is not finite."""
        return bool(self.epochs) and not math.isfinite(self.epochs[-1]["loss"])


class Backup(keras.callbacks.Callback):
    """Keras' backup after each epoch, with the curve beside it."""

    def __init__(self, directory: str, curve: Curve, writes: bool = True):
        """Name a directory of this backup alone, which may be gs://, and the curve.

        Args:
          directory: Of the backup.
          curve: What is recorded with it.
          writes: Whether this process removes a backup that is of no use.
        """
        super().__init__()
        self._writes = writes
        self._directory = directory.rstrip("/")
        self._curve = curve
        self._keras = keras.callbacks.BackupAndRestore(
            f"{self._directory}/{_KERAS}", delete_checkpoint=False
        )

    def restore(self, model: keras.Model) -> int | None:
        """Take up a model and the curve where the backup is, if there is one.

        Args:
          model: Compiled, with the variables of its optimiser.

        Returns:
          The epochs that are done, 0 where there is no backup. None if there is a backup but no use
          of it: a process was killed while it was written. The model is unusable then.
        """
        if not tf.io.gfile.exists(self._directory):
            return 0
        try:
            record = json.loads(self._read())
            self._keras.set_model(model)
            self._keras.on_train_begin()
            usable = record["iterations"] == int(model.optimizer.iterations.numpy())
        except (OSError, tf.errors.OpError, ValueError, KeyError, TypeError) as error:
            logging.debug("backup %s", self._directory, exc_info=error)
            usable = False
        if usable:
            self._curve.resume(record)
            return len(self._curve.epochs)
        logging.warning("%s: dropped a half-written backup", self._directory)
        if self._writes:
            self.delete()
        return None

    def delete(self) -> None:
        """Remove the backup."""
        if tf.io.gfile.exists(self._directory):
            tf.io.gfile.rmtree(self._directory)

    def set_model(self, model):
        """Pass the model on."""
        super().set_model(model)
        self._keras.set_model(model)

    def on_epoch_end(self, epoch, logs=None):
        """Write the backup."""
        self._keras.on_epoch_end(epoch, logs)
        record = {
            "iterations": int(self.model.optimizer.iterations.numpy()),
            "seconds": self._curve.seconds,
            "epochs": self._curve.epochs,
        }
        path = f"{self._directory}/{_CURVE}"
        with tf.io.gfile.GFile(path + _ASIDE, "w") as file:
            file.write(json.dumps(record))
        tf.io.gfile.rename(path + _ASIDE, path, overwrite=True)

    def _read(self):
        with tf.io.gfile.GFile(f"{self._directory}/{_CURVE}", "r") as file:
            return file.read()
