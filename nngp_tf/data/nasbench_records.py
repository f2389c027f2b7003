"""The official NAS-Bench-101 files, nasbench_full.tfrecord and nasbench_only108.tfrecord.

    for each record of the TFRecord file, checksums verified
        [module_hash, epochs, adjacency, operations, metrics] = JSON
        metrics = ModelMetrics(base64)
        columns[epochs][architecture, run] = seconds and accuracies, half-way and final

A record is used whole and verified or not at all, and none stays in memory as an object.
"""

from __future__ import annotations

import array
import base64
import dataclasses
import json
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tqdm
from google.protobuf import message

from nngp_tf.data.benchmark_value import SPLITS, BenchmarkTable, check_stored
from nngp_tf.data.nasbench_message import ModelMetrics

# Arrays by name, for `table` to make a table of and to be kept in a file.
Columns = dict[str, np.ndarray]

# Half-way and final, of the evaluations before training, half-way and final.
_VALUES = ("training_time", *(f"{split}_accuracy" for split in SPLITS))
_RUNS = "runs_"  # Before the number of epochs in the name of a column.
_BATCH = 512  # Records that TensorFlow hands over at a time.
_BUFFER_BYTES = 2**22
_FRAME_BYTES = 16  # Around the data: its length and two checksums.
_MAX_LENGTH = 2**16  # Of data; a hundred times what a record takes.
_MAX_WRONG_CHECKSUMS = 20  # Each costs a copy of what follows.
_NAMED_FAULTS = 3


class Fault(NamedTuple):
    """A record that cannot be used.

    Attributes:
      record: Its position in the file, counted from 0.
      offset: The byte at which it begins.
      reason: What is wrong with it.
    """

    record: int
    offset: int
    reason: str

    def __str__(self) -> str:
        return f"record {self.record} at byte {self.offset}: {self.reason}"


