"""Trained accuracies of NAS-Bench-101 cells from a CSV file, one run for each number of epochs.

The file (.csv or .csv.gz) has a header line and one line for each cell, with the columns

    module_hash            the published hash
    adjacency              the stored matrix, V * V digits 0 or 1, row after row
    operations             V names, comma separated (hence quoted)
    trainable_parameters   a whole number
    multiply_adds          a whole number, optional
    SPLIT_accuracy_EPOCHS  in [0, 1], after a whole training of so many epochs; SPLIT is train,
                           validation or test; test_accuracy_108 is needed, others are optional
    training_seconds_EPOCHS    optional

Other columns are ignored. Encodings and line ends: `text_files`.
"""

import io
import re

import numpy as np
import pandas as pd

from nngp_tf.data import text_files
from nngp_tf.data.benchmark_value import BenchmarkTable, check_stored

_REQUIRED = (
    "module_hash",
    "adjacency",
    "operations",
    "trainable_parameters",
    "test_accuracy_108",
)
_COUNTS = ("trainable_parameters", "multiply_adds")
_ACCURACY = re.compile(r"(train|validation|test)_accuracy_(\d+)")
_SECONDS = re.compile(r"training_seconds_(\d+)")


class _RowError(ValueError):
    """A row that cannot be used.

    Attributes:
      line: Where it begins in the file.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def read(path: str) -> BenchmarkTable:
    """Read a file, some 200 microseconds a row, most of it for the hashes.

    Args:
      path: The file.

    Raises:
      ValueError: The file is missing or unreadable, or lacks a column or any rows; or a row is
        malformed, repeats a hash or has one that is not its cell's. The message names the file and,
        for a row, the line.
    """
    frame = _frame(path)
    try:
        _check_cells(frame)
        numbers = {name: _numbers(frame[name]) for name in frame if _is_numeric(name)}
    except _RowError as error:
        raise ValueError(f"{path}:{error.line}: {error}") from error
    return BenchmarkTable(
        source=path,
        module_hashes=tuple(frame["module_hash"]),
        adjacencies=frame["adjacency"].to_numpy(object),
        operations=frame["operations"].to_numpy(object),
        trainable_parameters=numbers["trainable_parameters"],
        multiply_adds=numbers.get("multiply_adds"),
        accuracies={
            (match[1], int(match[2])): column[:, None]
            for name, column in numbers.items()
            if (match := _ACCURACY.fullmatch(name))
        },
        training_seconds={
            int(match[1]): column[:, None]
            for name, column in numbers.items()
            if (match := _SECONDS.fullmatch(name))
        },
    )


def _frame(path: str) -> pd.DataFrame:
    """Return the rows as texts, by the names of the header, labelled by their lines."""
    text = text_files.read(path)
    start = len(text) - len(text.lstrip("\n"))
    text = text[start:]
    if not text:
        raise ValueError(f"{path} is empty, expected a header line and rows")
    where = f"{path}:{start + 1}"
    if "," not in text.partition("\n")[0]:
        raise ValueError(f"{where}: the header has a single column: separate columns by commas")
    try:
        # The header as a row like others: pandas would take a longer one after it for an index.
        frame = pd.read_csv(
            io.StringIO(text), header=None, dtype=str, na_filter=False, skip_blank_lines=False
        )
    except pd.errors.ParserError as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise ValueError(f"{path} cannot be read as CSV: {reason}") from error
    header = [name.strip() for name in frame.iloc[0]]
    if missing := [name for name in _REQUIRED if name not in header]:
        raise ValueError(f"{where}: the header lacks {', '.join(missing)}")
    used = [name in _REQUIRED or _is_numeric(name) for name in header]
    for name in np.array(header)[used]:
        if header.count(name) > 1:
            raise ValueError(f"{where}: the header has {name} twice: remove one")
    # Quoted values may hold line ends.
    ends = frame.apply(lambda column: column.str.count("\n")).sum(axis=1) + 1
    frame.index = start + 1 + ends.cumsum() - ends
    frame.columns = header
    rows = frame.iloc[1:]
    blank = rows.apply(lambda column: column.str.strip() == "").all(axis=1)
    rows = rows[~blank]
    if not len(rows):
        raise ValueError(f"{path} holds no architectures, only a header")
    return rows.loc[:, used]


def _check_cells(frame: pd.DataFrame) -> None:
    line_of_hash = {}
    columns = (frame.index, frame["module_hash"], frame["adjacency"], frame["operations"])
    for line, module_hash, adjacency, operations in zip(*columns, strict=True):
        try:
            check_stored(module_hash, adjacency, operations)
        except ValueError as error:
            raise _RowError(line, str(error)) from error
        if (first := line_of_hash.setdefault(module_hash, line)) != line:
            raise _RowError(line, f"the same module_hash as in line {first}")


def _numbers(column: pd.Series) -> np.ndarray:
    """Return a column as int64 or float64."""
    name, is_count = column.name, column.name in _COUNTS
    numbers = pd.to_numeric(column, errors="coerce")
    right = np.isfinite(numbers) & (numbers >= 0)
    if is_count:
        expected = "a whole number of at least 0"
        right &= (numbers % 1 == 0) & (numbers < 2**53)
    elif _ACCURACY.fullmatch(name):
        expected = "a number in [0, 1]"
        right &= numbers <= 1
    else:
        expected = "a finite number of at least 0"
    if not right.all():
        line = right.idxmin()
        raise _RowError(line, f"{name} must be {expected}, got {column[line]!r}")
    # Through Python's own conversion, which rounds to the nearest.
    return column.to_numpy(object).astype(np.float64).astype(np.int64 if is_count else np.float64)


def _is_numeric(name: str) -> bool:
    return (
        name in _COUNTS
        or _ACCURACY.fullmatch(name) is not None
        or _SECONDS.fullmatch(name) is not None
    )
