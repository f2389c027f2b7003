"""Trained accuracies of NAS-Bench-101 cells as a table, looked up by cell or by module hash.

A CSV file (.csv or .csv.gz) has a header line and one line for each cell, with the columns

    module_hash            the published hash
    adjacency              the stored matrix, V * V digits 0 or 1, row after row
    operations             V names, comma separated (hence quoted)
    trainable_parameters   a whole number
    multiply_adds          a whole number, optional
    SPLIT_accuracy_EPOCHS  in [0, 1], after a whole training of so many epochs; SPLIT is train,
                           validation or test; test_accuracy_108 is needed, others are optional
    training_seconds_EPOCHS    optional

Other columns are ignored.
"""

import csv
import dataclasses
import gzip
import math
import os
import re
import sys
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

from nngp_tf.search_spaces.nasbench101 import Cell

_REQUIRED = (
    "module_hash",
    "adjacency",
    "operations",
    "trainable_parameters",
    "test_accuracy_108",
)
_ACCURACY = re.compile(r"(train|validation|test)_accuracy_(\d+)")
_SECONDS = re.compile(r"training_seconds_(\d+)")


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
    """

    module_hash: str
    cell: Cell
    trainable_parameters: int
    multiply_adds: int | None
    accuracies: dict[tuple[str, int], tuple[float, ...]]
    training_seconds: dict[int, tuple[float, ...]]

    def accuracy(self, split: str, epochs: int) -> float:
        """Return the mean accuracy over the recorded runs, in [0, 1].

        Raises:
          ValueError: Nothing is recorded for that split and number of epochs.
        """
        return float(np.mean(_recorded(self.accuracies, (split, epochs), self.module_hash)))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class BenchmarkTable:
    """N trained cells as read-only columns; row i of every column is about the same cell.

    `table[cell]` and `table[module_hash]` give a `Record`, `in` tells whether there is one, and
    iteration yields the stored cells in the order of the rows.

    Attributes:
      source: The file, for messages.
      module_hashes: N published hashes.
      trainable_parameters: [N] int64.
      multiply_adds: [N] int64, or None if not recorded.
      accuracies: From (split, epochs), such as ("test", 108), to [N, R] for R runs, in [0, 1].
      training_seconds: From epochs to [N, R].
    """

    source: str
    module_hashes: tuple[str, ...]
    trainable_parameters: np.ndarray
    multiply_adds: np.ndarray | None
    accuracies: dict[tuple[str, int], np.ndarray]
    training_seconds: dict[int, np.ndarray]
    _cell_texts: tuple[tuple[str, str], ...]  # Adjacency and operations as stored.
    _row_of_hash: dict[str, int] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        rows = {module_hash: row for row, module_hash in enumerate(self.module_hashes)}
        object.__setattr__(self, "_row_of_hash", rows)
        columns = [self.trainable_parameters, *self.accuracies.values()]
        columns += self.training_seconds.values()
        if self.multiply_adds is not None:
            columns.append(self.multiply_adds)
        for column in columns:
            column.setflags(write=False)

    @property
    def truth(self) -> np.ndarray:
        """The default target [N]: test accuracy after 108 epochs, averaged over recorded runs."""
        return self.accuracy("test", 108)

    def accuracy(self, split: str, epochs: int) -> np.ndarray:
        """Return the mean accuracy [N] over the recorded runs, in [0, 1].

        Raises:
          ValueError: Nothing is recorded for that split and number of epochs.
        """
        return _recorded(self.accuracies, (split, epochs), self.source).mean(axis=1)

    def row(self, cell: Cell | str) -> int:
        """Return the row of a cell or module hash.

        Raises:
          AbsentCellError: The table has no such cell; this is a KeyError.
        """
        if isinstance(cell, Cell) and cell.matrix is None:
            raise AbsentCellError(f"{cell} is not in {self.source}: {cell.invalid_reason}")
        module_hash = cell.module_hash if isinstance(cell, Cell) else cell
        try:
            return self._row_of_hash[module_hash]
        except KeyError:
            raise AbsentCellError(
                f"{cell} is not among the {len(self)} architectures of {self.source}"
            ) from None

    def rows(self, cells: Iterable[Cell | str]) -> np.ndarray:
        """Return the rows [n] of n cells or hashes, to index columns with.

        Raises:
          AbsentCellError: The table lacks one of them.
        """
        return np.array([self.row(cell) for cell in cells], dtype=np.int64)

    def cell(self, row: int) -> Cell:
        """Return the stored cell of a row."""
        return _parse_cell(*self._cell_texts[row])

    def __getitem__(self, cell: Cell | str) -> Record:
        row = self.row(cell)
        return Record(
            module_hash=self.module_hashes[row],
            cell=self.cell(row),
            trainable_parameters=int(self.trainable_parameters[row]),
            multiply_adds=None if self.multiply_adds is None else int(self.multiply_adds[row]),
            accuracies={key: tuple(runs[row].tolist()) for key, runs in self.accuracies.items()},
            training_seconds={
                epochs: tuple(runs[row].tolist()) for epochs, runs in self.training_seconds.items()
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


def load(path: str | os.PathLike, verify: bool = False) -> BenchmarkTable:
    """Read a benchmark file.

    Args:
      path: A CSV file as described at the top of this module, .csv or .csv.gz.
      verify: Whether to compute each module hash again (some 100 microseconds a row) instead of
        trusting the file.

    Raises:
      ValueError: The file is missing, of another kind or unreadable, lacks a column or any rows; or
        a row is malformed, repeats a hash or, with `verify`, has a wrong one. The message names the
        file and, for a row, the line.
    """
    path = os.fspath(path)
    if not path.endswith((".csv", ".csv.gz")):
        raise ValueError(f"{path} is not a benchmark file: its name must end in .csv or .csv.gz")
    opener = gzip.open if path.endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as file:
            return _read_csv(csv.reader(file), path, verify)
    except FileNotFoundError as error:
        raise ValueError(f"there is no benchmark file at {path}") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _read_csv(reader, path: str, verify: bool) -> BenchmarkTable:
    header = next(reader, [])
    missing = [name for name in _REQUIRED if name not in header]
    if missing:
        raise ValueError(f"{path}:1: the header lacks {', '.join(missing)}")
    numeric = {name: [] for name in header if _is_numeric(name)}
    line_of_hash = {}
    cell_texts = []
    parts_seen = set()
    for values in reader:
        if not values:
            continue
        try:
            if len(values) != len(header):
                raise ValueError(f"{len(values)} values for the {len(header)} columns of line 1")
            fields = dict(zip(header, values, strict=True))
            module_hash, *cell_text = _checked_spec(fields, parts_seen, verify)
            if module_hash in line_of_hash:
                raise ValueError(f"the same module_hash as in line {line_of_hash[module_hash]}")
            for name, column in numeric.items():
                column.append(_parse_number(name, fields[name]))
        except ValueError as error:
            raise ValueError(f"{path}:{reader.line_num}: {error}") from error
        line_of_hash[module_hash] = reader.line_num
        cell_texts.append(tuple(cell_text))
    if not cell_texts:
        raise ValueError(f"{path} holds no architectures, only a header")

    multiply_adds = numeric.get("multiply_adds")
    return BenchmarkTable(
        source=path,
        module_hashes=tuple(line_of_hash),
        trainable_parameters=np.array(numeric["trainable_parameters"], np.int64),
        multiply_adds=None if multiply_adds is None else np.array(multiply_adds, np.int64),
        accuracies={
            (match[1], int(match[2])): np.array(numeric[name])[:, None]
            for name in numeric
            if (match := _ACCURACY.fullmatch(name))
        },
        training_seconds={
            int(match[1]): np.array(numeric[name])[:, None]
            for name in numeric
            if (match := _SECONDS.fullmatch(name))
        },
        _cell_texts=tuple(cell_texts),
    )


def _checked_spec(
    fields: dict[str, str], parts_seen: set[str], verify: bool
) -> tuple[str, str, str]:
    """Return hash, adjacency and operations of a row, or raise a ValueError."""
    # The many rows share few matrices and lists of operations: keep each once. A matrix and a list
    # are right or wrong independently but for their lengths, so each needs to be parsed only once.
    adjacency, operations = map(sys.intern, (fields["adjacency"], fields["operations"]))
    module_hash = fields["module_hash"]
    _check_lengths(adjacency, operations)
    if not re.fullmatch("[0-9a-f]{32}", module_hash):
        raise ValueError(f"module_hash must be 32 hexadecimal digits, got '{module_hash}'")
    if verify or not parts_seen.issuperset((adjacency, operations)):
        cell = _parse_cell(adjacency, operations)
        if not cell.is_valid:
            raise ValueError(cell.invalid_reason)
        if verify and cell.module_hash != module_hash:
            raise ValueError(f"module_hash is {module_hash}, but the cell's is {cell.module_hash}")
        parts_seen.update((adjacency, operations))
    return module_hash, adjacency, operations


def _is_numeric(name: str) -> bool:
    return (
        name in ("trainable_parameters", "multiply_adds")
        or _ACCURACY.fullmatch(name) is not None
        or _SECONDS.fullmatch(name) is not None
    )


def _parse_number(name: str, text: str) -> float | int:
    is_count = name in ("trainable_parameters", "multiply_adds")
    try:
        number = int(text) if is_count else float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, got '{text}'") from None
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be finite and not negative, got {text}")
    if number > 1 and _ACCURACY.fullmatch(name):
        raise ValueError(f"{name} must lie in [0, 1], got {text}")
    return number


def _parse_cell(adjacency: str, operations: str) -> Cell:
    size = _check_lengths(adjacency, operations)
    rows = (adjacency[start : start + size] for start in range(0, size * size, size))
    return Cell.from_text("/".join(rows) + ":" + operations)


def _check_lengths(adjacency: str, operations: str) -> int:
    size = operations.count(",") + 1
    if len(adjacency) != size * size:
        raise ValueError(
            f"adjacency must have {size * size} digits for {size} operations, got {len(adjacency)}"
        )
    return size


def _recorded(columns: dict, key: tuple[str, int], source: str):
    if key not in columns:
        known = ", ".join(f"{split} after {epochs}" for split, epochs in columns)
        raise ValueError(
            f"{source} has no {key[0]} accuracy after {key[1]} epochs; it has those of {known}"
        )
    return columns[key]
