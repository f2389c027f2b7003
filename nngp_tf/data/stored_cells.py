"""The cells of a table, and their published hashes, as compact columns looked up by hash.

The 423,624 cells of the whole space share few matrices and lists of operations, so each text is
kept once; a hash takes 16 bytes. As Python objects they would take ten times the memory.
"""

import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence

import numpy as np

from nngp_tf.search_spaces.nasbench101 import Cell

_HASH = re.compile("[0-9a-f]{32}")


class ModuleHashes(Sequence):
    """N published hashes as 32 hexadecimal digits each, equal to any other sequence of the same."""

    def __init__(self, digests: np.ndarray) -> None:
        """Wrap the hashes as bytes, [N, 16] uint8."""
        self.digests = np.ascontiguousarray(digests)
        self.digests.setflags(write=False)

    @classmethod
    def from_texts(cls, texts: Sequence[str]) -> "ModuleHashes":
        """Pack hashes.

        Raises:
          ValueError: One of them is not 32 hexadecimal digits.
        """
        for text in texts:
            check_hash(text)
        packed = np.frombuffer(bytes.fromhex("".join(texts)), np.uint8)
        return cls(packed.reshape(len(texts), 16))

    def find(self, module_hash: object) -> int | None:
        """Return the position of a hash, None where it is absent."""
        if not (isinstance(module_hash, str) and _HASH.fullmatch(module_hash)) or not len(self):
            return None
        order, ascending = self._index
        key = np.frombuffer(bytes.fromhex(module_hash), "S16")[0]
        position = int(np.searchsorted(ascending, key))
        if position == len(self) or ascending[position] != key:
            return None
        return int(order[position])

    @functools.cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray]:
        # As byte strings, whose order NumPy knows. It drops zeros from their ends, all of one
        # length, which leaves different ones different.
        texts = self.digests.view("S16")[:, 0]
        order = np.argsort(texts, kind="stable").astype(np.int32)
        return order, texts[order]

    def __getitem__(self, index):
        if isinstance(index, slice):
            return ModuleHashes(self.digests[index])
        return self.digests[index].tobytes().hex()

    def __len__(self) -> int:
        return len(self.digests)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ModuleHashes):
            return np.array_equal(self.digests, other.digests)
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None

    def __repr__(self) -> str:
        return f"<{len(self)} module hashes>"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class StoredCells:
    """The adjacency and operations of N cells as a file gives them.

    Attributes:
      adjacencies: Distinct matrices, V * V digits each, row after row.
      operations: Distinct lists of V names, comma separated.
      adjacency_ids: [N] positions in `adjacencies`.
      operation_ids: [N] positions in `operations`.
    """

    adjacencies: tuple[str, ...]
    operations: tuple[str, ...]
    adjacency_ids: np.ndarray
    operation_ids: np.ndarray

    def __getitem__(self, row: int) -> Cell:
        adjacency = self.adjacencies[self.adjacency_ids[row]]
        return parse_cell(adjacency, self.operations[self.operation_ids[row]])

    def __len__(self) -> int:
        return len(self.adjacency_ids)

    def __iter__(self) -> Iterator[Cell]:
        return map(self.__getitem__, range(len(self)))


class CellTexts:
    """Distinct matrices and lists of operations, each checked when it is first seen."""

    def __init__(self) -> None:
        self._adjacencies: dict[str, int] = {}
        self._operations: dict[str, int] = {}

    def ids(self, adjacency: str, operations: str) -> tuple[int, int]:
        """Return the positions of both texts in `StoredCells`.

        Raises:
          ValueError: They make no cell of the search space.
        """
        check_lengths(adjacency, operations)
        # A matrix and a list are right or wrong independently but for their lengths.
        if adjacency not in self._adjacencies or operations not in self._operations:
            cell = parse_cell(adjacency, operations)
            if not cell.is_valid:
                raise ValueError(cell.invalid_reason)
        return (
            self._adjacencies.setdefault(adjacency, len(self._adjacencies)),
            self._operations.setdefault(operations, len(self._operations)),
        )

    def stored(self, adjacency_ids: np.ndarray, operation_ids: np.ndarray) -> StoredCells:
        """Return cells by what `ids` gave for them."""
        return StoredCells(
            tuple(self._adjacencies), tuple(self._operations), adjacency_ids, operation_ids
        )


def check_hash(module_hash: str) -> None:
    """Raise a ValueError unless a text is a published hash."""
    if not _HASH.fullmatch(module_hash):
        raise ValueError(f"module_hash must be 32 hexadecimal digits, got {module_hash!r}")


def check_lengths(adjacency: str, operations: str) -> int:
    """Return the vertices of a cell, or raise a ValueError if its texts disagree."""
    size = operations.count(",") + 1
    if len(adjacency) != size * size:
        raise ValueError(
            f"adjacency must have {size * size} digits for {size} operations, got {len(adjacency)}"
        )
    return size


def parse_cell(adjacency: str, operations: str) -> Cell:
    """Return the cell of V * V digits and V comma separated names.

    Raises:
      ValueError: They make no cell.
    """
    size = check_lengths(adjacency, operations)
    rows = (adjacency[start : start + size] for start in range(0, size * size, size))
    return Cell.from_text("/".join(rows) + ":" + operations)
