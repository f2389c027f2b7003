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

Other columns are ignored.
"""

import csv
import gzip
import math
import re
import zlib

import numpy as np

from nngp_tf.data import stored_cells
from nngp_tf.data.benchmark_value import BenchmarkTable

SUFFIXES = (".csv", ".csv.gz")
_REQUIRED = (
    "module_hash",
    "adjacency",
    "operations",
    "trainable_parameters",
    "test_accuracy_108",
)
_ACCURACY = re.compile(r"(train|validation|test)_accuracy_(\d+)")
_SECONDS = re.compile(r"training_seconds_(\d+)")


def read(path: str, verify: bool) -> BenchmarkTable:
    """Read a file.

    Args:
      path: The file, .csv or .csv.gz.
      verify: Whether to compute each module hash again instead of trusting the file.

    Raises:
      ValueError: The file is missing or unreadable, or lacks a column or any rows; or a row is
        malformed, repeats a hash or, with `verify`, has a wrong one. The message names the file
        and, for a row, the line.
    """
    opener = gzip.open if path.endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as file:
            return _read(csv.reader(file), path, verify)
    except FileNotFoundError as error:
        raise ValueError(f"there is no benchmark file at {path}") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _read(reader, path: str, verify: bool) -> BenchmarkTable:
    header = next(reader, [])
    missing = [name for name in _REQUIRED if name not in header]
    if missing:
        raise ValueError(f"{path}:1: the header lacks {', '.join(missing)}")
    numeric = {name: [] for name in header if _is_numeric(name)}
    line_of_hash = {}
    texts = stored_cells.CellTexts()
    ids = []
    for values in reader:
        if not values:
            continue
        try:
            if len(values) != len(header):
                raise ValueError(f"{len(values)} values for the {len(header)} columns of line 1")
            fields = dict(zip(header, values, strict=True))
            module_hash = fields["module_hash"]
            stored_cells.check_hash(module_hash)
            ids.append(texts.ids(fields["adjacency"], fields["operations"]))
            if verify:
                _check_hash_of_cell(fields)
            if module_hash in line_of_hash:
                raise ValueError(f"the same module_hash as in line {line_of_hash[module_hash]}")
            for name, column in numeric.items():
                column.append(_parse_number(name, fields[name]))
        except ValueError as error:
            raise ValueError(f"{path}:{reader.line_num}: {error}") from error
        line_of_hash[module_hash] = reader.line_num
    if not ids:
        raise ValueError(f"{path} holds no architectures, only a header")

    multiply_adds = numeric.get("multiply_adds")
    return BenchmarkTable(
        source=path,
        module_hashes=stored_cells.ModuleHashes.from_texts(tuple(line_of_hash)),
        cells=texts.stored(*np.array(ids, np.int32).T),
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
    )


def _check_hash_of_cell(fields: dict[str, str]) -> None:
    cell = stored_cells.parse_cell(fields["adjacency"], fields["operations"])
    if cell.module_hash != fields["module_hash"]:
        raise ValueError(
            f"module_hash is {fields['module_hash']}, but the cell's is {cell.module_hash}"
        )


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
