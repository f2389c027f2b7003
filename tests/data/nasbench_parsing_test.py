"""Payloads of records: the quick way and the general one give the same, and faults are told."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngp_tf.data import nasbench_parsing
from nngp_tf.data.stored_cells import CellTexts
from nngp_tf.data.tfrecords import Block, Fault
from tests import record_files

pytestmark = pytest.mark.fast

USUAL = record_files.run(2, 108, 1)
EVALUATIONS = (
    record_files.START,
    (54.0, 1.5, 0.25, 0.5, 0.75),
    (108.0, 3.0, 0.5, 0.625, 0.875),
)


def _block(*payloads):
    lengths = np.array([len(payload) for payload in payloads], np.int64)
    starts = np.cumsum(lengths) - lengths
    return Block(
        data=np.frombuffer(b"".join(payloads), np.uint8),
        starts=starts,
        lengths=lengths,
        records=10 + np.arange(len(payloads)),
        offsets=1000 + starts,
        faults=[],
        end=0,
    )


def _parse(*payloads):
    return nasbench_parsing.parse(_block(*payloads), CellTexts())


def _edited(position, value):
    entries = json.loads(USUAL)
    entries[position] = value
    return json.dumps(entries).encode()


def _with_metrics(*arguments):
    return record_files.payload(record_files.CELLS[2], 108, record_files.metrics(*arguments))


def test_usual_payloads():
    payloads = record_files.payloads()
    runs, faults = _parse(*payloads)
    assert faults == []
    entries = [json.loads(payload) for payload in payloads]
    assert [row.tobytes().hex() for row in runs.module_hashes] == [each[0] for each in entries]
    assert runs.epochs.tolist() == [each[1] for each in entries]
    expected = [
        np.ravel(record_files.values(cell_index, epochs, repeat))
        for epochs in record_files.BUDGETS
        for repeat in range(record_files.NUM_REPEATS)
        for cell_index in range(len(record_files.CELLS))
    ]
    np.testing.assert_array_equal(runs.values, expected)
    parameters = [record_files.parameters_of(index) for index in range(4)] * 6
    assert runs.trainable_parameters.tolist() == parameters
    assert runs.records.tolist() == list(range(10, 34))


def test_cells_of_the_payloads():
    texts = CellTexts()
    payloads = record_files.payloads()
    runs, _ = nasbench_parsing.parse(_block(*payloads), texts)
    cells = texts.stored(runs.adjacency_ids, runs.operation_ids)
    assert list(cells) == list(record_files.CELLS) * 6


@pytest.mark.parametrize(
    "payload",
    [
        USUAL + b" ",
        USUAL.replace(b", ", b","),
        json.dumps(json.loads(USUAL), indent=1).encode(),
        _edited(4, "\n".join(json.loads(USUAL)[4][k : k + 76] for k in (0, 76, 152)) + "\n"),
        USUAL.replace(b"input", b"\\u0069nput"),
    ],
    ids=["space", "no spaces", "lines", "base64 lines", "escape"],
)
def test_other_forms_mean_the_same(payload):
    assert payload != USUAL
    (expected, none), (runs, faults) = _parse(USUAL), _parse(payload)
    assert none == faults == []
    for column, other in zip(expected, runs, strict=True):
        np.testing.assert_array_equal(column, other)


def test_other_forms_between_usual_ones_keep_their_places():
    other = record_files.payload(
        record_files.CELLS[0], 4, record_files.metrics(EVALUATIONS, 300) + b"\x32\x05aside"
    )
    runs, faults = _parse(USUAL, other, b"[]", USUAL)
    assert runs.records.tolist() == [10, 11, 13]
    assert runs.epochs.tolist() == [108, 4, 108]
    assert runs.trainable_parameters.tolist()[1] == 300
    np.testing.assert_array_equal(runs.values[1], [*EVALUATIONS[1][1:], *EVALUATIONS[2][1:]])
    assert [fault[:2] for fault in faults] == [(12, 1000 + len(USUAL) + len(other))]


NO_LIST = "its data is no list of hash, epochs, adjacency, operations and metrics"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "its data is no JSON (Expecting value"),
        (USUAL[:-1], "its data is no JSON ("),
        (b"\xff" + USUAL[1:], "its data is no JSON ('utf-8' codec"),
        (b"[" * 50_000, "its data is no JSON (maximum recursion depth"),
        (b"{}", NO_LIST),
        (json.dumps(json.loads(USUAL)[:4]).encode(), NO_LIST),
        (_edited(1, "108"), NO_LIST),
        (_edited(1, True), NO_LIST),
        (_edited(1, 108.0), NO_LIST),
        (_edited(1, 0), "its number of epochs must be positive, got 0"),
        (_edited(1, 2**31), "its number of epochs must be positive"),
        (_edited(0, "F" * 32), "module_hash must be 32 hexadecimal digits"),
        (_edited(0, "\ud800"), "module_hash must be 32 hexadecimal digits, got '\\ud800'"),
        (_edited(2, "0" * 60_000), "adjacency must have 16 digits for 4 operations, got 60000"),
        (_edited(2, "0" * 16), "the cell is disconnected"),
        (_edited(3, "input,conv5x5,maxpool3x3,output"), "unknown operation 'conv5x5'"),
        (_edited(3, "input,\ud800,maxpool3x3,output"), "unknown operation '\\ud800'"),
        (_edited(4, "****"), "its metrics are no base64 ("),
        (_edited(4, "AAAAA"), "its metrics are no base64 ("),
        (_edited(4, "é"), "its metrics are no base64 ("),
        (_edited(4, "AA=="), "its metrics have a field of number 0"),
        (_edited(4, "CgU="), "its metrics end within a field"),
        (_with_metrics(EVALUATIONS[:2], 9), "its metrics have 2 evaluations, expected three"),
        (_with_metrics((*EVALUATIONS, EVALUATIONS[2]), 9), "its metrics have 4 evaluations"),
        (_with_metrics((*EVALUATIONS[:2], EVALUATIONS[2][:4]), 9), "its metrics lack accuracies"),
        (_with_metrics((*EVALUATIONS[:2], (1, 1, 1, 1, 1.5)), 10**6), "its metrics have an accura"),
        (_with_metrics((*EVALUATIONS[:2], (1, -1, 1, 1, 1)), 10**6), "its metrics have an accurac"),
        (_with_metrics((*EVALUATIONS[:2], (1, 1, 1, np.nan, 1)), 10**6), "its metrics have an acc"),
        (_with_metrics((*EVALUATIONS[:2], (1, np.inf, 1, 1, 1)), 10**6), "its metrics have an acc"),
        (_with_metrics(EVALUATIONS, 2**64 - 1), "its metrics have -1 trainable parameters"),
    ],
    ids=range(30),
)
def test_faults(payload, reason):
    runs, (fault,) = _parse(USUAL, payload, USUAL)
    assert runs.records.tolist() == [10, 12]
    assert fault == Fault(11, 1000 + len(USUAL), fault.reason)
    assert fault.reason.startswith(reason)
    assert len(fault.reason) <= 200
    assert fault.reason.isascii()


def test_blocks_without_records():
    runs, faults = _parse()
    assert faults == []
    assert [len(column) for column in runs] == [0] * 8


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(USUAL) - 1), st.integers(0, 255)), max_size=3),
    st.integers(0, 2),
)
def test_both_ways_agree_on_changed_payloads(changes, torn):
    payload = bytearray(USUAL)
    for position, value in changes:
        payload[position] = value
    payload = bytes(payload[: len(payload) - torn])
    # A space at the end leaves a payload to the general way.
    (quick, quick_faults), (general, general_faults) = _parse(payload), _parse(payload + b" ")
    for column, other in zip(quick, general, strict=True):
        np.testing.assert_array_equal(column, other)
    assert len(quick_faults) == len(general_faults) == 1 - len(quick.records)
