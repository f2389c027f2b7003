"""Trained accuracies of NAS-Bench-101 cells as values: a table of columns, a record of one cell.

A cell was trained R times anew for each of several numbers of epochs. Every such run has accuracies
and seconds at its end, and where the source tells them half-way, after half of its epochs. Half-way
is no training of half as many epochs, since the learning rate falls along the whole run.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator

import numpy as np

from nngp_tf.search_spaces.nasbench101 import Cell

SPLITS = ("train", "validation", "test")

_HASH = re.compile("[0-9a-f]{32}")


class AbsentCellError(KeyError):
    """The table has no such cell."""

    def __str__(self) -> str:
        return self.args[0]  # KeyError itself would print the sentence in quotes.


@dataclasses.dataclass(frozen=True)
class Record:
    """What a table knows about one cell.

    Attributes:
      module_hash: The published hash.
      cell: The stored cell, from which the benchmark's network was built.
      trainable_parameters: Of the network with a stem of 128 filters and 10 classes.
      multiply_adds: Of one 32 x 32 image, convolutions and dense layer; None if not recorded.
      accuracies: From (split, epochs), such as ("test", 108), to one accuracy in [0, 1] a run.
      training_seconds: From epochs to the seconds of each run.
      halfway_accuracies: The same as `accuracies` after half of the epochs.
      halfway_seconds: The same as `training_seconds` until then.
    """

    module_hash: str
    cell: Cell
    trainable_parameters: int
    multiply_adds: int | None
    accuracies: dict[tuple[str, int], tuple[float, ...]]
    training_seconds: dict[int, tuple[float, ...]]
    halfway_accuracies: dict[tuple[str, int], tuple[float, ...]] = dataclasses.field(
        default_factory=dict
    )
    halfway_seconds: dict[int, tuple[float, ...]] = dataclasses.field(default_factory=dict)

    def accuracy(self, split: str, epochs: int) -> float:
        """Return the mean accuracy over the recorded runs, in [0, 1].

        Raises:
          ValueError: Nothing is recorded for that split and number of epochs.
        """
        return float(np.mean(_recorded(self.accuracies, split, epochs, self.module_hash)))

    def halfway_accuracy(self, split: str, epochs: int) -> float:
        """Return the mean accuracy half-way through trainings of so many epochs, in [0, 1].

        Raises:
          ValueError: Nothing is recorded for that split and number of epochs.
        """
        columns = self.halfway_accuracies
        return float(np.mean(_recorded(columns, split, epochs, self.module_hash, "half-way ")))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class BenchmarkTable:
    """N trained cells as read-only columns; row i of every column is about the same cell.

    `table[cell]` and `table[module_hash]` give a `Record`, `in` tells whether there is one, and
    iteration yields the stored cells in the order of the rows. Accuracies and seconds are float32
    where that holds every number of the column exactly, as it does the official ones, else float64;
    where a cell has fewer than R runs the rest is NaN. Means are over what is there, in float64.

    Attributes:
      source: The file, for messages.
      module_hashes: N published hashes, 32 hexadecimal digits each.
      adjacencies: [N] stored matrices, each V * V digits, row after row.
      operations: [N] lists of V names, comma separated.
      trainable_parameters: [N] int64.
      multiply_adds: [N] int64, or None if not recorded.
      accuracies: From (split, epochs), such as ("test", 108), to [N, R] for R runs, in [0, 1].
      training_seconds: From epochs to [N, R].
      halfway_accuracies: The same as `accuracies` after half of the epochs; may be empty.
      halfway_seconds: The same as `training_seconds` until then; may be empty.
    """

    source: str
    module_hashes: tuple[str, ...]
    adjacencies: np.ndarray
    operations: np.ndarray
    trainable_parameters: np.ndarray
    multiply_adds: np.ndarray | None
    accuracies: dict[tuple[str, int], np.ndarray]
    training_seconds: dict[int, np.ndarray]
    halfway_accuracies: dict[tuple[str, int], np.ndarray] = dataclasses.field(default_factory=dict)
    halfway_seconds: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = [self.trainable_parameters, self.multiply_adds]
        for each in self._of_runs().values():
            columns += each.values()
        for column in columns:
            if column is not None:
                column.setflags(write=False)

    @property
    def truth(self) -> np.ndarray:
        """The default target [N]: test accuracy after 108 epochs, averaged over recorded runs."""
        return self.accuracy("test", 108)

    def accuracy(self, split: str, epochs: int) -> np.ndarray:
        """Return the mean accuracy [N] over the recorded runs, float64 in [0, 1]; NaN without any.

        Raises:
          ValueError: Nothing is recorded for that split and number of epochs.
        """
        return _mean(_recorded(self.accuracies, split, epochs, self.source))

    def halfway_accuracy(self, split: str, epochs: int) -> np.ndarray:
        """Return the mean accuracy [N] half-way through trainings of so many epochs, in [0, 1].

        Raises:
          ValueError: Nothing is recorded for that split and number of epochs.
        """
        columns = self.halfway_accuracies
        return _mean(_recorded(columns, split, epochs, self.source, "half-way "))

    def seconds(self, epochs: int) -> np.ndarray:
        """Return the mean seconds [N] of a training of so many epochs, float64; NaN without any."""
        return _mean(self.training_seconds[epochs])

    def row(self, cell: Cell | str) -> int:
        """Return the row of a cell or module hash.

        Raises:
          AbsentCellError: The table has no such cell; this is a KeyError.
        """
        if isinstance(cell, Cell) and cell.matrix is None:
            raise AbsentCellError(f"{cell} is not in {self.source}: {cell.invalid_reason}")
        row = self._row_of_hash.get(cell.module_hash if isinstance(cell, Cell) else cell)
        if row is None:
            raise AbsentCellError(
                f"{cell} is not among the {len(self)} architectures of {self.source}"
            )
        return row

    def rows(self, cells: Iterable[Cell | str]) -> np.ndarray:
        """Return the rows [n] of n cells or hashes, to index columns with.

        Raises:
          AbsentCellError: The table lacks one of them.
        """
        return np.array([self.row(cell) for cell in cells], dtype=np.int64)

    def cell(self, row: int) -> Cell:
        """Return the stored cell of a row."""
        return stored_cell(self.adjacencies[row], self.operations[row])

    def __getitem__(self, cell: Cell | str) -> Record:
        row = self.row(cell)
        return Record(
            module_hash=self.module_hashes[row],
            cell=self.cell(row),
            trainable_parameters=int(self.trainable_parameters[row]),
            multiply_adds=None if self.multiply_adds is None else int(self.multiply_adds[row]),
            **{
                name: {
                    key: tuple(known.tolist())
                    for key, runs in columns.items()
                    if len(known := runs[row][~np.isnan(runs[row])])
                }
                for name, columns in self._of_runs().items()
            },
        )

    def __contains__(self, cell: object) -> bool:
        if isinstance(cell, Cell):
            return cell.matrix is not None and cell.module_hash in self._row_of_hash
        return cell in self._row_of_hash

    def __len__(self) -> int:
        return len(self.module_hashes)

    def __iter__(self) -> Iterator[Cell]:
        return map(self.cell, range(len(self)))

    def __repr__(self) -> str:
        return f"<BenchmarkTable of {len(self)} architectures from {self.source}>"

    @functools.cached_property
    def _row_of_hash(self) -> dict[str, int]:
        return {module_hash: row for row, module_hash in enumerate(self.module_hashes)}

    def _of_runs(self) -> dict[str, dict]:
        """Return the attributes whose columns are [N, R]."""
        return {
            "accuracies": self.accuracies,
            "training_seconds": self.training_seconds,
            "halfway_accuracies": self.halfway_accuracies,
            "halfway_seconds": self.halfway_seconds,
        }


def stored_cell(adjacency: str, operations: str) -> Cell:
    """Return the cell of V * V digits and V comma separated names.

    Raises:
      ValueError: They make no cell.
    """
    size = operations.count(",") + 1
    if len(adjacency) != size * size:
        raise ValueError(
            f"adjacency must have {size * size} digits for {size} operations, got {len(adjacency)}"
        )
    rows = (adjacency[start : start + size] for start in range(0, size * size, size))
    return Cell.from_text("/".join(rows) + ":" + operations)


def check_stored(module_hash: str, adjacency: str, operations: str) -> None:
    """Check that a hash is one, and that of its cell; takes some 150 microseconds.

    Raises:
      ValueError: It is not, or the texts make no cell of the search space.
    """
    if not _HASH.fullmatch(module_hash):
        raise ValueError(f"module_hash must be 32 hexadecimal digits, got {module_hash!r}")
    cell = stored_cell(adjacency, operations)
    if not cell.is_valid:
        raise ValueError(cell.invalid_reason)
    if cell.module_hash != module_hash:
        raise ValueError(f"module_hash is {module_hash}, but its cell's is {cell.module_hash}")


def _mean(runs: np.ndarray) -> np.ndarray:
    """Return the mean [N] of what is known of [N, R], NaN where nothing is."""
    is_known = ~np.isnan(runs)
    totals = np.sum(runs, axis=1, dtype=np.float64, where=is_known)
    counts = is_known.sum(axis=1)
    return np.divide(totals, counts, out=np.full(len(runs), np.nan), where=counts > 0)


def _recorded(columns: dict, split: str, epochs: int, source: str, when: str = ""):
    if (split, epochs) not in columns:
        known = ", ".join(f"{split} after {epochs}" for split, epochs in columns) or "none"
        raise ValueError(
            f"{source} has no {when}{split} accuracy after {epochs} epochs; it has those of {known}"
        )
    return columns[split, epochs]
