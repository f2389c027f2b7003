"""Signals: numbers known of architectures that may predict how good they are once trained.

    source    a run directory or a benchmark table: its architectures, and signals of them
    signal    values, larger is better, and what it costs to get them

Names are SOURCE/QUANTITY, and SOURCE/QUANTITY@RULE where a rule chooses the regulariser:

    nngp/test_accuracy@best                        maximum over regularisers: the authors' score
    nngp/test_accuracy@loo_accuracy                where leave-one-out accuracy is highest
    nngp/loo_accuracy@0.001                        at this regulariser for every architecture
    nngp/-test_nll@best                            a minus: negated, since smaller is better
    nngp/test_accuracy@best,inits=2                from the first two initialisations alone
    nngp/standardised_loo_accuracy@best            of another kernel, over all the images
    nngp/profile                                   all of these in one; nngp_tf.analysis.profile
    nngp/num_conv3x3                               read off the architecture
    short/validation_accuracy_4                    after 4 epochs
    table/parameters
"""

from __future__ import annotations

import dataclasses

import numpy as np

NNGP, TRAINING, SIZE, STRUCTURE = KINDS = ("nngp", "training", "size", "structure")


@dataclasses.dataclass(frozen=True, eq=False)
class Signal:
    """What one number says of N architectures; larger is better.

    Attributes:
      name: As described at the top of this module; unique in a comparison.
      label: For people, who see it under its source's name.
      values: [N], NaN where missing.
      kind: "nngp", "training", "size" or "structure".
      cost_seconds: What each value costs [N], NaN where unknown; None where none is known.
      cost_multiply_adds: As `cost_seconds`, in multiply-adds; a training step counts as three
        passes of its images.
      cost_note: How the cost was found where it was not measured; "" otherwise.
      family: Name shared by signals that differ in one setting alone; None for others.
      setting: That setting: the regulariser, the initialisations or the epochs.
      is_shown: Whether a comparison shows it unless asked otherwise.
      in_profile: Whether it is part of its source's profile; see `nngp_tf.analysis.profile`.
    """

    name: str
    label: str
    values: np.ndarray
    kind: str
    cost_seconds: np.ndarray | None = None
    cost_multiply_adds: np.ndarray | None = None
    cost_note: str = ""
    family: str | None = None
    setting: float | None = None
    is_shown: bool = True
    in_profile: bool = False

    @property
    def source(self) -> str:
        """The name of its source."""
        return self.name.partition("/")[0]

    def take(self, rows: np.ndarray) -> Signal:
        """Return the signal of some architectures: values and costs [n] at rows [n].

        A row of -1 stands for an architecture of which the signal knows nothing.
        """

        def taken(column):
            return None if column is None else np.where(rows < 0, np.nan, column[rows])

        return dataclasses.replace(
            self,
            values=taken(self.values),
            cost_seconds=taken(self.cost_seconds),
            cost_multiply_adds=taken(self.cost_multiply_adds),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """What one run directory or table knows.

    Attributes:
      name: First part of its signals' names.
      path: Where it was read.
      keys: Of N architectures, each once.
      signals: Of them.
      num_failed: How many of them failed, at least in part.
      truth: Name of the signal that serves as the truth unless another is asked for, or None.
      is_table: Whether it is a benchmark table, which may know far more than was run.
    """

    name: str
    path: str
    keys: tuple[str, ...]
    signals: tuple[Signal, ...]
    num_failed: int = 0
    truth: str | None = None
    is_table: bool = False


def free(num_architectures: int) -> dict[str, np.ndarray]:
    """Return the costs of a signal that is known without computing anything."""
    zeros = np.zeros(num_architectures)
    return {"cost_seconds": zeros, "cost_multiply_adds": zeros}


def column(numbers: list[float | None]) -> np.ndarray | None:
    """Return numbers as a column [N], NaN for None; None where all are missing."""
    values = np.array([np.nan if n is None else n for n in numbers], np.float64)
    return None if np.isnan(values).all() else values
