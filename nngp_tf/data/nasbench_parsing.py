"""Payloads of NAS-Bench-101 records, read many at once.

A payload is a JSON list of five in UTF-8:

    ["MODULE_HASH", EPOCHS, "ADJACENCY", "OPERATIONS", "METRICS in base64"]

The authors' files write it with ", " between entries and have metrics of one size. So the hash and
the metrics lie at fixed distances from the ends, where NumPy reads them, and what is in between
occurs again and again. A payload of any other form is read by itself, with the same outcome.
"""

import base64
import json
import re
from typing import NamedTuple

import numpy as np

from nngp_tf.data import nasbench_metrics, stored_cells
from nngp_tf.data.tfrecords import Block, Fault

SPLITS = ("train", "validation", "test")
NUM_VALUES = 8  # Seconds and the accuracies of the three splits, half-way and final.
_NUM_EVALUATIONS = 3
_HASH_END = 34  # After [" and the hash.
_METRICS_START = nasbench_metrics.USUAL_TEXT_BYTES + 2  # Before the metrics and "].
_MIDDLE = re.compile(rb'", ([1-9][0-9]{0,3}), "([01]+)", "([a-z0-9,-]+)", "')
_MAX_EPOCHS = 2**31 - 1
_MAX_REASON = 200


class Runs(NamedTuple):
    """n trainings as columns.

    Attributes:
      records: [n] int64 positions in the file.
      offsets: [n] int64 bytes of the file at which the records begin.
      module_hashes: [n, 16] uint8.
      epochs: [n] int32.
      adjacency_ids: [n] int32, as `stored_cells.CellTexts` numbers them.
      operation_ids: [n] int32.
      trainable_parameters: [n] int64.
      values: [n, 8] float64; half-way seconds, train, validation and test accuracy, then the same
        at the end.
    """

    records: np.ndarray
    offsets: np.ndarray
    module_hashes: np.ndarray
    epochs: np.ndarray
    adjacency_ids: np.ndarray
    operation_ids: np.ndarray
    trainable_parameters: np.ndarray
    values: np.ndarray

    def take(self, rows: np.ndarray) -> "Runs":
        """Return some of the runs, by position or mask."""
        return Runs(*(column[rows] for column in self))


def parse(block: Block, texts: stored_cells.CellTexts) -> tuple[Runs, list[Fault]]:
    """Read the records of a block.

    Args:
      block: With checksums verified.
      texts: Numbers matrices and lists of operations; new ones are added.

    Returns:
      The sound runs in the order of the file, and what is wrong with the others.
    """
    runs = _empty(block)
    payloads = block.data.tobytes()
    is_sound = _parse_usual(block, payloads, texts, runs)
    faults = []
    for row in np.flatnonzero(~is_sound).tolist():
        start = int(block.starts[row])
        try:
            _parse_any(payloads[start : start + int(block.lengths[row])], texts, runs, row)
        except ValueError as error:
            # The error may quote what is no text, or far too much.
            reason = str(error).encode("ascii", "backslashreplace").decode()[:_MAX_REASON]
            faults.append(Fault(int(block.records[row]), int(block.offsets[row]), reason))
        else:
            is_sound[row] = True
    return runs.take(is_sound) if faults else runs, faults


def _empty(block: Block) -> Runs:
    count = len(block.starts)
    return Runs(
        records=block.records,
        offsets=block.offsets,
        module_hashes=np.zeros((count, 16), np.uint8),
        epochs=np.zeros(count, np.int32),
        adjacency_ids=np.zeros(count, np.int32),
        operation_ids=np.zeros(count, np.int32),
        trainable_parameters=np.zeros(count, np.int64),
        values=np.zeros((count, NUM_VALUES)),
    )


