"""Tables and records as values, on two architectures of three runs."""

import dataclasses

import numpy as np
import pytest

from nngp_tf.data.benchmark_value import BenchmarkTable, Record
from nngp_tf.search_spaces.nasbench101 import Cell
from tests.golden import INCEPTION

pytestmark = pytest.mark.fast

# Hashes and parameter counts: facts, section A2. The other numbers are invented.
INCEPTION_HASH = "28cfc7874f6d200472e1a9dcd8650aa0"
POOL_HASH = "53cee42601ad14d661bb6878031d6acb"
POOL = Cell.from_text("010/001/000:input,maxpool3x3,output")
ABSENT = Cell.from_text("01/00:input,output")


ADJACENCIES = ("".join(str(x) for x in INCEPTION.original_matrix.ravel()), "010001000")
OPERATIONS = (",".join(INCEPTION.original_ops), "input,maxpool3x3,output")


@pytest.fixture
def table():
    return BenchmarkTable(
        source="two",
        module_hashes=(INCEPTION_HASH, POOL_HASH),
        adjacencies=np.array(ADJACENCIES, object),
        operations=np.array(OPERATIONS, object),
        trainable_parameters=np.array([2_694_282, 882_570]),
        multiply_adds=None,
        accuracies={
            ("validation", 4): np.array([[0.5, 0.25, 0.75], [0.0, 0.5, 1.0]]),
            ("test", 108): np.array([[0.75, 0.875, 1.0], [0.25, 0.5, 0.0]], np.float32),
        },
        training_seconds={108: np.array([[1000.0, 1001.0, 1002.0], [600, 601, 602]])},
        halfway_accuracies={("test", 108): np.array([[0.5, 0.5, 0.5], [0.125, 0.25, 0.0]])},
        halfway_seconds={108: np.array([[500.0, 501.0, 502.0], [300, 301, 302]])},
    )


def test_columns_are_read_only(table):
    assert len(table) == 2
    assert table.module_hashes == (INCEPTION_HASH, POOL_HASH)
    for columns in (
        table.accuracies,
        table.training_seconds,
        table.halfway_accuracies,
        table.halfway_seconds,
    ):
        for column in columns.values():
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        table.trainable_parameters[0] = 1


def test_runs_of_one_cell_are_averaged(table):
    np.testing.assert_array_equal(table.truth, [0.875, 0.25])
    np.testing.assert_array_equal(table.accuracy("validation", 4), [0.5, 0.5])
    np.testing.assert_array_equal(table.halfway_accuracy("test", 108), [0.5, 0.125])
    assert table[POOL].accuracy("test", 108) == 0.25
    assert table[POOL].halfway_accuracy("test", 108) == 0.125


def test_means_are_over_the_runs_that_are_there(table):
    nan = float("nan")
    lacking = dataclasses.replace(
        table,
        accuracies={("test", 108): np.array([[0.5, 0.75, nan], [nan, nan, nan]])},
        training_seconds={108: np.array([[10.0, 20.0, nan], [nan, nan, nan]])},
    )
    np.testing.assert_array_equal(lacking.truth, [0.625, nan])
    np.testing.assert_array_equal(lacking.seconds(108), [15.0, nan])
    assert lacking[INCEPTION].accuracies == {("test", 108): (0.5, 0.75)}
    assert lacking[INCEPTION].accuracy("test", 108) == 0.625
    assert lacking[POOL].accuracies == lacking[POOL].training_seconds == {}
    with pytest.raises(ValueError, match="no test accuracy after 108 epochs"):
        lacking[POOL].accuracy("test", 108)


def test_means_of_single_precision_are_taken_in_double():
    values = np.array([[0.1, 0.2, 0.4]], np.float32)
    single = BenchmarkTable(
        source="one",
        module_hashes=(POOL_HASH,),
        adjacencies=np.array(["010001000"], object),
        operations=np.array(["input,maxpool3x3,output"], object),
        trainable_parameters=np.array([882_570]),
        multiply_adds=None,
        accuracies={("test", 108): values},
        training_seconds={},
    )
    assert single.truth.dtype == np.float64
    assert single.truth[0] == values.astype(np.float64).mean() != np.float64(values.mean())
    assert single[POOL].accuracy("test", 108) == single.truth[0]


@pytest.mark.parametrize("key", [POOL, POOL_HASH])
def test_lookup_by_cell_and_by_hash(table, key):
    record = table[key]
    assert record == Record(
        module_hash=POOL_HASH,
        cell=POOL,
        trainable_parameters=882_570,
        multiply_adds=None,
        accuracies={("validation", 4): (0.0, 0.5, 1.0), ("test", 108): (0.25, 0.5, 0.0)},
        training_seconds={108: (600.0, 601.0, 602.0)},
        halfway_accuracies={("test", 108): (0.125, 0.25, 0.0)},
        halfway_seconds={108: (300.0, 301.0, 302.0)},
    )
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
    dangling = Cell.from_text("0110/0001/0000/0000:input,maxpool3x3,conv3x3-bn-relu,output")
    assert table[dangling].cell == POOL


def test_iteration_yields_the_stored_cells(table):
    assert [cell.key for cell in table] == [INCEPTION_HASH, POOL_HASH]
    assert list(table)[1] == POOL


def test_columns_are_indexed_by_rows_of_cells(table):
    np.testing.assert_array_equal(table.truth[table.rows([POOL, INCEPTION_HASH])], [0.25, 0.875])
    assert table.rows([]).shape == (0,)


def test_absent_cells(table):
    disconnected = Cell(np.zeros((2, 2)), ["input", "output"])
    for absent in (ABSENT, ABSENT.key, "no hash"):
        assert absent not in table
        with pytest.raises(KeyError) as caught:
            table[absent]
        assert str(caught.value) == f"{absent} is not among the 2 architectures of two"
    assert disconnected not in table
    assert None not in table
    with pytest.raises(KeyError, match="disconnected"):
        table[disconnected]


def test_unrecorded_accuracies_are_refused(table):
    message = "no test accuracy after 4 epochs; it has those of validation after 4, test after 108"
    with pytest.raises(ValueError, match=message):
        table.accuracy("test", 4)
    with pytest.raises(ValueError, match=message):
        table[POOL].accuracy("test", 4)
    message = "no half-way test accuracy after 4 epochs; it has those of test after 108"
    with pytest.raises(ValueError, match=message):
        table.halfway_accuracy("test", 4)
    with pytest.raises(ValueError, match=message):
        table[POOL].halfway_accuracy("test", 4)
