"""Gathering runs: order, repeats, precision, and what does not fit together."""

import numpy as np
import pytest

from nngp_tf.data.nasbench_columns import RunColumns
from nngp_tf.data.nasbench_parsing import Runs
from nngp_tf.data.stored_cells import CellTexts
from nngp_tf.data.tfrecords import Fault

pytestmark = pytest.mark.fast

SPECS = (("010001000", "input,maxpool3x3,output"), ("0100", "input,output"))


def _texts():
    texts = CellTexts()
    for spec in SPECS:
        texts.ids(*spec)
    return texts


def _runs(*rows, value=0.5, first=0):
    """Runs of (cell, epochs, seconds); the hash of cell 1 begins and ends with zeros."""
    cells, epochs, seconds = np.array(rows).T.reshape(3, -1)
    hashes = np.zeros((len(rows), 16), np.uint8)
    hashes[:, 7] = cells
    values = np.full((len(rows), 8), value)
    values[:, 4] = seconds
    return Runs(
        records=first + np.arange(len(rows)),
        offsets=100 * (first + np.arange(len(rows))),
        module_hashes=hashes,
        epochs=epochs.astype(np.int32),
        adjacency_ids=cells.astype(np.int32) % 2,
        operation_ids=cells.astype(np.int32) % 2,
        trainable_parameters=1000 + cells.astype(np.int64),
        values=values,
    )


def _table(*blocks, only_whole=False):
    columns = RunColumns()
    for block in blocks:
        assert columns.add(block) == []
    return columns.table("somewhere", _texts(), only_whole)


def test_repeats_are_in_the_order_of_the_file():
    first = _runs((1, 4, 10), (0, 108, 20), (1, 4, 11), (0, 108, 21))
    second = _runs((0, 4, 30), (1, 108, 40), (0, 4, 31), (1, 108, 41))
    table, num_left_out = _table(first, second)
    assert num_left_out == 0
    assert list(table.module_hashes) == ["0" * 14 + "01" + "0" * 16, "0" * 32]
    np.testing.assert_array_equal(table.training_seconds[4], [[10, 11], [30, 31]])
    np.testing.assert_array_equal(table.training_seconds[108], [[40, 41], [20, 21]])
    assert table.trainable_parameters.tolist() == [1001, 1000]
    assert table.multiply_adds is None
    assert [cell.num_vertices for cell in table] == [2, 3]


def test_budgets_may_have_different_numbers_of_runs():
    table, _ = _table(_runs((0, 4, 1), (0, 4, 2), (0, 108, 3)))
    assert table.training_seconds[4].shape == (1, 2)
    assert table.training_seconds[108].shape == (1, 1)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(float(np.float32(9227 / 9984)), np.float32), (9227 / 9984, np.float64)],
)
def test_precision_is_double_where_single_is_not_exact(value, dtype):
    table, _ = _table(_runs((0, 4, 1)), _runs((0, 4, 2), value=value))
    for column in (*table.accuracies.values(), *table.halfway_accuracies.values()):
        assert column.dtype == dtype
        assert column.tolist() == [[0.5, value]]


def test_lacking_runs_are_refused_or_left_out():
    runs = _runs((0, 4, 1), (1, 4, 2), (0, 4, 3), (1, 4, 4), (0, 108, 5))
    problem = (
        f"somewhere is incomplete: architecture {'0' * 14}01{'0' * 16} has 0 records of 108 epochs "
        "where others have 1; download it again"
    )
    with pytest.raises(ValueError, match=problem):
        _table(runs)
    table, num_left_out = _table(runs, only_whole=True)
    assert num_left_out == 1
    assert list(table.module_hashes) == ["0" * 32]
    np.testing.assert_array_equal(table.training_seconds[4], [[1, 3]])
    np.testing.assert_array_equal(table.training_seconds[108], [[5]])


def test_nothing_whole():
    with pytest.raises(ValueError, match="somewhere holds no records that can be read"):
        _table()
    runs = _runs((0, 4, 1), (1, 108, 2))
    with pytest.raises(ValueError, match="somewhere holds no architecture with all its records"):
        _table(runs, only_whole=True)


def test_contradictions_are_left_aside():
    columns = RunColumns()
    assert columns.add(_runs((0, 4, 1), (1, 4, 2))) == []
    for column in ("adjacency_ids", "operation_ids", "trainable_parameters"):
        runs = _runs((0, 4, 7), (1, 4, 8), first=5)
        getattr(runs, column)[1] += 1
        reason = "its cell or number of parameters differs from an earlier one's of its hash"
        assert columns.add(runs) == [Fault(6, 600, reason)]
    table, num_left_out = columns.table("somewhere", _texts(), only_whole=True)
    np.testing.assert_array_equal(table.training_seconds[4], [[1, 7, 7, 7]])
    assert num_left_out == 1


def test_more_cells_than_there_is_room_for_at_first():
    columns = RunColumns()
    for first in range(0, 6000, 1500):
        runs = _runs(*((0, 4, first + cell) for cell in range(1500)))
        numbers = np.arange(first, first + 1500, dtype=">u4")
        runs.module_hashes[:, 3:7] = numbers.view(np.uint8).reshape(-1, 4)
        assert columns.add(runs) == []
    table, _ = columns.table("somewhere", _texts(), only_whole=False)
    assert len(table) == 6000
    np.testing.assert_array_equal(table.training_seconds[4][:, 0], np.arange(6000))
    assert table.row(f"{'0' * 6}{5999:08x}{'0' * 18}") == 5999