def _parse_usual(
    block: Block, payloads: bytes, texts: stored_cells.CellTexts, runs: Runs
) -> np.ndarray:
    """Read the payloads of the usual form into `runs`; return which ones these are, [n] bool."""
    is_usual = block.lengths > _HASH_END + _METRICS_START
    rows = np.flatnonzero(is_usual)
    if not len(rows):
        return is_usual
    starts, ends = block.starts[rows], block.starts[rows] + block.lengths[rows]

    heads = np.lib.stride_tricks.sliding_window_view(block.data, _HASH_END)[starts]
    nibbles = _hexadecimal_digits()[heads[:, 2:]]
    usual = (heads[:, 0] == ord("[")) & (heads[:, 1] == ord('"')) & (nibbles < 16).all(axis=1)
    runs.module_hashes[rows] = nibbles[:, ::2] << 4 | nibbles[:, 1::2]

    windows = np.lib.stride_tricks.sliding_window_view(block.data, _METRICS_START)
    tails = windows[ends - _METRICS_START]
    usual &= (tails[:, -2] == ord('"')) & (tails[:, -1] == ord("]"))
    decoded, evaluations, parameters = nasbench_metrics.decode_usual(tails[:, :-2])
    values = evaluations[:, 1:, 1:].reshape(-1, NUM_VALUES)
    usual &= decoded & _is_plausible(values)
    runs.trainable_parameters[rows] = parameters
    runs.values[rows] = values

    begins, stops = (starts + _HASH_END).tolist(), (ends - _METRICS_START).tolist()
    middles = [payloads[begin:stop] for begin, stop in zip(begins, stops, strict=True)]
    # Runs of one cell share it, so most need no parsing.
    distinct = {middle: position for position, middle in enumerate(dict.fromkeys(middles))}
    parsed = np.array([_parse_middle(middle, texts) for middle in distinct], np.int32)
    parsed = parsed[[distinct[middle] for middle in middles]]
    runs.epochs[rows], runs.adjacency_ids[rows], runs.operation_ids[rows] = parsed.T
    is_usual[rows] = usual & (parsed[:, 0] > 0)
    return is_usual


def _parse_middle(middle: bytes, texts: stored_cells.CellTexts) -> tuple[int, int, int]:
    """Return epochs and the numbers of both texts, zeros where it is not of the usual form."""
    match = _MIDDLE.fullmatch(middle)
    if match is None:
        return 0, 0, 0
    try:
        return int(match[1]), *texts.ids(match[2].decode(), match[3].decode())
    except ValueError:
        return 0, 0, 0  # What is wrong is told where the payload is read by itself.


def _parse_any(payload: bytes, texts: stored_cells.CellTexts, runs: Runs, row: int) -> None:
    """Read one payload into a row, or raise a ValueError that says what is wrong with it."""
    try:
        entries = json.loads(payload.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its data is no JSON ({error})") from error
    if not isinstance(entries, list) or [type(e) for e in entries] != [str, int, str, str, str]:
        raise ValueError("its data is no list of hash, epochs, adjacency, operations and metrics")
    module_hash, epochs, adjacency, operations, encoded = entries
    stored_cells.check_hash(module_hash)
    if not 1 <= epochs <= _MAX_EPOCHS:
        raise ValueError(f"its number of epochs must be positive, got {epochs}")
    values, parameters = _values(encoded)
    runs.adjacency_ids[row], runs.operation_ids[row] = texts.ids(adjacency, operations)
    runs.module_hashes[row] = np.frombuffer(bytes.fromhex(module_hash), np.uint8)
    runs.epochs[row] = epochs
    runs.trainable_parameters[row] = parameters
    runs.values[row] = values


def _values(encoded: str) -> tuple[np.ndarray, int]:
    """Return values [8] and trainable parameters of metrics in base64."""
    try:
        # Some encoders break lines.
        message = base64.b64decode(encoded.replace("\n", ""), validate=True)
    except ValueError as error:
        raise ValueError(f"its metrics are no base64 ({error})") from error
    metrics = nasbench_metrics.parse(message)
    if len(metrics.evaluations) != _NUM_EVALUATIONS:
        raise ValueError(
            f"its metrics have {len(metrics.evaluations)} evaluations, expected three: before "
            "training, half-way and final"
        )
    used = [value for evaluation in metrics.evaluations[1:] for value in evaluation[1:]]
    if None in used or metrics.trainable_parameters is None:
        raise ValueError("its metrics lack accuracies, seconds or trainable parameters")
    values = np.array(used)
    if not _is_plausible(values[None])[0]:
        raise ValueError(
            "its metrics have an accuracy outside [0, 1] or seconds that are negative or not "
            f"finite: {used}"
        )
    if metrics.trainable_parameters < 0:
        raise ValueError(
            f"its metrics have {metrics.trainable_parameters} trainable parameters, a negative "
            "number"
        )
    return values, metrics.trainable_parameters


def _is_plausible(values: np.ndarray) -> np.ndarray:
    """Return which rows [n] of values [n, 8] hold seconds and accuracies."""
    by_evaluation = values.reshape(-1, 2, 1 + len(SPLITS))
    seconds, accuracies = by_evaluation[..., 0], by_evaluation[..., 1:]
    right = np.isfinite(seconds) & (seconds >= 0)
    return right.all(axis=1) & ((accuracies >= 0) & (accuracies <= 1)).all(axis=(1, 2))


def _hexadecimal_digits() -> np.ndarray:
    """Return the value [256] of each character, 255 where it is no digit in lower case."""
    digits = np.full(256, 255, np.uint8)
    digits[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
    return digits
