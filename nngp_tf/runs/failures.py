"""An exception at one architecture as its row, so that the run goes on.

What is no architecture's fault ends the run: files that cannot be read or written, workers that are
gone, and many failures one after the other.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from nngp_tf.gaussian_process import DIAG_REGS, Scan
from nngp_tf.runs.errors import LostWorkerError, TooManyFailuresError
from nngp_tf.runs.networks import Network

MOST_IN_A_ROW = 20
_LOST_WORKER = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)
# Of TensorFlow, from then on at every sum over workers, whatever the type of the error.
_ABORTED = "Collective ops is aborted by: "
# Between the two, TensorFlow writes where the node was made, line by line, and what is wrong last.
_FROM_GRAPH, _NODE = "Graph execution error:", "\n\t [[{{node"


def check(error: Exception) -> None:
    """Tell whether an exception is the architecture's own: this returns if it is.

    Raises:
      OSError: The exception, if it is one.
      LostWorkerError: If it says that another worker of the strategy, or its device, is gone.
    """
    if isinstance(error, OSError):
        raise error
    if isinstance(error, _LOST_WORKER) or _ABORTED in str(error):
        raise LostWorkerError(
            f"a worker was lost ({type(error).__name__}: {_reason(error)}): the rows written so "
            "far are kept, start all workers again with the same command to go on"
        ) from error


def failed_row(
    network: Network, settings: Mapping[str, Any], error: Exception, seconds: float
) -> dict[str, Any]:
    """Return the row of an architecture at which an exception was raised.

    Args:
      network: The architecture's.
      settings: What the row records of the kernel's settings.
      error: The exception.
      seconds: Until it was raised.

    Returns:
      The row of `row_without_score`, and the exception's traceback (text).
    """
    row = row_without_score(network, settings, f"{type(error).__name__}: {_reason(error)}", seconds)
    return row | {"traceback": "".join(traceback.format_exception(error))}


def row_without_score(
    network: Network, about_kernel: Mapping[str, Any], error: str, seconds: float
) -> dict[str, Any]:
    """Return the row of an architecture that has no score.

    Args:
      network: The architecture's.
      about_kernel: What the row records of the kernel and its settings.
      error: The reason, a line.
      seconds: Until it was known.

    Returns:
      A dictionary of JSON's types: key, architecture, status, error, seconds, parameters,
      multiply_adds, what is said of the kernel, and a scan that failed at every regulariser.
    """
    undefined = np.full(len(DIAG_REGS), np.nan)
    scan = {field.name: undefined for field in dataclasses.fields(Scan)}
    scan |= {"diag_reg": np.asarray(DIAG_REGS), "failed": np.ones(len(DIAG_REGS), bool)}
    return {
        "key": network.key,
        "architecture": network.text,
        "status": "failed",
        "error": error,
        "seconds": seconds,
        "parameters": network.trainable_parameters,
        "multiply_adds": network.multiply_adds,
        **about_kernel,
        "scan": Scan(**scan).to_json(),
    }


def _reason(error):
    """Return the line of an exception's text that says what is wrong."""
    text = str(error).strip()
    if _ABORTED in text:
        text = text.partition(_ABORTED)[2]
    elif text.startswith(_FROM_GRAPH):
        text = text.partition(_NODE)[0].strip().rpartition("\n")[2]
    return text.strip().partition("\n")[0]


class Series:
    """Counts failures one after the other."""

    def __init__(self):
        self._length = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Take note of a row that has been stored.

        Raises:
          TooManyFailuresError: If it is one failure too many.
        """
        self._length = self._length + 1 if "traceback" in row else 0
        if self._length >= MOST_IN_A_ROW:
            raise TooManyFailuresError(
                f"{self._length} architectures failed one after the other, the last with "
                f"{row['error']!r}: see to the cause, then start again and retry the failed ones"
            )
