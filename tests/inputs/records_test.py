"""Record files of the benchmark that lack records, or hold one of another cell."""

import json

import numpy as np
import pytest

from nngp_tf.analysis.table_signals import table_source
from nngp_tf.data import benchmark_table
from tests import record_files
from tests.record_files import CELLS, framed

pytestmark = pytest.mark.fast

PAYLOADS = record_files.payloads()


@pytest.fixture
def write(tmp_path):
    def written(payloads):
        path = tmp_path / "file.tfrecord"
        path.write_bytes(b"".join(map(framed, payloads)))
        return path

    return written


def _test_accuracies(cell, epochs, repeats):
    return [record_files.values(cell, epochs, repeat)[1][3] for repeat in repeats]


def test_uneven_repeats_are_counted(write, caplog):
    """The last two records are the third ones of cells 2 and 3 after 108 epochs."""
    path = write(PAYLOADS[:-2])
    with pytest.raises(ValueError, match="has 2 records of 108 epochs where others have 3"):
        benchmark_table.load(path)
    for _ in range(2):  # The second time from the cache.
        caplog.clear()
        table = benchmark_table.load(path, on_corrupt="skip")
        assert (
            "of 4 architectures 2 have 2 records of 108 epochs where others have 3" in caplog.text
        )
        expected = [_test_accuracies(cell, 108, range(3 if cell < 2 else 2)) for cell in range(4)]
        np.testing.assert_array_equal(table.truth, [np.mean(runs) for runs in expected])
        assert [list(table[c].accuracies["test", 108]) for c in CELLS] == expected
        assert [len(table[c].accuracies["test", 4]) for c in CELLS] == [3] * 4
    with pytest.raises(ValueError, match="is incomplete"):
        benchmark_table.load(path)


def test_a_cell_without_any_record_of_so_many_epochs(write, caplog):
    """Cell 3 has none of 108 epochs."""
    path = write([payload for i, payload in enumerate(PAYLOADS) if i < 12 or i % 4 != 3])
    table = benchmark_table.load(path, on_corrupt="skip")
    assert "1 have 0 records of 108 epochs" in caplog.text
    assert len(table) == 4
    assert np.isnan(table.truth).tolist() == [False, False, False, True]
    assert table[CELLS[3]].accuracy("test", 4) == np.mean(_test_accuracies(3, 4, range(3)))
    source = table_source(table, "bench")
    for signal in source.signals:
        assert np.isfinite(signal.values[:3]).all()


def test_a_cell_with_more_records_than_others(write, caplog):
    path = write([*PAYLOADS, record_files.run(0, 108, 0)])
    table = benchmark_table.load(path, on_corrupt="skip")
    assert "of 4 architectures 3 have 3 records of 108 epochs where others have 4" in caplog.text
    assert table[CELLS[0]].accuracy("test", 108) == np.mean(_test_accuracies(0, 108, [0, 1, 2, 0]))


@pytest.mark.parametrize("left", [1, 8, 11])
def test_a_file_that_ends_in_the_first_bytes_of_a_record(write, caplog, left):
    """All records of the last cell are there, and TensorFlow takes the rest for the end."""
    path = write(PAYLOADS)
    start = path.stat().st_size
    path.write_bytes(path.read_bytes() + framed(PAYLOADS[0])[:left])
    with pytest.raises(ValueError, match=rf"record {len(PAYLOADS)} at byte {start}: it is cut off"):
        benchmark_table.load(path)
    assert len(benchmark_table.load(path, on_corrupt="skip")) == len(CELLS)
    assert f"record {len(PAYLOADS)} at byte {start}" in caplog.text


def _with_hash(index, module_hash):
    entries = json.loads(PAYLOADS[index])
    return json.dumps([module_hash, *entries[1:]]).encode()


@pytest.mark.parametrize("module_hash", ["0" * 32, CELLS[1].module_hash])
@pytest.mark.parametrize("index", [0, 8])
def test_a_hash_of_another_cell(write, module_hash, index):
    """Of cell 0, whose first record comes first, after 4 epochs."""
    payloads = list(PAYLOADS)
    payloads[index] = _with_hash(index, module_hash)
    path = write(payloads)
    with pytest.raises(ValueError, match=rf"record {index} at byte .*hash"):
        benchmark_table.load(path)
    table = benchmark_table.load(path, on_corrupt="skip")
    repeats = [repeat for repeat in range(3) if repeat * 4 != index]
    assert list(table[CELLS[0]].accuracies["test", 4]) == _test_accuracies(0, 4, repeats)
    assert list(table[CELLS[1]].accuracies["test", 4]) == _test_accuracies(1, 4, range(3))
    assert len(table) == 4


def test_hashes_of_other_cells_throughout(write):
    """Each cell under the hash of the next: what a shifted column would make."""
    hashes = [cell.module_hash for cell in CELLS]
    following = dict(zip(hashes, np.roll(hashes, -1).tolist(), strict=True))
    payloads = [
        _with_hash(index, following[json.loads(payload)[0]])
        for index, payload in enumerate(PAYLOADS)
    ]
    with pytest.raises(ValueError, match="record 0 at byte 0: module_hash is"):
        benchmark_table.load(write(payloads))
    with pytest.raises(ValueError, match="holds no records that can be read: 24 corrupt"):
        benchmark_table.load(write(payloads), on_corrupt="skip")


def test_the_hash_of_a_row_of_csv(tmp_path):
    header = "module_hash,adjacency,operations,trainable_parameters,test_accuracy_108\n"
    row = ',010001000,"input,maxpool3x3,output",882570,0.75\n'
    (tmp_path / "a.csv").write_text(header + CELLS[1].module_hash + row)
    with pytest.raises(ValueError, match=rf"a\.csv:2: .*cell's is {CELLS[0].module_hash}"):
        benchmark_table.load(tmp_path / "a.csv")
