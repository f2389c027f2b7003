"""The benchmark table from CSV: a small file written here, and the shared one."""

import gzip

import numpy as np
import pytest

from nngp_tf.data import benchmark_table
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
ABSENT = Cell.from_text("01/00:input,output")


def _write(path, *rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def table(tmp_path):
    return benchmark_table.load(_write(tmp_path / "two.csv", INCEPTION_ROW, POOL_ROW))


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


@pytest.mark.parametrize("key", [POOL, POOL_HASH])
def test_lookup_by_cell_and_by_hash(table, key):
    record = table[key]
    assert record == benchmark_table.Record(
        module_hash=POOL_HASH,
        cell=POOL,
        trainable_parameters=882_570,
        multiply_adds=300,
        accuracies={("validation", 4): (0.25,), ("test", 108): (0.75,)},
        training_seconds={108: (600.0,)},
    )
    assert record.accuracy("test", 108) == 0.75
    assert key in table
    assert table.row(key) == 1
    with pytest.raises(AttributeError):
        record.module_hash = "another"


def test_an_isomorphic_cell_finds_the_stored_one(table):
    stored = table.cell(0)
    order = [0, 2, 1, 3, 4, 5, 6]  # Swaps two parallel branches.
    isomorphic = Cell(stored.matrix[np.ix_(order, order)], [stored.ops[v] for v in order])
    assert isomorphic != stored
    assert isomorphic in table
    assert table[isomorphic].cell == stored
    # So does one with a dangling vertex.
    assert Cell.from_text("0110/0000/0001/0000:input,conv3x3-bn-relu,maxpool3x3,output") in table


def test_iteration_yields_the_stored_cells(table):
    assert [cell.key for cell in table] == [INCEPTION_HASH, POOL_HASH]
    assert list(table)[1] == POOL


def test_columns_are_indexed_by_rows_of_cells(table):
    np.testing.assert_array_equal(table.truth[table.rows([POOL, INCEPTION_HASH])], [0.75, 0.925])
    assert table.rows([]).shape == (0,)


def test_absent_cells(table):
    disconnected = Cell(np.zeros((2, 2)), ["input", "output"])
    for absent in (ABSENT, ABSENT.key, "no hash"):
        assert absent not in table
        with pytest.raises(KeyError) as caught:
            table[absent]
        assert str(caught.value).startswith(f"{absent} is not among the 2 architectures of ")
        assert str(caught.value).endswith("two.csv")
    assert disconnected not in table
    with pytest.raises(KeyError, match="disconnected"):
        table[disconnected]


def test_unrecorded_accuracies_are_refused(table):
    message = "no test accuracy after 4 epochs; it has those of validation after 4, test after 108"
    with pytest.raises(ValueError, match=message):
        table.accuracy("test", 4)
    with pytest.raises(ValueError, match=message):
        table[POOL].accuracy("test", 4)


def test_runs_of_one_cell_are_averaged():
    # As the official file has them: three runs for each number of epochs.
    table = benchmark_table.BenchmarkTable(
        source="three runs",
        module_hashes=(POOL_HASH,),
        trainable_parameters=np.array([882_570]),
        multiply_adds=None,
        accuracies={("test", 108): np.array([[0.75, 0.5, 1.0]])},
        training_seconds={},
        _cell_texts=(("010001000", "input,maxpool3x3,output"),),
    )
    np.testing.assert_array_equal(table.truth, [0.75])
    assert table[POOL].accuracies == {("test", 108): (0.75, 0.5, 1.0)}
    assert table[POOL].accuracy("test", 108) == 0.75
    assert table[POOL].multiply_adds is None


def test_compressed_file_equals_the_plain_one(tmp_path, table):
    path = tmp_path / "two.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("\n".join([HEADER, INCEPTION_ROW, "", POOL_ROW]))
    compressed = benchmark_table.load(path)
    assert compressed.module_hashes == table.module_hashes
    np.testing.assert_array_equal(compressed.truth, table.truth)


def test_optional_columns_may_be_absent(tmp_path):
    header = "module_hash,adjacency,operations,trainable_parameters,test_accuracy_108"
    row = f'{POOL_HASH},010001000,"input,maxpool3x3,output",882570,0.75'
    table = benchmark_table.load(_write(tmp_path / "few.csv", row, header=header), verify=True)
    assert table.multiply_adds is None
    assert table.training_seconds == {}
    assert table[POOL].accuracies == {("test", 108): (0.75,)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0123", ":3: 1 values for the 9 columns of line 1"),
        (POOL_ROW + ",more", ":3: 10 values for the 9 columns"),
        (POOL_ROW.replace(POOL_HASH, "XYZ"), ":3: module_hash must be 32 hexadecimal digits"),
        (POOL_ROW.replace("010001000", "01000100"), ":3: adjacency must have 9 digits .* got 8"),
        (POOL_ROW.replace("010001000", "010002000"), ":3: .* is not a matrix"),
        (POOL_ROW.replace("010001000", "010100000"), ":3: .* below the diagonal"),
        (POOL_ROW.replace("010001000", "010000000"), ":3: the cell is disconnected"),
        (POOL_ROW.replace("maxpool3x3", "maxpool5x5"), ":3: unknown operation 'maxpool5x5'"),
        (POOL_ROW.replace("882570", "many"), ":3: trainable_parameters must be a number, got"),
        (POOL_ROW.replace("882570", "-1"), ":3: trainable_parameters must be .* not negative"),
        (POOL_ROW.replace("0.75", "75"), r":3: test_accuracy_108 must lie in \[0, 1\], got 75"),
        (POOL_ROW.replace("0.75", "nan"), ":3: test_accuracy_108 must be finite"),
        (POOL_ROW.replace("0.75", ""), ":3: test_accuracy_108 must be a number, got ''"),
        (POOL_ROW.replace("600", "inf"), ":3: training_seconds_108 must be finite"),
        (INCEPTION_ROW, ":3: the same module_hash as in line 2"),
    ],
)
def test_malformed_rows_name_file_and_line(tmp_path, row, message):
    path = _write(tmp_path / "bad.csv", INCEPTION_ROW, row)
    with pytest.raises(ValueError, match="bad.csv" + message):
        benchmark_table.load(path)


