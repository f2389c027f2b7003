"""Whole files of records: sound, corrupt at random, and the published digests."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nngp_tf.data import nasbench_records
from nngp_tf.data.nasbench_records import Corruption
from nngp_tf.data.tfrecords import Fault
from tests import record_files

pytestmark = pytest.mark.fast

FRAMES = [record_files.framed(payload) for payload in record_files.payloads()]
WHOLE = b"".join(FRAMES)
NUM_CELLS = len(record_files.CELLS)
# Cut off after a run of every cell, a file is as good as one that was never longer.
CUTS = {b"".join(FRAMES[:count]) for count in range(NUM_CELLS, len(FRAMES) + 1, NUM_CELLS)}


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "file.tfrecord"

    def written(content):
        path.write_bytes(content)
        return str(path)

    return written


@pytest.fixture(scope="module")
def sound(write):
    table, corruption = nasbench_records.read(write(WHOLE), "error")
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
            for position, split in enumerate(("train", "validation", "test"), start=1):
                key = (split, epochs)
                assert record.halfway_accuracies[key] == tuple(run[position] for run in halfway)
                assert record.accuracies[key] == tuple(run[position] for run in final)
    assert sound.accuracies["test", 108].dtype == np.float32


def test_a_record_without_its_repeats_is_named(write):
    path = write(WHOLE[: -len(FRAMES[-1])])
    problem = f"{record_files.CELLS[3].module_hash} has 2 records of 108 epochs where others have 3"
    for on_corrupt in nasbench_records.ON_CORRUPT:
        with pytest.raises(ValueError, match=f"file.tfrecord is incomplete: .*{problem}"):
            nasbench_records.read(path, on_corrupt)


def _without_evaluation():
    entries = json.loads(record_files.payloads()[5])
    entries[4] = "AAAA"
    return record_files.framed(json.dumps(entries).encode())


def test_corrupt_records_are_counted_and_named(write, sound):
    frames = list(FRAMES)
    frames[1] = frames[1][:100] + b"?" + frames[1][101:]
    frames[5] = _without_evaluation()
    path = write(b"".join(frames)[:-7])
    offsets = np.cumsum([0, *map(len, frames)]).tolist()
    faults = (
        Fault(1, offsets[1], "the checksum of its data is wrong"),
        Fault(5, offsets[5], "its metrics have a field of number 0"),
        Fault(23, offsets[23], "the file ends within it"),
    )
    with pytest.raises(ValueError) as caught:
        nasbench_records.read(path, "error")
    assert str(caught.value) == (
        f"{path} has 3 corrupt records (record 1 at byte {offsets[1]}: {faults[0].reason}; record "
        f"5 at byte {offsets[5]}: {faults[1].reason}; record 23 at byte {offsets[23]}: "
        f"{faults[2].reason}); download it again, or pass on_corrupt='skip' to leave out the "
        "architectures concerned"
    )
    # Records 1, 5 and 9 are of one cell, 23 of another one.
    table, corruption = nasbench_records.read(path, "skip")
    assert corruption == Corruption(3, faults, num_left_out=2)
    assert [table[cell] for cell in table] == [sound[record_files.CELLS[k]] for k in (0, 2)]


def test_of_many_faults_the_first_are_named(write):
    frames = [frame[:-1] + bytes([frame[-1] ^ 1]) for frame in FRAMES[:20]]
    path = write(b"".join(frames + FRAMES[20:]))
    with pytest.raises(
        ValueError, match=r"has 20 corrupt records \(record 0 at .*wrong; \.\.\.\);"
    ):
        nasbench_records.read(path, "error")
    _, corruption = nasbench_records.read(path, "skip")
    assert corruption.num_faults == 20
    assert [fault.record for fault in corruption.faults] == list(range(10))


def test_files_of_nothing(write, tmp_path):
    for on_corrupt in nasbench_records.ON_CORRUPT:
        with pytest.raises(ValueError, match="holds no records that can be read"):
            nasbench_records.read(write(b""), on_corrupt)
    with pytest.raises(ValueError, match=r"1 corrupt record \(record 0 at byte 0: the checksum of"):
        nasbench_records.read(write(b"no records, " * 20), "error")
    with pytest.raises(ValueError, match="holds no records that can be read"):
        nasbench_records.read(write(b"no records, " * 20), "skip")
    with pytest.raises(ValueError, match=r"there is no benchmark file at .*none"):
        nasbench_records.read(str(tmp_path / "none"), "error")
    with pytest.raises(ValueError, match=r"cannot be read: .*Is a directory"):
        nasbench_records.read(str(tmp_path), "error")


# Bytes changed, then so many cut away from the end, then so many put in at a place.
DAMAGE = st.tuples(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4),
    st.one_of(st.just(0), st.integers(0, len(WHOLE))),
    st.tuples(st.integers(0, len(WHOLE)), st.binary(max_size=20)),
)


@settings(deadline=None)
@given(DAMAGE)
@example(([], 0, (0, b"")))
@example(([], 5, (0, b"")))
@example(([], sum(map(len, FRAMES[NUM_CELLS:])), (0, b"")))
@example(([], 0, (len(FRAMES[0]), FRAMES[0])))
def test_damage_is_told_and_numbers_never_change(write, sound, damage):
    changes, torn, (place, inserted) = damage
    content = bytearray(WHOLE)
    for position, value in changes:
        content[position] = value
    content = bytes(content[: len(content) - torn])
    content = content[:place] + inserted + content[place:]
    path = write(content)
    try:
        table, _ = nasbench_records.read(path, "error")
    except ValueError as error:
        assert str(error).startswith(path)
        assert content not in CUTS
    else:
        _check_is_part_of(table, sound)
        assert content in CUTS
    try:
        table, corruption = nasbench_records.read(path, "skip")
    except ValueError as error:
        assert str(error).startswith(path)
        return
    assert (corruption.num_faults > 0) == (content not in CUTS)
    assert len(table) + corruption.num_left_out <= NUM_CELLS
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


def test_sha256(tmp_path, write):
    with pytest.raises(
        ValueError, match=r"no SHA-256 is published for a file named file\.tfrecord"
    ):
        nasbench_records.check_sha256(write(WHOLE))
    path = tmp_path / "nasbench_only108.tfrecord"
    with pytest.raises(ValueError, match="there is no benchmark file at"):
        nasbench_records.check_sha256(str(path))
    path.write_bytes(b"abc")
    # The digests of "abc" (FIPS 180-2, section B.1) and of the published file (facts, section A8).
    problem = (
        "is not the published file: its SHA-256 is "
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, expected "
        "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1; download it again"
    )
    with pytest.raises(ValueError, match=problem):
        nasbench_records.check_sha256(str(path))


def test_shared_file(shared_data):
    path = str(shared_data / "nasbench101_sample30_only108.tfrecord")
    table, corruption = nasbench_records.read(path, "error")
    assert corruption == Corruption()
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
