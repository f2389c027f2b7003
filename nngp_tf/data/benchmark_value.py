"""Trained accuracies of NAS-Bench-101 cells as values: a table of columns, a record of one cell.

A cell was trained R times anew for each of several numbers of epochs. Every such run has accuracies
and seconds at its end, and where the source tells them half-way, after half of its epochs. Half-way
is no training of half as many epochs, since the learning rate falls along the whole run.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from nngp_tf.data.stored_cells import ModuleHashes, StoredCells
from nngp_tf.search_spaces.nasbench101 import Cell


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
    means are taken in float64.

    Attributes:
      source: The file, for messages.
      module_hashes: N published hashes.
      cells: N stored cells.
      trainable_parameters: [N] int64.
      multiply_adds: [N] int64, or None if not recorded.
      accuracies: From (split, epochs), such as ("test", 108), to [N, R] for R runs, in [0, 1].
      training_seconds: From epochs to [N, R].
      halfway_accuracies: The same as `accuracies` after half of the epochs; may be empty.
      halfway_seconds: The same as `training_seconds` until then; may be empty.
    """

    source: str
    module_hashes: ModuleHashes
    cells: StoredCells
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
        """Return the mean accuracy [N] over the recorded runs, float64 in [0, 1].

        Raises:
          ValueError: Nothing is recorded for that split and number of epochs.
        """
        column = _recorded(self.accuracies, split, epochs, self.source)
        return column.mean(axis=1, dtype=np.float64)

    def halfway_accuracy(self, split: str, epochs: int) -> np.ndarray:
        """Return the mean accuracy [N] half-way through trainings of so many epochs, in [0, 1].

        Raises:
          ValueError: Nothing is recorded for that split and number of epochs.
        """
        column = _recorded(self.halfway_accuracies, split, epochs, self.source, "half-way ")
        return column.mean(axis=1, dtype=np.float64)

    def row(self, cell: Cell | str) -> int:
        """Return the row of a cell or module hash.

        Raises:
          AbsentCellError: The table has no such cell; this is a KeyError.
        """
        if isinstance(cell, Cell) and cell.matrix is None:
            raise AbsentCellError(f"{cell} is not in {self.source}: {cell.invalid_reason}")
        row = self.module_hashes.find(cell.module_hash if isinstance(cell, Cell) else cell)
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
        return self.cells[row]

    def __getitem__(self, cell: Cell | str) -> Record:
        row = self.row(cell)
        return Record(
            module_hash=self.module_hashes[row],
            cell=self.cells[row],
            trainable_parameters=int(self.trainable_parameters[row]),
            multiply_adds=None if self.multiply_adds is None else int(self.multiply_adds[row]),
            **{
                name: {key: tuple(runs[row].tolist()) for key, runs in columns.items()}
                for name, columns in self._of_runs().items()
            },
        )

    def __contains__(self, cell: object) -> bool:
        if isinstance(cell, Cell):
            return cell.matrix is not None and self.module_hashes.find(cell.module_hash) is not None
        return self.module_hashes.find(cell) is not None

    def __len__(self) -> int:
        return len(self.module_hashes)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)

    def __repr__(self) -> str:
        return f"<BenchmarkTable of {len(self)} architectures from {self.source}>"

    def _of_runs(self) -> dict[str, dict]:
        """Return the attributes whose columns are [N, R]."""
        return {
            "accuracies": self.accuracies,
            "training_seconds": self.training_seconds,
            "halfway_accuracies": self.halfway_accuracies,
            "halfway_seconds": self.halfway_seconds,
        }


def _recorded(columns: dict, split: str, epochs: int, source: str, when: str = ""):
    if (split, epochs) not in columns:
        known = ", ".join(f"{split} after {epochs}" for split, epochs in columns) or "none"
        raise ValueError(
            f"{source} has no {when}{split} accuracy after {epochs} epochs; it has those of {known}"
        )
    return columns[split, epochs]