@dataclasses.dataclass
class Corruption:
    """What could not be used of a file.

    Attributes:
      num_faults: Corrupt records; a rest of the file that cannot be divided counts as one.
      faults: The first ones.
    """

    num_faults: int = 0
    faults: list[Fault] = dataclasses.field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Count one more."""
        self.num_faults += 1
        if len(self.faults) < _NAMED_FAULTS:
            self.faults.append(fault)

    def __str__(self) -> str:
        told = "; ".join(map(str, self.faults)) + "; ..." * (self.num_faults > len(self.faults))
        return f"{self.num_faults} corrupt record{'s' * (self.num_faults != 1)} ({told})"


def read(path: str, on_corrupt: str) -> tuple[Columns, Corruption]:
    """Read a file, with a bar of progress on stderr if it takes longer than a second.

    Args:
      path: The file.
      on_corrupt: "error", or "skip" to pass over corrupt records.

    Raises:
      ValueError: The file cannot be read or holds nothing sound, or, with "error", a record is
        corrupt.
    """
    columns, corruption = _Columns(), Corruption()

    def note(fault: Fault) -> None:
        corruption.add(fault)
        if on_corrupt == "error":
            check(path, corruption, on_corrupt)

    size = os.path.getsize(path)
    name = os.path.basename(path)
    with tqdm.tqdm(total=size, desc=name, unit="B", unit_scale=True, delay=1.0) as bar:
        for record, offset, payload in _records(path, size, note):
            try:
                columns.add(payload)
            except ValueError as error:
                # The error may quote what is no text, or far too much.
                reason = str(error).encode("ascii", "backslashreplace").decode()[:200]
                note(Fault(record, offset, reason))
            if not record % _BATCH:
                bar.update(offset - bar.n)
        bar.update(size - bar.n)
    found = columns.joined()
    if not len(found["module_hashes"]):
        damage = f": {corruption}" if corruption.num_faults else ""
        raise ValueError(f"{path} holds no records that can be read{damage}")
    return found, corruption


def check(path: str, corruption: Corruption, on_corrupt: str) -> None:
    """Refuse a corrupt file.

    Raises:
      ValueError: Records are corrupt and `on_corrupt` is "error".
    """
    if corruption.num_faults and on_corrupt == "error":
        raise ValueError(
            f"{path} has {corruption}; download it again, or pass on_corrupt='skip' to leave "
            "corrupt records out"
        )


def table(columns: Columns, source: str) -> BenchmarkTable:
    """Return the columns of a file as a table.

    Args:
      columns: What `read` returns.
      source: The file, for messages.
    """
    halfway, final = {}, {}
    for name, runs in columns.items():
        if name.startswith(_RUNS):
            epochs = int(name.removeprefix(_RUNS))
            halfway[epochs], final[epochs] = np.split(runs, 2, axis=2)
    digests = columns["module_hashes"]
    return BenchmarkTable(
        source=source,
        module_hashes=tuple(digest.tobytes().hex() for digest in digests),
        adjacencies=columns["adjacencies"].astype(object)[columns["adjacency_ids"]],
        operations=columns["operations"].astype(object)[columns["operation_ids"]],
        trainable_parameters=columns["trainable_parameters"],
        multiply_adds=None,
        accuracies=_accuracies(final),
        training_seconds=_seconds(final),
        halfway_accuracies=_accuracies(halfway),
        halfway_seconds=_seconds(halfway),
    )


def _accuracies(values: dict[int, np.ndarray]) -> dict[tuple[str, int], np.ndarray]:
    return {
        (split, epochs): runs[..., position]
        for position, split in enumerate(SPLITS, start=1)
        for epochs, runs in sorted(values.items())
    }


def _seconds(values: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    return {epochs: runs[..., 0] for epochs, runs in sorted(values.items())}


def _records(path: str, size: int, note) -> Iterator[tuple[int, int, bytes]]:
    """Yield position, byte and data of the records whose checksums are right; note the others."""
    import tensorflow as tf  # Only here: what has been read once is read without it.

    record, offset, batch = 0, 0, _BATCH
    source, first = path, 0  # The file that is read, and the position of its first record.
    num_wrong = 0
    with tempfile.TemporaryDirectory() as aside:
        while True:
            dataset = tf.data.TFRecordDataset(source, buffer_size=_BUFFER_BYTES)
            dataset = dataset.skip(record - first).batch(batch).prefetch(2)
            try:
                for payloads in dataset.as_numpy_iterator():
                    for payload in payloads:
                        yield record, offset, payload
                        record, offset = record + 1, offset + len(payload) + _FRAME_BYTES
                if offset < size:  # TensorFlow takes a file to end where a header is cut off.
                    note(Fault(record, offset, "it is cut off in its first bytes"))
                return
            except tf.errors.DataLossError:
                if batch > 1:  # The sound ones before it in its batch come first.
                    batch = 1
                    continue
            except tf.errors.OpError as error:
                raise ValueError(f"{path} cannot be read: {error.message}") from error
            following = _following(path, offset, size)
            reason = "its checksum is wrong"
            if following is None:
                reason += f" or it is cut off, and so the remaining {size - offset} bytes are lost"
            note(Fault(record, offset, reason))
            if following is None:
                return
            num_wrong += 1
            if num_wrong > _MAX_WRONG_CHECKSUMS:
                raise ValueError(
                    f"{path} has over {_MAX_WRONG_CHECKSUMS} records with wrong checksums: "
                    "download it again"
                )
            # TensorFlow gives up a file at the first error, and begins only at its beginning.
            record, offset, batch = record + 1, following, _BATCH
            source, first = os.path.join(aside, "rest"), record
            with open(path, "rb") as whole, open(source, "wb") as rest:
                whole.seek(offset)
                shutil.copyfileobj(whole, rest, _BUFFER_BYTES)


def _following(path: str, offset: int, size: int) -> int | None:
    """Return where the record after the one at `offset` begins; None if its length is wrong."""

    def end(start):
        file.seek(start)
        header = file.read(8)
        length = struct.unpack("<Q", header)[0] if len(header) == 8 else _MAX_LENGTH
        return start + length + _FRAME_BYTES if length < _MAX_LENGTH else size + 1

    with open(path, "rb") as file:
        following = end(offset)
        # By chance the next eight bytes are no plausible length.
        return following if following == size or end(following) <= size else None


class _Columns:
    """What has been read so far."""

    def __init__(self) -> None:
        self._row_of_hash: dict[bytes, int] = {}
        # Few distinct texts describe all cells: each is kept once.
        self._adjacencies: dict[str, int] = {}
        self._operations: dict[str, int] = {}
        self._cells = array.array("q")  # Positions of both texts and parameters, row after row.
        self._runs: dict[int, _Runs] = {}

    def add(self, payload: bytes) -> None:
        """Take up one run.

        Raises:
          ValueError: The record is not of its form, describes no cell or one of another hash, or
            an earlier one describes the cell of its hash otherwise.
        """
        module_hash, epochs, adjacency, operations, metrics = _entries(payload)
        values, parameters = _values(metrics)
        try:
            digest = bytes.fromhex(module_hash)
        except ValueError:
            digest = b""  # What is wrong is told below.
        row = self._row_of_hash.get(digest)
        if row is None:
            check_stored(module_hash, adjacency, operations)
            row = self._row_of_hash[digest] = len(self._row_of_hash)
            self._cells.extend(
                (
                    self._adjacencies.setdefault(adjacency, len(self._adjacencies)),
                    self._operations.setdefault(operations, len(self._operations)),
                    parameters,
                )
            )
        elif tuple(self._cells[3 * row : 3 * row + 3]) != (
            self._adjacencies.get(adjacency),
            self._operations.get(operations),
            parameters,
        ):
            raise ValueError(
                "its cell or number of parameters differs from an earlier one's of its hash"
            )
        if epochs not in self._runs:
            self._runs[epochs] = _Runs()
        self._runs[epochs].add(row, values)

    def joined(self) -> Columns:
        """Return arrays of what has been added."""
        cells = np.array(self._cells).reshape(-1, 3)
        digests = np.frombuffer(b"".join(self._row_of_hash), np.uint8)
        return {
            "module_hashes": digests.reshape(-1, 16),
            "adjacencies": np.array(list(self._adjacencies), str),
            "adjacency_ids": cells[:, 0].astype(np.int32),
            "operations": np.array(list(self._operations), str),
            "operation_ids": cells[:, 1].astype(np.int32),
            "trainable_parameters": cells[:, 2].copy(),
            **{
                f"{_RUNS}{epochs}": runs.values(len(cells))
                for epochs, runs in sorted(self._runs.items())
            },
        }


class _Runs:
    """The runs of so many epochs: [N, R, 8] in float32 where that is exact, else float64."""

    def __init__(self) -> None:
        self._values = np.full((1024, 1, 2 * len(_VALUES)), np.nan, np.float32)
        self._counts = np.zeros(1024, np.int32)

    def add(self, row: int, values: list[float]) -> None:
        """Add the next run of a row."""
        rows, runs, _ = self._values.shape
        if row >= rows:
            self._grow(0, max(row + 1, rows + rows // 8) - rows)
        run = self._counts[row]
        if run >= runs:
            self._grow(1, 1)
        self._counts[row] += 1
        with np.errstate(over="ignore"):
            self._values[row, run] = values
        if self._values.dtype == np.float32 and self._values[row, run].tolist() != values:
            self._values = self._values.astype(np.float64)
            self._values[row, run] = values

    def values(self, num_rows: int) -> np.ndarray:
        """Return the values [N, R, 8], NaN where a row has fewer runs than others."""
        if num_rows > len(self._values):
            self._grow(0, num_rows - len(self._values))
        return self._values[:num_rows]

    def _grow(self, axis: int, number: int) -> None:
        widths = [(0, number if axis == index else 0) for index in range(3)]
        self._values = np.pad(self._values, widths, constant_values=np.nan)
        if axis == 0:
            self._counts = np.pad(self._counts, widths[0])


def _entries(payload: bytes) -> list[Any]:
    """Return module hash, epochs, adjacency, operations and metrics of a record."""
    try:
        entries = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its data is no JSON ({error})") from error
    if not isinstance(entries, list) or [type(e) for e in entries] != [str, int, str, str, str]:
        raise ValueError("its data is no list of hash, epochs, adjacency, operations and metrics")
    if not 1 <= entries[1] < 2**31:
        raise ValueError(f"its number of epochs must be positive, got {entries[1]}")
    return entries


def _values(encoded: str) -> tuple[list[float], int]:
    """Return seconds and accuracies [8], half-way first, and the trainable parameters."""
    try:
        # Some encoders break lines.
        decoded = base64.b64decode(encoded.replace("\n", ""), validate=True)
        metrics = ModelMetrics.FromString(decoded)
    except (ValueError, message.DecodeError) as error:
        raise ValueError(f"its metrics are no ModelMetrics in base64 ({error})") from error
    if len(metrics.evaluation_data) != 3:
        raise ValueError(
            f"its metrics have {len(metrics.evaluation_data)} evaluations, expected three: before "
            "training, half-way and final"
        )
    evaluations = metrics.evaluation_data[1:]
    if not metrics.HasField("trainable_parameters") or not all(
        evaluation.HasField(name) for evaluation in evaluations for name in _VALUES
    ):
        raise ValueError("its metrics lack accuracies, seconds or trainable parameters")
    values = [getattr(evaluation, name) for evaluation in evaluations for name in _VALUES]
    for name, value in zip(2 * _VALUES, values, strict=True):
        if not 0 <= value <= (sys.float_info.max if name == "training_time" else 1.0):
            raise ValueError(f"its metrics have a {name} of {value}, outside its range")
    if metrics.trainable_parameters < 0:
        raise ValueError(f"its metrics have {metrics.trainable_parameters} trainable parameters")
    return values, metrics.trainable_parameters
