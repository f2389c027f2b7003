"""Tables from CSV: a small file written here, and the shared one."""

import gzip

import numpy as np
import pytest

from nngp_tf.data import benchmark_csv
from nngp_tf.search_spaces import nasbench101
from nngp_tf.search_spaces.nasbench101 import Cell

pytestmark = pytest.mark.fast

HEADER = (
    "module_hash,adjacency,operations,trainable_parameters,multiply_adds,"
    "validation_accuracy_4,test_accuracy_108,training_seconds_108,remarks"
)
# Hashes and parameter counts: facts, section A2. The accuracies are invented.
INCEPTION_HASH = "28cfc7874f6d200472e1a9dcd8650aa0"
INCEPTION_ROW = (
    f'{INCEPTION_HASH},0111010000000100000010000100000000100000010000000,"input,conv1x1-bn-relu,'
    'conv3x3-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu,maxpool3x3,output",2694282,400,0.5,0.925,'
    "1100.5,a remark"
)
POOL_HASH = "53cee42601ad14d661bb6878031d6acb"
POOL_ROW = f'{POOL_HASH},010001000,"input,maxpool3x3,output",882570,300,0.25,0.75,600,'
POOL = Cell.from_text("010/001/000:input,maxpool3x3,output")


def _write(path, *rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def _read(path):
    return benchmark_csv.read(str(path))


@pytest.fixture
def table(tmp_path):
    return _read(_write(tmp_path / "two.csv", INCEPTION_ROW, POOL_ROW))


def test_columns(table):
    assert len(table) == 2
    assert table.module_hashes == (INCEPTION_HASH, POOL_HASH)
    np.testing.assert_array_equal(table.trainable_parameters, [2_694_282, 882_570])
    np.testing.assert_array_equal(table.multiply_adds, [400, 300])
    assert set(table.accuracies) == {("validation", 4), ("test", 108)}
    np.testing.assert_array_equal(table.accuracies["validation", 4], [[0.5], [0.25]])
    np.testing.assert_array_equal(table.accuracy("validation", 4), [0.5, 0.25])
    np.testing.assert_array_equal(table.truth, [0.925, 0.75])
    np.testing.assert_array_equal(table.training_seconds[108], [[1100.5], [600]])
    with pytest.raises(ValueError, match="read-only"):
        table.accuracies["test", 108][0] = 1
    with pytest.raises(ValueError, match="read-only"):
        table.trainable_parameters[0] = 1


def test_compressed_file_equals_the_plain_one(tmp_path, table):
    path = tmp_path / "two.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("\n".join([HEADER, INCEPTION_ROW, "", POOL_ROW]))
    compressed = _read(path)
    assert compressed.module_hashes == table.module_hashes
    np.testing.assert_array_equal(compressed.truth, table.truth)


def test_optional_columns_may_be_absent(tmp_path):
    header = "module_hash,adjacency,operations,trainable_parameters,test_accuracy_108"
    row = f'{POOL_HASH},010001000,"input,maxpool3x3,output",882570,0.75'
    table = _read(_write(tmp_path / "few.csv", row, header=header))
    assert table.multiply_adds is None
    assert table.training_seconds == {}
    assert table[POOL].accuracies == {("test", 108): (0.75,)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0123", ":3: module_hash must be 32 hexadecimal digits, got '0123'"),
        (POOL_ROW + ",more", " cannot be read as CSV: Expected 9 fields in line 3, saw 10"),
        (POOL_ROW.rpartition(",600")[0], ":3: training_seconds_108 must be .* got ''"),
        (POOL_ROW + '"open', " cannot be read as CSV: .* inside string"),
        (POOL_ROW.replace(POOL_HASH, "XYZ"), ":3: module_hash must be 32 hexadecimal digits"),
        (POOL_ROW.replace("010001000", "01000100"), ":3: adjacency must have 9 digits .* got 8"),
        (POOL_ROW.replace("010001000", "010002000"), ":3: .* is not a matrix"),
        (POOL_ROW.replace("010001000", "010100000"), ":3: .* below the diagonal"),
        (POOL_ROW.replace("010001000", "010000000"), ":3: the cell is disconnected"),
        (POOL_ROW.replace("maxpool3x3", "maxpool5x5"), ":3: unknown operation 'maxpool5x5'"),
        (POOL_ROW.replace("882570", "many"), ":3: trainable_parameters must be .* number .*'many'"),
        (POOL_ROW.replace("882570", "1e30"), ":3: trainable_parameters must be a whole number"),
        (POOL_ROW.replace("882570", "True"), ":3: trainable_parameters must be a whole number"),
        (POOL_ROW.replace("882570", "1_000"), ":3: trainable_parameters must be a whole number"),
        (POOL_ROW.replace("882570", "0x10"), ":3: trainable_parameters must be a whole number"),
        (POOL_ROW.replace("882570", "8.5"), ":3: trainable_parameters must be a whole number"),
        (POOL_ROW.replace("882570", "-1"), ":3: trainable_parameters must be .* at least 0"),
        (POOL_ROW.replace("0.75", "75"), r":3: test_accuracy_108 must be .*\[0, 1\], got '75'"),
        (POOL_ROW.replace("0.75", "nan"), ":3: test_accuracy_108 must be a number"),
        (POOL_ROW.replace("0.75", ""), ":3: test_accuracy_108 must be a number .*got ''"),
        (POOL_ROW.replace("600", "inf"), ":3: training_seconds_108 must be a finite number"),
        (INCEPTION_ROW, ":3: the same module_hash as in line 2"),
    ],
)
def test_malformed_rows_name_file_and_line(tmp_path, row, message):
    path = _write(tmp_path / "bad.csv", INCEPTION_ROW, row)
    with pytest.raises(ValueError, match="bad.csv" + message):
        _read(path)


