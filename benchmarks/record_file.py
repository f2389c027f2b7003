"""A file in the format of nasbench_full.tfrecord with real cells and invented numbers."""

from __future__ import annotations

import base64
import itertools
import json
import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from nngp_tf.data.nasbench_message import EVALUATION_FIELDS, ModelMetrics
from nngp_tf.search_spaces import nasbench101

BUDGETS = (4, 12, 36, 108)
NUM_REPEATS = 3
_VALIDATION_IMAGES = 9984


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
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for payload in payloads:
            writer.write(payload)


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
    metrics = ModelMetrics(trainable_parameters=parameters, total_time=seconds)
    for part, values in zip((0.0, 0.5, 1.0), accuracies, strict=True):
        numbers = (epochs * part, float(np.float32(seconds * part)), *values)
        metrics.evaluation_data.add(**dict(zip(EVALUATION_FIELDS, numbers, strict=True)))
    return metrics.SerializeToString()
