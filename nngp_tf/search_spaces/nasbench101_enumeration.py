"""Every cell of NAS-Bench-101 exactly once, in the published order and vertex order.

The definition is nasbench/scripts/generate_graphs.py:

    for V in 2..7
        for each matrix in which every vertex lies on a path and at most 9 edges exist, by bit mask
            for each labelling of the inner vertices, in product order
                yield the pair unless one with the same hash came before

The benchmark stores these first representatives. Here the md5 hash is replaced by a 64-bit one with
the same refinement of vertex colours, computed for many labelled matrices at once, so the space is
found in seconds. That both tell the same pairs apart is tested on the published counts.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nngp_tf.search_spaces.nasbench101_cell import (
    INPUT,
    MAX_EDGES,
    MAX_VERTICES,
    NUM_CELLS,
    OPS,
    OUTPUT,
    Cell,
)

# Matrices refined together: with 243 labellings of 7 vertices an array takes 0.4 MB, within cache.
_CHUNK = 32


class Representatives(NamedTuple):
    """The cells of one vertex count, n of them, as two read-only arrays in the published order.

    Attributes:
      matrix_bits: [n] int32; the edge x -> y with x < y is bit x + y (y - 1) / 2.
      labellings: [n] int32; the operations' positions in `OPS` as the digits of a number in base 3,
        the first inner vertex most significant.
    """

    matrix_bits: np.ndarray
    labellings: np.ndarray


def cells(start: int = 0, stop: int = NUM_CELLS) -> Iterator[Cell]:
    """Yield the cells at positions start..stop-1; only what is asked for is worked out.

    The first cell of 7 vertices takes the seconds of the search, which the process remembers.

    Raises:
      ValueError: Not 0 <= start <= stop <= 423,624.
    """
    if not 0 <= start <= stop <= NUM_CELLS:
        raise ValueError(
            f"start and stop must satisfy 0 <= start <= stop <= {NUM_CELLS}, got {start} and {stop}"
        )
    return _generate(start, stop)


def cell_at(index: int) -> Cell:
    """Return the cell at a position in the published order.

    Raises:
      ValueError: The position is not in 0..423,623.
    """
    if not 0 <= index < NUM_CELLS:
        raise ValueError(f"index must be between 0 and {NUM_CELLS - 1}, got {index}")
    return next(_generate(index, index + 1))


def num_cells(num_vertices: int) -> int:
    """Return how many cells have exactly that many vertices, input and output included."""
    return len(representatives(num_vertices).matrix_bits)


@functools.lru_cache(maxsize=MAX_VERTICES)
def representatives(num_vertices: int) -> Representatives:
    """Find the first pair of matrix and labelling of each hash.

    Raises:
      ValueError: num_vertices is not in 2..7.
    """
    if not 2 <= num_vertices <= MAX_VERTICES:
        raise ValueError(f"num_vertices must be between 2 and {MAX_VERTICES}, got {num_vertices}")
    matrix_bits = _full_matrix_bits(num_vertices)
    matrices = _unpack(matrix_bits, num_vertices)
    labels = _labels(num_vertices)
    hashes = np.concatenate(
        [
            _hashes(matrices[first : first + _CHUNK], labels).ravel()
            for first in range(0, len(matrices), _CHUNK)
        ]
    )
    # `return_index` gives the first occurrence of each hash; sorting brings back their order.
    _, first_positions = np.unique(hashes, return_index=True)
    matrix_indices, labellings = np.divmod(np.sort(first_positions), len(labels))
    found = Representatives(matrix_bits[matrix_indices], labellings.astype(np.int32))
    for array in found:
        array.setflags(write=False)
    return found


def _generate(start: int, stop: int) -> Iterator[Cell]:
    offset = 0
    for num_vertices in range(2, MAX_VERTICES + 1):
        if stop <= offset:
            return
        found = representatives(num_vertices)
        count = len(found.matrix_bits)
        wanted = slice(max(start - offset, 0), max(stop - offset, 0))
        offset += count
        names = [
            (INPUT, *(OPS[label] for label in row), OUTPUT)
            for row in _labels(num_vertices)[:, 1:-1].tolist()
        ]
        previous_bits, matrix = None, None
        for bits, labelling in zip(
            found.matrix_bits[wanted].tolist(), found.labellings[wanted].tolist(), strict=True
        ):
            if bits != previous_bits:
                previous_bits, matrix = bits, _unpack(np.array([bits]), num_vertices)[0]
            yield Cell(matrix, names[labelling])


def _full_matrix_bits(num_vertices: int) -> np.ndarray:
    """Return, ascending, the bit masks [n] of matrices that pruning leaves whole.

    Every vertex but the output needs an edge out and every vertex but the input an edge in, which
    is enough because edges lead to later vertices. At most 9 edges.
    """
    sources, targets = _edge_ends(num_vertices)
    masks = np.arange(2 ** len(sources), dtype=np.int32)
    num_edges = np.zeros(len(masks), np.int8)
    for bit in range(len(sources)):
        num_edges += (masks >> bit & 1).astype(np.int8)
    kept = masks[num_edges <= MAX_EDGES]
    for ends, vertices in (
        (sources, range(num_vertices - 1)),
        (targets, range(1, num_vertices)),
    ):
        for vertex in vertices:
            edges_at_vertex = sum(1 << bit for bit, end in enumerate(ends) if end == vertex)
            kept = kept[kept & edges_at_vertex != 0]
    return kept


def _edge_ends(num_vertices: int) -> tuple[list[int], list[int]]:
    """Return source and target of the edge that each bit stands for (column by column)."""
    edges = [(x, y) for y in range(num_vertices) for x in range(y)]
    return [x for x, _ in edges], [y for _, y in edges]


def _unpack(matrix_bits: np.ndarray, num_vertices: int) -> np.ndarray:
    """Return the matrices [n, V, V], int8, of bit masks [n]."""
    sources, targets = _edge_ends(num_vertices)
    matrices = np.zeros((len(matrix_bits), num_vertices, num_vertices), np.int8)
    matrices[:, sources, targets] = matrix_bits[:, None] >> np.arange(len(sources)) & 1
    return matrices


def _labels(num_vertices: int) -> np.ndarray:
    """Return every labelling in product order, [3 ** (V - 2), V]; the ends are -1 and -2."""
    num_inner = num_vertices - 2
    labellings = np.arange(len(OPS) ** num_inner)
    labels = np.empty((len(labellings), num_vertices), np.int64)
    labels[:, 0], labels[:, -1] = -1, -2
    for vertex in range(num_inner):
        labels[:, 1 + vertex] = labellings // len(OPS) ** (num_inner - 1 - vertex) % len(OPS)
    return labels


def _hashes(matrices: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Hash each labelled matrix, [G, L] from matrices [G, V, V] and labels [L, V].

    Colours are refined as in `graph_hash.module_hash`. A multiset of colours is hashed as the sum
    of its mixed members modulo 2 ** 64; among the 1.2 million pairs of the space an accidental
    collision has a probability below 1e-7.
    """
    num_vertices = labels.shape[1]
    into = matrices.astype(np.uint64)  # [G, V, V]: colours [G, L, V] @ into sums over in-neighbours
    out_of = into.transpose(0, 2, 1)
    degrees = 16 * matrices.sum(axis=2, dtype=np.int64) + matrices.sum(axis=1, dtype=np.int64)
    colours = _mix((256 * degrees[:, None, :] + labels + 2).astype(np.uint64))
    for _ in range(num_vertices):
        mixed = _mix(colours)
        colours = _mix(_mix(mixed @ into) + _mix(~(mixed @ out_of)) + colours)
    return _mix(colours).sum(axis=2, dtype=np.uint64)


def _mix(values: np.ndarray) -> np.ndarray:
    """Scramble 64-bit numbers one to one: splitmix64 (Steele, Lea and Flood, 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values