def test_wrong_hashes_are_found_on_request(tmp_path):
    path = _write(tmp_path / "bad.csv", INCEPTION_ROW, POOL_ROW.replace(POOL_HASH, "0" * 32))
    assert len(benchmark_table.load(path)) == 2
    with pytest.raises(ValueError, match=f"bad.csv:3: module_hash is 0{{32}}, .* {POOL_HASH}"):
        benchmark_table.load(path, verify=True)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"there is no benchmark file at .*none\.csv"):
        benchmark_table.load(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"must end in \.csv or \.csv\.gz"):
        benchmark_table.load(tmp_path / "table.parquet")
    with pytest.raises(ValueError, match=r"no\.csv:1: the header lacks adjacency, operations"):
        benchmark_table.load(
            _write(tmp_path / "no.csv", header="module_hash,trainable_parameters,test_accuracy_108")
        )
    with pytest.raises(ValueError, match=r"empty\.csv holds no architectures"):
        benchmark_table.load(_write(tmp_path / "empty.csv"))
    (tmp_path / "nothing.csv").write_text("")
    with pytest.raises(ValueError, match=r"nothing\.csv:1: the header lacks module_hash"):
        benchmark_table.load(tmp_path / "nothing.csv")
    (tmp_path / "plain.csv.gz").write_text(HEADER)
    with pytest.raises(ValueError, match=r"plain\.csv\.gz cannot be read: Not a gzipped file"):
        benchmark_table.load(tmp_path / "plain.csv.gz")
    whole = gzip.compress((HEADER + "\n" + POOL_ROW).encode())
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.csv\.gz cannot be read"):
        benchmark_table.load(tmp_path / "cut.csv.gz")
    scrambled = bytearray(whole)
    scrambled[15:40] = bytes(25)
    (tmp_path / "scrambled.csv.gz").write_bytes(scrambled)
    with pytest.raises(ValueError, match=r"scrambled\.csv\.gz cannot be read"):
        benchmark_table.load(tmp_path / "scrambled.csv.gz")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.csv cannot be read"):
        benchmark_table.load(tmp_path / "binary.csv")


def test_shared_file(shared_data):
    table = benchmark_table.load(shared_data / "nasbench101_20k.csv.gz")
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


def test_cells_of_the_notebook_that_the_shared_file_holds(shared_data):
    table = benchmark_table.load(shared_data / "nasbench101_20k.csv.gz")
    held = [cell for cell in nasbench101.notebook_cells() if cell in table]
    # 20,001 of 423,624 cells: 12 of 250 expected, 15 counted.
    assert len(held) == 15
    assert all(table[cell].cell.key == cell.key for cell in held)
