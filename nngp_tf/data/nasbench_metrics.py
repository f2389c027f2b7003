"""The metrics of a NAS-Bench-101 record: `ModelMetrics` in the wire format of protocol buffers.

    ModelMetrics      1 repeated EvaluationData   2 int32 trainable_parameters   3 double total_time
    EvaluationData    1 current_epoch   2 training_time   3 train_accuracy   4 validation_accuracy
                      5 test_accuracy, all double   6 string checkpoint_path

A field is a tag (number * 8 + wire type, a varint) and a value: a varint (type 0), 8 bytes (1), a
length and so many bytes (2) or 4 bytes (5).

The records that the benchmark's authors wrote have three evaluations of five doubles each: before
training, half-way and final. Hence all of them have the same layout but for the one varint, and
`decode_usual` reads many at once; `parse` reads any message.
"""

import struct
from typing import NamedTuple

import numpy as np

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10

# The usual layout, base64-encoded and decoded.
USUAL_TEXT_BYTES = 208
_EVALUATION_BYTES = 47
_EVALUATIONS = 3
_TAGS = {0: 0x0A, 1: 0x2D, 2: 0x09, 11: 0x11, 20: 0x19, 29: 0x21, 38: 0x29}
_PARAMETERS = _EVALUATIONS * _EVALUATION_BYTES
_PAD = ord("=")


class Evaluation(NamedTuple):
    """One `EvaluationData`; None where a field is absent."""

    current_epoch: float | None
    training_time: float | None
    train_accuracy: float | None
    validation_accuracy: float | None
    test_accuracy: float | None


class Metrics(NamedTuple):
    """One `ModelMetrics`; None where a field is absent."""

    evaluations: tuple[Evaluation, ...]
    trainable_parameters: int | None
    total_time: float | None


def parse(message: bytes) -> Metrics:
    """Read a message of any layout; unknown fields are passed over.

    Raises:
      ValueError: The bytes are no such message.
    """
    evaluations = []
    parameters, total_time = None, None
    for number, wire_type, value in _fields(message):
        if number == 1:
            _expect(wire_type, _BYTES, "evaluation_data")
            evaluations.append(_evaluation(value))
        elif number == 2:
            _expect(wire_type, _VARINT, "trainable_parameters")
            parameters = value - 2**64 if value >= 2**63 else value
        elif number == 3:
            _expect(wire_type, _DOUBLE, "total_time")
            total_time = value
    return Metrics(tuple(evaluations), parameters, total_time)


def decode_usual(text: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode many messages in base64 that have the usual layout.

    Args:
      text: [n, 208] uint8, the encoded messages.

    Returns:
      [n] bool, whether a message has the usual layout, what follows being meaningless elsewhere;
      evaluations [n, 3, 5] float64 in the order of `Evaluation`; trainable parameters [n] int64.
    """
    digits = _base64_digits()[text]
    # Padding is judged with the length of the message, below.
    usual = (digits[:, :-2] < 64).all(axis=1)
    quads = (digits & 63).reshape(len(text), USUAL_TEXT_BYTES // 4, 4)
    message = np.empty((len(text), USUAL_TEXT_BYTES // 4, 3), np.uint8)
    message[..., 0] = quads[..., 0] << 2 | quads[..., 1] >> 4
    message[..., 1] = quads[..., 1] << 4 | quads[..., 2] >> 2
    message[..., 2] = quads[..., 2] << 6 | quads[..., 3]
    message = message.reshape(len(text), -1)

    evaluations = message[:, :_PARAMETERS].reshape(len(text), _EVALUATIONS, _EVALUATION_BYTES)
    for position, tag in _TAGS.items():
        usual &= (evaluations[:, :, position] == tag).all(axis=1)
    doubles = np.ascontiguousarray(evaluations[:, :, 2:]).reshape(len(text), _EVALUATIONS, 5, 9)
    doubles = np.ascontiguousarray(doubles[..., 1:]).view("<f8")[..., 0]

    # The varint has three bytes or four, so the message 154 or 155 and one or two signs of padding.
    varint = message[:, _PARAMETERS + 1 : _PARAMETERS + 5].astype(np.int64)
    is_short = varint[:, 2] < 128
    total_time_tag = np.where(is_short, message[:, _PARAMETERS + 4], message[:, _PARAMETERS + 5])
    usual &= (message[:, _PARAMETERS] == 0x10) & (total_time_tag == 0x19)
    usual &= (varint[:, 0] > 127) & (varint[:, 1] > 127) & (is_short | (varint[:, 3] < 128))
    usual &= (text[:, -1] == _PAD) & np.where(is_short, text[:, -2] == _PAD, digits[:, -2] < 64)
    parameters = varint[:, 0] & 127 | (varint[:, 1] & 127) << 7 | (varint[:, 2] & 127) << 14
    parameters |= np.where(is_short, 0, varint[:, 3] << 21)
    return usual, doubles, parameters


def _base64_digits() -> np.ndarray:
    """Return the value [256] of each character, 255 where it is no digit."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    digits = np.full(256, 255, np.uint8)
    digits[np.frombuffer(alphabet, np.uint8)] = np.arange(64)
    return digits


def _evaluation(message: bytes) -> Evaluation:
    values = [None] * 5
    for number, wire_type, value in _fields(message):
        if 1 <= number <= 5:
            _expect(wire_type, _DOUBLE, Evaluation._fields[number - 1])
            values[number - 1] = value
    return Evaluation(*values)


def _fields(message: bytes):
    """Yield number, wire type and value of each field."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if not number:
            raise ValueError("its metrics have a field of number 0")
        if wire_type == _VARINT:
            value, position = _varint(message, position)
        elif wire_type == _BYTES:
            length, position = _varint(message, position)
            value, position = _take(message, position, length)
        elif wire_type in (_DOUBLE, _FLOAT):
            value, position = _take(message, position, 8 if wire_type == _DOUBLE else 4)
            (value,) = struct.unpack("<d" if wire_type == _DOUBLE else "<f", value)
        else:
            raise ValueError(f"its metrics have a field of the unknown wire type {wire_type}")
        yield number, wire_type, value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Return a varint and the position after it."""
    value = 0
    for index, byte in enumerate(message[position : position + _MAX_VARINT_BYTES]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value & 2**64 - 1, position + index + 1
    raise ValueError("its metrics end within a number, or have one of over ten bytes")


def _take(message: bytes, position: int, length: int) -> tuple[bytes, int]:
    """Return so many bytes and the position after them."""
    if length > len(message) - position:
        raise ValueError("its metrics end within a field")
    return message[position : position + length], position + length


def _expect(wire_type: int, expected: int, name: str) -> None:
    if wire_type != expected:
        raise ValueError(f"{name} in its metrics has wire type {wire_type}, expected {expected}")