def test_lines_are_those_of_the_file(tmp_path):
    remark = INCEPTION_ROW.replace("a remark", '"two\nlines"')
    path = _write(tmp_path / "bad.csv", "", remark, "", POOL_ROW.replace("0.75", "75"))
    with pytest.raises(ValueError, match=r"bad\.csv:6: test_accuracy_108"):
        _read(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER.replace(",", ";"), ":1: .*: separate columns by commas"),
        (HEADER.replace("remarks", "test_accuracy_108"), ":1: .*test_accuracy_108 twice"),
        (HEADER.replace("operations", "ops"), ":1: the header lacks operations"),
    ],
)
def test_headers_that_are_refused(tmp_path, header, message):
    with pytest.raises(ValueError, match="bad.csv" + message):
        _read(_write(tmp_path / "bad.csv", POOL_ROW, header=header))


def test_numbers_as_spreadsheets_write_them(tmp_path):
    row = POOL_ROW.replace("882570", "882570.0").replace("0.75", " 7.5E-1")
    table = _read(_write(tmp_path / "sheet.csv", row, header=HEADER.replace(",", ", ")))
    assert table.trainable_parameters.tolist() == [882_570]
    assert table.truth.tolist() == [0.75]


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"there is no file .*none\.csv"):
        _read(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"no\.csv:1: the header lacks adjacency, operations"):
        _read(
            _write(tmp_path / "no.csv", header="module_hash,trainable_parameters,test_accuracy_108")
        )
    with pytest.raises(ValueError, match=r"empty\.csv holds no architectures"):
        _read(_write(tmp_path / "empty.csv"))
    (tmp_path / "nothing.csv").write_text("")
    with pytest.raises(ValueError, match=r"nothing\.csv is empty"):
        _read(tmp_path / "nothing.csv")
    whole = gzip.compress((HEADER + "\n" + POOL_ROW).encode())
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.csv\.gz cannot be read"):
        _read(tmp_path / "cut.csv.gz")
    scrambled = bytearray(whole)
    scrambled[15:40] = bytes(25)
    (tmp_path / "scrambled.csv.gz").write_bytes(scrambled)
    with pytest.raises(ValueError, match=r"scrambled\.csv\.gz cannot be read"):
        _read(tmp_path / "scrambled.csv.gz")


def test_shared_file(shared_data):
    table = _read(shared_data / "nasbench101_20k.csv.gz")
    assert len(table) == 20_001
    # The columns that data/README.md lists.
    assert set(table.accuracies) == {
        *(("validation", epochs) for epochs in (4, 12, 36, 108)),
        ("test", 108),
    }
    assert table.multiply_adds is not None
    # Accuracies are k / 9984 (data/README.md), rounded to eight decimals in the file.
    images = table.truth * 9984
    np.testing.assert_allclose(images, np.round(images), atol=1e-4)
    rows = np.random.default_rng(0).choice(len(table), size=500, replace=False)
    for row in rows.tolist():
        cell = table.cell(row)
        assert cell.is_valid
        assert cell.module_hash == table.module_hashes[row]
    record = table[table.module_hashes[0]]
    # First line of the file.
    assert record.trainable_parameters == 8_555_530
    assert record.accuracy("test", 108) == 0.92117387
    # 20,001 of 423,624 cells: 12 of 250 of the notebook expected, 15 counted.
    held = [cell for cell in nasbench101.notebook_cells() if cell in table]
    assert len(held) == 15
    assert all(table[cell].cell.key == cell.key for cell in held)
