"""The wire format of a record's metrics, one message and many."""

import base64
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngp_tf.data import nasbench_metrics
from nngp_tf.data.nasbench_metrics import Evaluation, Metrics
from tests import record_files

pytestmark = pytest.mark.fast

# Made by google.protobuf: facts, section A8.
GOLDEN = bytes.fromhex(
    "0a3009000000000000f03f11000000000000004019000000000000e03f21000000000000d03f29000000000000c03f"
    "32017a10ac02190000000000002240"
)
EVALUATIONS = ((0.0, 0.0, 0.1, 0.2, 0.3), (54.0, 697.5, 0.5, 0.25, 0.75), (108, 1396, 1, 0.5, 0.9))


def _texts(*messages):
    return np.frombuffer(b"".join(map(base64.b64encode, messages)), np.uint8).reshape(-1, 208)


def test_golden_message():
    evaluation = Evaluation(1.0, 2.0, 0.5, 0.25, 0.125)
    assert nasbench_metrics.parse(GOLDEN) == Metrics((evaluation,), 300, 9.0)


def test_absent_unknown_and_repeated_fields():
    assert nasbench_metrics.parse(b"") == Metrics((), None, None)
    assert nasbench_metrics.parse(b"\x0a\x00").evaluations == (Evaluation(*[None] * 5),)
    # Number 9 as a varint, four bytes and text, between known fields; then a second number of
    # parameters, of which the last counts, here minus one.
    unknown = b"\x48\x96\x01" + b"\x4d\x00\x00\x80\x3f" + b"\x4a\x02hi"
    minus_one = b"\x10" + b"\xff" * 9 + b"\x01"
    message = GOLDEN[:50] + unknown + GOLDEN[50:] + minus_one
    assert nasbench_metrics.parse(message) == nasbench_metrics.parse(GOLDEN)._replace(
        trainable_parameters=-1
    )


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (GOLDEN[:-1], "end within a field"),
        (GOLDEN[:30], "end within a field"),
        (GOLDEN[:51], "end within a number"),
        (b"\x10" + b"\xff" * 11, "end within a number, or have one of over ten bytes"),
        (b"\x0b", "unknown wire type 3"),
        (b"\x02\x00", "field of number 0"),
        (b"\x08\x01", "evaluation_data in its metrics has wire type 0, expected 2"),
        (b"\x15" + bytes(4), "trainable_parameters in its metrics has wire type 5, expected 0"),
        (b"\x18\x01", "total_time in its metrics has wire type 0, expected 1"),
        (b"\x0a\x02\x18\x01", "train_accuracy in its metrics has wire type 0, expected 1"),
    ],
)
def test_malformed_messages(message, problem):
    with pytest.raises(ValueError, match=problem):
        nasbench_metrics.parse(message)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(message):
    try:
        parsed = nasbench_metrics.parse(GOLDEN + message)
    except ValueError:
        return
    assert parsed.evaluations[0] == nasbench_metrics.parse(GOLDEN).evaluations[0]


@pytest.mark.parametrize("parameters", [2**14, 2**21 - 1, 2**21, 2**28 - 1, 6_315_018])
def test_usual_messages(parameters):
    message = record_files.metrics(EVALUATIONS, parameters)
    is_usual, evaluations, found = nasbench_metrics.decode_usual(_texts(message, message))
    assert is_usual.tolist() == [True, True]
    np.testing.assert_array_equal(evaluations, [EVALUATIONS, EVALUATIONS])
    assert found.tolist() == [parameters, parameters]
    assert nasbench_metrics.parse(message) == Metrics(
        tuple(Evaluation(*map(float, values)) for values in EVALUATIONS), parameters, 1.0
    )


def test_other_messages_of_the_usual_size():
    usual = record_files.metrics(EVALUATIONS, 6_315_018)
    total_time_first = usual[-9:] + usual[:-9]
    short_number = record_files.metrics(EVALUATIONS, 300) + b"\x30\x01"
    texts = _texts(total_time_first, usual, short_number)
    is_usual, evaluations, _ = nasbench_metrics.decode_usual(texts)
    assert is_usual.tolist() == [False, True, False]
    np.testing.assert_array_equal(evaluations[1], EVALUATIONS)


@settings(deadline=None)
@given(st.integers(0, 154), st.integers(1, 255))
def test_a_changed_byte_changes_the_numbers_or_the_layout(position, change):
    """Both ways to read a message agree on it."""
    message = bytearray(record_files.metrics(EVALUATIONS, 6_315_018))
    message[position] ^= change
    is_usual, evaluations, parameters = nasbench_metrics.decode_usual(_texts(bytes(message)))
    if not is_usual[0]:
        return
    parsed = nasbench_metrics.parse(bytes(message))
    assert parsed.trainable_parameters == parameters[0]
    for values, expected in zip(evaluations[0].tolist(), parsed.evaluations, strict=True):
        for value, other in zip(values, expected, strict=True):
            assert value == other or (math.isnan(value) and math.isnan(other))


@pytest.mark.parametrize("position", [0, 100, 205, 206, 207])
@pytest.mark.parametrize("character", b"=*\n\xff")
def test_text_that_is_no_base64(position, character):
    text = _texts(record_files.metrics(EVALUATIONS, 6_315_018)).copy()
    assert text[0, -1] == ord("=")
    text[0, position] = character
    is_usual, *_ = nasbench_metrics.decode_usual(text)
    assert is_usual[0] == (position == 207 and character == ord("="))


def test_doubles_keep_every_bit():
    values = struct.unpack("<5d", np.random.default_rng(0).bytes(40))
    message = record_files.metrics([values] * 3, 6_315_018)
    _, evaluations, _ = nasbench_metrics.decode_usual(_texts(message))
    assert evaluations.tobytes() == struct.pack("<5d", *values) * 3
