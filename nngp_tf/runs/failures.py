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
from nngp_tf.runs.errors import TooManyFailuresError
from nngp_tf.runs.networks import Network

ENDING = (
    OSError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)
MOST_IN_A_ROW = 20


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
      A dictionary of JSON's types: key, architecture, status, error (a line), traceback (text),
      seconds, parameters, the settings, and a scan that failed at every regulariser.
    """
    undefined = np.full(len(DIAG_REGS), np.nan)
    scan = {field.name: undefined for field in dataclasses.fields(Scan)}
    scan |= {"diag_reg": np.asarray(DIAG_REGS), "failed": np.ones(len(DIAG_REGS), bool)}
    return {
        "key": network.key,
        "architecture": network.text,
        "status": "failed",
        "error": f"{type(error).__name__}: {error}".partition("\n")[0],
        "traceback": "".join(traceback.format_exception(error)),
        "seconds": seconds,
        "parameters": network.trainable_parameters,
        **settings,
        "scan": Scan(**scan).to_json(),
    }


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
