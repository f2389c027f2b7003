"""Runs of a NAS-Bench-101 file, in any order, gathered to the columns of a table.

The r-th record of a cell and a number of epochs is run r. Cells keep the order in which they first
appear. While runs arrive they are kept as columns of numbers in blocks, in single precision where
that is exact; at the end one column after the other is joined, sorted and let go.
"""

import numpy as np

from nngp_tf.data.benchmark_value import BenchmarkTable
from nngp_tf.data.nasbench_parsing import NUM_VALUES, SPLITS, Runs
from nngp_tf.data.stored_cells import CellTexts, ModuleHashes
from nngp_tf.data.tfrecords import Fault

_CELL = np.dtype(
    [
        ("module_hash", np.uint8, 16),
        ("adjacency_id", np.int32),
        ("operation_id", np.int32),
        ("trainable_parameters", np.int64),
    ]
)


class RunColumns:
    """What has been read so far."""

    def __init__(self) -> None:
        self._row_of_hash: dict[bytes, int] = {}
        self._cells = np.zeros(1024, _CELL)
        self._rows: list[np.ndarray] = []
        self._epochs: list[np.ndarray] = []
        self._values: list[list[np.ndarray]] = [[] for _ in range(NUM_VALUES)]

    def add(self, runs: Runs) -> list[Fault]:
        """Take up runs.

        Returns:
          Those left aside, since an earlier record describes the same architecture otherwise.
        """
        rows = self._rows_of(runs)
        known = self._cells[rows]
        agrees = (
            (known["adjacency_id"] == runs.adjacency_ids)
            & (known["operation_id"] == runs.operation_ids)
            & (known["trainable_parameters"] == runs.trainable_parameters)
        )
        faults = []
        if not agrees.all():
            reason = "its cell or number of parameters differs from an earlier one's of its hash"
            aside = runs.take(~agrees)
            positions = zip(aside.records.tolist(), aside.offsets.tolist(), strict=True)
            faults = [Fault(record, offset, reason) for record, offset in positions]
            rows, runs = rows[agrees], runs.take(agrees)
        self._rows.append(rows)
        self._epochs.append(runs.epochs)
        for blocks, column in zip(self._values, runs.values.T, strict=True):
            blocks.append(_narrowed(column))
        return faults

    def table(self, source: str, texts: CellTexts, only_whole: bool) -> tuple[BenchmarkTable, int]:
        """Gather the runs, which are gone from here afterwards.

        Args:
          source: The file, for messages.
          texts: What the runs were parsed with.
          only_whole: Whether to leave out architectures with fewer runs than others have, instead
            of refusing them.

        Returns:
          The table, and the number of architectures left out.

        Raises:
          ValueError: There are no runs, or an architecture has fewer than others.
        """
        cells = self._cells[: len(self._row_of_hash)]
        self._row_of_hash = {}
        rows, epochs = _joined(self._rows), _joined(self._epochs)
        if not len(rows):
            raise ValueError(f"{source} holds no records that can be read")
        orders, num_runs = {}, {}
        is_whole = np.ones(len(cells), bool)
        for budget in np.unique(epochs).tolist():
            chosen = np.flatnonzero(epochs == budget).astype(np.int32)
            orders[budget] = chosen[np.argsort(rows[chosen], kind="stable")]
            counts = np.bincount(rows[chosen], minlength=len(cells))
            num_runs[budget] = int(counts.max())
            lacking = counts < num_runs[budget]
            if lacking.any() and not only_whole:
                first = int(np.argmax(lacking))
                raise ValueError(
                    f"{source} is incomplete: architecture "
                    f"{ModuleHashes(cells['module_hash'])[first]} has {counts[first]} records of "
                    f"{budget} epochs where others have {num_runs[budget]}; download it again"
                )
            is_whole &= ~lacking
        if not is_whole.any():
            raise ValueError(f"{source} holds no architecture with all its records")
        for budget, order in orders.items():
            orders[budget] = order[is_whole[rows[order]]]
        del rows, epochs

        columns = []
        for blocks in self._values:
            column = _joined(blocks)
            columns.append(
                {
                    budget: column[order].reshape(-1, num_runs[budget])
                    for budget, order in orders.items()
                }
            )
        cells = cells[is_whole]
        halfway, final = columns[: NUM_VALUES // 2], columns[NUM_VALUES // 2 :]
        table = BenchmarkTable(
            source=source,
            module_hashes=ModuleHashes(cells["module_hash"]),
            cells=texts.stored(cells["adjacency_id"].copy(), cells["operation_id"].copy()),
            trainable_parameters=cells["trainable_parameters"].copy(),
            multiply_adds=None,
            accuracies=_by_split(final[1:]),
            training_seconds=final[0],
            halfway_accuracies=_by_split(halfway[1:]),
            halfway_seconds=halfway[0],
        )
        return table, int(np.sum(~is_whole))

    def _rows_of(self, runs: Runs) -> np.ndarray:
        """Return the row [n] int32 of each run's architecture; new ones are added."""
        known = len(self._row_of_hash)
        # Byte strings lose zeros at their end here, which leaves different hashes different.
        keys = runs.module_hashes.view("S16")[:, 0].tolist()
        row_of_hash = self._row_of_hash
        rows = [row_of_hash.setdefault(key, len(row_of_hash)) for key in keys]
        rows = np.array(rows, np.int32)
        total = len(row_of_hash)
        if total > len(self._cells):
            self._cells = np.concatenate([self._cells, np.zeros(total, _CELL)])
        found, firsts = np.unique(rows, return_index=True)
        firsts = firsts[found >= known]
        added = self._cells[known:total]
        added["module_hash"] = runs.module_hashes[firsts]
        added["adjacency_id"] = runs.adjacency_ids[firsts]
        added["operation_id"] = runs.operation_ids[firsts]
        added["trainable_parameters"] = runs.trainable_parameters[firsts]
        return rows


def _joined(blocks: list[np.ndarray]) -> np.ndarray:
    """Join blocks and empty the list."""
    column = np.concatenate(blocks) if blocks else np.empty(0)
    blocks.clear()
    return column


def _narrowed(column: np.ndarray) -> np.ndarray:
    """Return a copy in float32 if that is the same numbers, else in float64."""
    narrow = column.astype(np.float32)
    return narrow if np.array_equal(narrow, column) else column.copy()


def _by_split(columns: list[dict[int, np.ndarray]]) -> dict[tuple[str, int], np.ndarray]:
    return {
        (split, budget): values
        for split, column in zip(SPLITS, columns, strict=True)
        for budget, values in column.items()
    }
