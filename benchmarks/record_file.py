"""A file in the format of nasbench_full.tfrecord with real cells and invented numbers."""

from __future__ import annotations

import base64
import itertools
import json
import os
import struct
from collections.abc import Iterator

import numpy as np

from nngp_tf.data import crc32c
from nngp_tf.search_spaces import nasbench101

BUDGETS = (4, 12, 36, 108)
NUM_REPEATS = 3
_VALIDATION_IMAGES = 9984
_BLOCK = 10_000
_EVALUATION = struct.Struct("<BB" + "Bd" * 5)
_TOTAL_TIME = struct.Struct("<Bd")


def write(path: str | os.PathLike[str], num_records: int, seed: int = 0) -> None:
    """Write records of the first cells of the space, three for each number of epochs.

    Hashes, framing and checksums are right, accuracies whole numbers of images in single precision
    as in the official file. The last cell may have fewer records than the others.

    Args:
      path: The file.
      num_records: At most 12 times the 423,624 cells.
      seed: Of the numbers.
    """
    payloads = itertools.islice(_payloads(np.random.default_rng(seed)), num_records)
    with open(path, "wb") as file:
        while block := list(itertools.islice(payloads, _BLOCK)):
            file.write(_framed(block))


def _payloads(rng: np.random.Generator) -> Iterator[bytes]:
    for cell in nasbench101.enumerate_cells():
        rows = cell.original_matrix.tolist()
        adjacency = "".join(str(digit) for row in rows for digit in row)
        parameters = int(rng.integers(200_000, 50_000_000))
        for epochs in BUDGETS:
            for _ in range(NUM_REPEATS):
                metrics = base64.b64encode(_metrics(rng, epochs, parameters)).decode()
                entries = [
                    cell.module_hash,
                    epochs,
                    adjacency,
                    ",".join(cell.original_ops),
                    metrics,
                ]
                yield json.dumps(entries).encode()


def _metrics(rng: np.random.Generator, epochs: int, parameters: int) -> bytes:
    accuracies = rng.integers(_VALIDATION_IMAGES // 10, _VALIDATION_IMAGES, size=(3, 3))
    accuracies = (accuracies / _VALIDATION_IMAGES).astype(np.float32).tolist()
    seconds = float(np.float32(rng.uniform(5, 50) * epochs))
    message = b""
    for part, values in zip((0.0, 0.5, 1.0), accuracies, strict=True):
        numbers = (epochs * part, float(np.float32(seconds * part)), *values)
        tagged = itertools.chain.from_iterable(zip((9, 17, 25, 33, 41), numbers, strict=True))
        message += _EVALUATION.pack(0x0A, 45, *tagged)
    return message + b"\x10" + _varint(parameters) + _TOTAL_TIME.pack(0x19, seconds)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def _framed(payloads: list[bytes]) -> bytes:
    lengths = np.array([len(payload) for payload in payloads])
    headers = lengths.astype("<u8").view(np.uint8)
    of_lengths = _checksums(headers, np.full(len(payloads), 8))
    of_data = _checksums(np.frombuffer(b"".join(payloads), np.uint8), lengths)
    frames = zip(headers.reshape(-1, 8), of_lengths, payloads, of_data, strict=True)
    return b"".join(
        part if isinstance(part, bytes) else part.tobytes() for f in frames for part in f
    )


def _checksums(data: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the stored checksums of consecutive slices."""
    starts = np.cumsum(lengths) - lengths
    return crc32c.mask(crc32c.checksums(data, starts, lengths)).astype("<u4")
