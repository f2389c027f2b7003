"""Whole files of records: sound, corrupt at random, of other forms, of many records."""

import base64
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngp_tf.data import nasbench_records
from nngp_tf.data.nasbench_message import ModelMetrics
from nngp_tf.data.nasbench_records import Corruption
from nngp_tf.search_spaces import nasbench101
from tests import record_files

pytestmark = pytest.mark.fast

PAYLOADS = record_files.payloads()
FRAMES = [record_files.framed(payload) for payload in PAYLOADS]
WHOLE = b"".join(FRAMES)
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "file.tfrecord"

    def read_content(content, on_corrupt="error"):
        path.write_bytes(content)
        columns, corruption = nasbench_records.read(str(path), on_corrupt)
        return nasbench_records.table(columns, str(path)), corruption

    return read_content


@pytest.fixture(scope="module")
def sound(read):
    table, corruption = read(WHOLE)
    assert corruption == Corruption()
    return table


def test_sound_file(sound):
    assert list(sound) == list(record_files.CELLS)
    for index, cell in enumerate(record_files.CELLS):
        record = sound[cell]
        assert record.module_hash == cell.module_hash
        assert record.trainable_parameters == record_files.parameters_of(index)
        for epochs in record_files.BUDGETS:
            runs = [record_files.values(index, epochs, repeat) for repeat in range(3)]
            halfway, final = zip(*runs, strict=True)
            assert record.halfway_seconds[epochs] == tuple(run[0] for run in halfway)
            assert record.training_seconds[epochs] == tuple(run[0] for run in final)
            for position, split in enumerate(SPLITS, start=1):
                key = (split, epochs)
                assert record.halfway_accuracies[key] == tuple(run[position] for run in halfway)
                assert record.accuracies[key] == tuple(run[position] for run in final)
    assert sound.accuracies["test", 108].dtype == np.float32


def test_the_message_is_that_of_the_benchmark():
    # Made by classes that protobuf generated (facts, section A8).
    golden = bytes.fromhex(
        "0a3009000000000000f03f11000000000000004019000000000000e03f21000000000000d03f29000000000000"
        "c03f32017a10ac02190000000000002240"
    )
    metrics = ModelMetrics(trainable_parameters=300, total_time=9)
    metrics.evaluation_data.add(
        current_epoch=1,
        training_time=2,
        train_accuracy=0.5,
        validation_accuracy=0.25,
        test_accuracy=0.125,
        checkpoint_path="z",
    )
    assert metrics.SerializeToString() == golden
    assert ModelMetrics.FromString(golden) == metrics


def _changed(index, **changes):
    """The file with entries of one payload replaced, checksums right."""
    names = ("module_hash", "epochs", "adjacency", "operations", "metrics")
    entries = dict(zip(names, json.loads(PAYLOADS[index]), strict=True)) | changes
    frame = record_files.framed(json.dumps(list(entries.values())).encode())
    return b"".join([*FRAMES[:index], frame, *FRAMES[index + 1 :]])


def _metrics(evaluations=None, parameters=None):
    halfway, final = record_files.values(1, 4, 1)
    usual = (record_files.START, (2.0, *halfway), (4.0, *final))
    message = record_files.metrics(
        evaluations or usual, parameters or record_files.parameters_of(1)
    )
    return {"metrics": base64.b64encode(message).decode()}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"module_hash": "0" * 32}, "module_hash is 0{32}, but its cell's is [0-9a-f]{32}"),
        ({"module_hash": record_files.CELLS[0].module_hash}, "differs from an earlier one's"),
        ({"module_hash": "XYZ"}, "module_hash must be 32 hexadecimal digits"),
        ({"epochs": 0}, "number of epochs must be positive, got 0"),
        ({"epochs": True}, "no list of hash, epochs"),
        ({"epochs": "4"}, "no list of hash, epochs"),
        ({"metrics": None}, "no list of hash, epochs"),
        ({"metrics": "?"}, "no ModelMetrics in base64"),
        ({"metrics": "AAAA"}, "no ModelMetrics in base64"),
        ({"metrics": ""}, "0 evaluations, expected three"),
        (_metrics([(1.0, 2.0, 0.5, 0.5, 0.5)] * 2), "2 evaluations, expected three"),
        (_metrics([(1.0, 2.0, 0.5, 0.5)] * 3), "lack accuracies, seconds"),
        (_metrics([(1.0, 2.0, 0.5, 0.5, 1.5)] * 3), "test_accuracy of 1.5, outside"),
        (_metrics([(1.0, -2.0, 0.5, 0.5, 0.5)] * 3), "training_time of -2.0, outside"),
        (_metrics([(1.0, float("nan"), 0.5, 0.5, 0.5)] * 3), "training_time of nan, outside"),
        (_metrics(parameters=7), "number of parameters differs from an earlier one's"),
    ],
)
def test_records_that_cannot_be_used(read, sound, changes, reason):
    content = _changed(5, **changes)
    offset = sum(map(len, FRAMES[:5]))
    with pytest.raises(
        ValueError, match=rf"1 corrupt record \(record 5 at byte {offset}: .*{reason}"
    ):
        read(content)
    table, corruption = read(content, "skip")
    assert corruption.num_faults == 1
    key = ("test", 4)
    expected = sound[record_files.CELLS[1]].accuracies[key]
    assert table[record_files.CELLS[1]].accuracies[key] == (expected[0], expected[2])


def test_a_cell_that_is_none_is_told(read):
    with pytest.raises(ValueError, match=r"record 0 at byte 0: .*disconnected"):
        read(_changed(0, adjacency="010000000"))


