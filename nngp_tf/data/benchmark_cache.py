"""The table of a big benchmark file as a file of columns, which loads in a moment.

    a line of JSON     format, source, corruption, texts, and name, type and shape of each column
    columns            C order, little endian, each beginning at a multiple of 64 bytes
    SHA-256            of everything before

It holds for a source of the same size and time of modification. It is written aside and renamed, so
it is there whole or not at all; one that is stale, damaged or of another version counts as absent.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
from typing import Any, BinaryIO

import numpy as np
from absl import logging

from nngp_tf.data.benchmark_value import BenchmarkTable
from nngp_tf.data.nasbench_records import Corruption
from nngp_tf.data.stored_cells import ModuleHashes, StoredCells
from nngp_tf.data.tfrecords import Fault

SUFFIX = ".columns"
_FORMAT = "nngp_tf benchmark columns 1"
_ALIGNMENT = 64
_DIGEST_BYTES = 32
_OF_RUNS = ("accuracies", "training_seconds", "halfway_accuracies", "halfway_seconds")


@dataclasses.dataclass(frozen=True)
class Source:
    """The state of a file, to tell whether it has changed since.

    Attributes:
      size: Bytes.
      modified: Nanoseconds since the epoch.
    """

    size: int
    modified: int

    @classmethod
    def of(cls, path: str) -> "Source":
        """Ask for the state of a file.

        Raises:
          ValueError: There is none.
        """
        try:
            status = os.stat(path)
        except OSError as error:
            raise ValueError(f"there is no benchmark file at {path}") from error
        return cls(status.st_size, status.st_mtime_ns)


def path_for(path: str, cache_dir: str | None) -> str:
    """Return where the columns of a benchmark file are: beside it, or in a directory of caches."""
    name = os.path.basename(path) + SUFFIX
    return os.path.join(os.path.dirname(path) if cache_dir is None else cache_dir, name)


def load(path: str, source: Source, source_path: str) -> tuple[BenchmarkTable, Corruption] | None:
    """Read the columns of a source, None where they are absent.

    Why a file that is there does not serve is logged.

    Args:
      path: The file of columns.
      source: The state of the source now.
      source_path: The source, for messages of the table.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        logging.warning("%s cannot be read (%s): reading %s anew", path, error, source_path)
        return None
    body = memoryview(content)[:-_DIGEST_BYTES]
    if hashlib.sha256(body).digest() != content[-_DIGEST_BYTES:]:
        logging.warning("%s is damaged: reading %s anew", path, source_path)
        return None
    # From here on the content is what was written.
    line, _, _ = content.partition(b"\n")
    header = json.loads(line)
    if header["format"] != _FORMAT:
        logging.info("%s is of another version: reading %s anew", path, source_path)
        return None
    if header["source"] != dataclasses.asdict(source):
        logging.info("%s has changed since %s was made: reading it anew", source_path, path)
        return None
    return _table(header, body, len(line) + 1, source_path), _corruption(header["corruption"])


def save(path: str, source: Source, table: BenchmarkTable, corruption: Corruption) -> None:
    """Write the columns of a table, whole or not at all; that they cannot be written is logged.

    Args:
      path: The file of columns; its directory is made if it is not there.
      source: The state of the source when it was read.
      table: What was read.
      corruption: What could not be used of the source.
    """
    columns = _columns(table)
    header = {
        "format": _FORMAT,
        "source": dataclasses.asdict(source),
        "corruption": dataclasses.asdict(corruption),
        "adjacencies": table.cells.adjacencies,
        "operations": table.cells.operations,
        "columns": [[name, column.dtype.str, column.shape] for name, column in columns],
    }
    aside = f"{path}.{os.getpid()}.partial"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(aside, "wb") as file:
            _write(file, header, [column for _, column in columns])
        os.replace(aside, path)
    except OSError as error:
        logging.warning(
            "%s cannot be written (%s), so that %s will be read anew each time: name a cache_dir",
            path,
            error,
            table.source,
        )
    finally:
        with contextlib.suppress(OSError):
            os.remove(aside)


def _write(file: BinaryIO, header: dict[str, Any], columns: list[np.ndarray]) -> None:
    digest = hashlib.sha256()
    line = np.frombuffer(json.dumps(header).encode() + b"\n", np.uint8)
    for part in (line, *columns):
        for piece in (np.ascontiguousarray(part), bytes(-part.nbytes % _ALIGNMENT)):
            digest.update(piece)
            file.write(piece)
    file.write(digest.digest())


def _columns(table: BenchmarkTable) -> list[tuple[str, np.ndarray]]:
    """Return name and values of every column, those of runs as ATTRIBUTE/SPLIT/EPOCHS."""
    columns = [
        ("module_hashes", table.module_hashes.digests),
        ("adjacency_ids", table.cells.adjacency_ids),
        ("operation_ids", table.cells.operation_ids),
        ("trainable_parameters", table.trainable_parameters),
    ]
    if table.multiply_adds is not None:
        columns.append(("multiply_adds", table.multiply_adds))
    for attribute in _OF_RUNS:
        for key, column in getattr(table, attribute).items():
            parts = key if isinstance(key, tuple) else (key,)
            columns.append(("/".join(map(str, (attribute, *parts))), column))
    return [
        (name, column.astype(column.dtype.newbyteorder("<"), copy=False))
        for name, column in columns
    ]


def _table(
    header: dict[str, Any], content: memoryview, position: int, source_path: str
) -> BenchmarkTable:
    """Return a table whose columns are views of the content; they begin after `position`."""
    columns = {}
    of_runs = {attribute: {} for attribute in _OF_RUNS}
    for name, dtype, shape in header["columns"]:
        position += -position % _ALIGNMENT
        column = np.frombuffer(content, dtype, math.prod(shape), position).reshape(shape)
        position += column.nbytes
        attribute, *key = name.split("/")
        if attribute in of_runs:
            *split, epochs = key
            of_runs[attribute][(*split, int(epochs)) if split else int(epochs)] = column
        else:
            columns[name] = column
    return BenchmarkTable(
        source=source_path,
        module_hashes=ModuleHashes(columns["module_hashes"]),
        cells=StoredCells(
            tuple(header["adjacencies"]),
            tuple(header["operations"]),
            columns["adjacency_ids"],
            columns["operation_ids"],
        ),
        trainable_parameters=columns["trainable_parameters"],
        multiply_adds=columns.get("multiply_adds"),
        **of_runs,
    )


def _corruption(header: dict[str, Any]) -> Corruption:
    faults = tuple(Fault(*fault) for fault in header["faults"])
    return Corruption(header["num_faults"], faults, header["num_left_out"])