def test_wrong_checksums_are_passed_over(read, sound):
    frames = list(FRAMES)
    for index in (1, 2, 23):  # One after the other, and the last one.
        frames[index] = frames[index][:100] + b"?" + frames[index][101:]
    content = b"".join(frames)
    offsets = np.cumsum([0, *map(len, frames)]).tolist()
    with pytest.raises(ValueError, match=rf"\(record 1 at byte {offsets[1]}: its checksum"):
        read(content)
    table, corruption = read(content, "skip")
    assert corruption.num_faults == 3
    assert [fault[:2] for fault in corruption.faults] == [(i, offsets[i]) for i in (1, 2, 23)]
    _check_is_part_of(table, sound)
    assert sum(len(table[c].accuracies["test", e]) for c in table for e in (4, 108)) == 21


def test_a_file_of_wrong_checksums_is_given_up(read):
    broken = FRAMES[0][:100] + b"?" + FRAMES[0][101:]
    with pytest.raises(ValueError, match="over 20 records with wrong checksums"):
        read(FRAMES[1] + 21 * broken + FRAMES[2], "skip")


def test_after_a_wrong_length_the_rest_is_lost(read, sound):
    content = bytearray(WHOLE)
    offset = sum(map(len, FRAMES[:20]))
    content[offset + 7] ^= 1
    table, corruption = read(bytes(content), "skip")
    assert corruption.num_faults == 1
    assert corruption.faults[0][:2] == (20, offset)
    assert f"remaining {len(WHOLE) - offset} bytes" in corruption.faults[0].reason
    _check_is_part_of(table, sound)
    assert table.accuracies["test", 108].shape == (4, 2)


def test_files_of_nothing(read):
    for on_corrupt in ("error", "skip"):
        with pytest.raises(ValueError, match="holds no records that can be read"):
            read(b"", on_corrupt)
    with pytest.raises(ValueError, match=r"1 corrupt record \(record 0 at byte 0: its checksum"):
        read(b"no records, " * 20)
    with pytest.raises(ValueError, match="holds no records that can be read"):
        read(b"no records, " * 20, "skip")


def test_numbers_that_single_precision_does_not_hold(read):
    values = (0.1, 0.2, 0.3)
    metrics = _metrics([(1.0, 1e300, *values)] * 3)
    table, _ = read(_changed(5, **metrics))
    record = table[record_files.CELLS[1]]
    assert [record.accuracies[split, 4][1] for split in SPLITS] == list(values)
    assert record.training_seconds[4][1] == 1e300
    assert table.accuracies["test", 108].dtype == np.float32


def test_more_cells_than_fit_at_once(read):
    """Each of another number of parameters, in the order of the file."""
    cells = list(nasbench101.enumerate_cells(0, 1100))
    frames = [
        record_files.framed(
            record_files.payload(
                cell, 108, record_files.metrics([(0.0, row, 0.0, 0.5, 1.0)] * 3, 1000 + row)
            )
        )
        for row, cell in enumerate(cells)
    ]
    table, _ = read(b"".join(frames))
    assert table.module_hashes == tuple(cell.module_hash for cell in cells)
    assert table.trainable_parameters.tolist() == list(range(1000, 2100))
    np.testing.assert_array_equal(table.seconds(108), np.arange(1100.0))


# Bytes changed, then so many cut away from the end.
DAMAGE = st.tuples(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=3),
    st.one_of(st.just(0), st.integers(0, len(WHOLE))),
)


@settings(deadline=None, max_examples=20)
@given(DAMAGE)
def test_damage_is_told_and_numbers_never_change(read, sound, damage):
    changes, torn = damage
    content = bytearray(WHOLE)
    for position, value in changes:
        content[position] = value
    content = bytes(content[: len(content) - torn])
    try:
        table, corruption = read(content, "skip")
    except ValueError as error:
        assert "holds no records that can be read" in str(error)
        return
    assert corruption.num_faults or WHOLE.startswith(content)
    _check_is_part_of(table, sound)


def _check_is_part_of(table, sound):
    """Every number is the sound file's, though runs or architectures may be missing."""
    for cell in table:
        record, expected = table[cell], sound[cell]
        assert record.cell == expected.cell
        assert record.trainable_parameters == expected.trainable_parameters
        for name in (
            "accuracies",
            "training_seconds",
            "halfway_accuracies",
            "halfway_seconds",
        ):
            for key, runs in getattr(record, name).items():
                remaining = iter(getattr(expected, name)[key])
                assert all(run in remaining for run in runs)  # In order, each at most once.


def test_shared_file(shared_data):
    path = str(shared_data / "nasbench101_sample30_only108.tfrecord")
    columns, corruption = nasbench_records.read(path, "error")
    assert dataclasses.asdict(corruption) == {"num_faults": 0, "faults": []}
    table = nasbench_records.table(columns, path)
    assert len(table) == 30
    for cell, module_hash in zip(table, table.module_hashes, strict=True):
        assert cell.is_valid
        assert cell.module_hash == module_hash
    assert set(table.accuracies) == {("train", 108), ("validation", 108), ("test", 108)}
    for columns in (table.accuracies, table.halfway_accuracies):
        for column in columns.values():
            # Of k / 9984 (data/README.md) in single precision.
            assert column.shape == (30, 3)
            assert column.dtype == np.float32
            images = np.round(column * 9984.0)
            np.testing.assert_array_equal(column, (images / 9984).astype(np.float32))
    # The first record of the file, decoded by hand.
    record = table["ff92c322c5d9d3d587d9c146a63d0807"]
    assert record.trainable_parameters == 6_315_018
    assert record.accuracies["test", 108][0] == 0.9231770634651184
    assert record.training_seconds[108][0] == 1396.137939453125
    assert record.halfway_accuracies["validation", 108][0] == 0.7638221383094788
    assert record.halfway_seconds[108][0] == 697.9600219726562
