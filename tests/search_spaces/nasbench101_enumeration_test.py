"""The whole space: counts, order and representatives against brute force and the benchmark."""

import csv
import gzip
import itertools

import numpy as np
import pytest

from nngp_tf.search_spaces import graph_hash
from nngp_tf.search_spaces import nasbench101_enumeration as enumeration
from nngp_tf.search_spaces.nasbench101_cell import MAX_EDGES, NUM_CELLS, OPS

# Facts, section A3 (recomputed exactly from generate_graphs.py): cells by number of vertices.
PUBLISHED_COUNTS = {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}


@pytest.mark.fast
@pytest.mark.parametrize(("num_vertices", "count"), PUBLISHED_COUNTS.items())
def test_counts_by_number_of_vertices(num_vertices, count):
    assert enumeration.num_cells(num_vertices) == count


@pytest.mark.fast
def test_counts_add_up():
    assert sum(map(enumeration.num_cells, PUBLISHED_COUNTS)) == NUM_CELLS == 423_624


def _brute_force(num_vertices):
    """Pairs (matrix, labels) of generate_graphs.py with the md5 hash, in plain Python."""
    edges = [(x, y) for y in range(num_vertices) for x in range(y)]
    found = {}
    for bits in range(2 ** len(edges)):
        present = [edge for index, edge in enumerate(edges) if bits >> index & 1]
        if (
            len(present) > MAX_EDGES
            or {x for x, _ in present} != set(range(num_vertices - 1))
            or {y for _, y in present} != set(range(1, num_vertices))
        ):
            continue
        matrix = np.zeros((num_vertices, num_vertices), int)
        matrix[tuple(zip(*present, strict=True))] = 1
        for labels in itertools.product(range(3), repeat=num_vertices - 2):
            module_hash = graph_hash.module_hash(matrix, [-1, *labels, -2])
            found.setdefault(module_hash, (matrix.tolist(), labels))
    return list(found.values())


@pytest.mark.parametrize(
    "num_vertices",
    [
        pytest.param(2, marks=pytest.mark.fast),
        pytest.param(3, marks=pytest.mark.fast),
        pytest.param(4, marks=pytest.mark.fast),
        pytest.param(5, marks=pytest.mark.fast),
        pytest.param(6, marks=pytest.mark.slow),
    ],
)
def test_order_and_representatives_equal_brute_force_with_md5(num_vertices):
    first = sum(PUBLISHED_COUNTS[size] for size in range(2, num_vertices))
    cells = enumeration.cells(first, first + PUBLISHED_COUNTS[num_vertices])
    enumerated = [
        (cell.matrix.tolist(), tuple(OPS.index(op) for op in cell.ops[1:-1])) for cell in cells
    ]
    assert enumerated == _brute_force(num_vertices)


@pytest.mark.fast
def test_every_stored_spec_of_the_benchmark_is_a_representative(shared_data):
    # The benchmark stores the representatives, so the specs agree vertex by vertex.
    representatives = {
        (num_vertices, bits, labelling)
        for num_vertices in PUBLISHED_COUNTS
        for bits, labelling in zip(
            *(array.tolist() for array in enumeration.representatives(num_vertices)), strict=True
        )
    }
    with gzip.open(shared_data / "nasbench101_20k.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20_001
    for row in rows:
        ops = row["operations"].split(",")
        size = len(ops)
        edge = row["adjacency"]
        # Most significant bit first: last column first, from its last source.
        ends = [(x, y) for y in reversed(range(size)) for x in reversed(range(y))]
        bits = "".join(edge[x * size + y] for x, y in ends)
        labelling = int("0" + "".join(str(OPS.index(op)) for op in ops[1:-1]), base=3)
        assert (size, int(bits, base=2), labelling) in representatives, row["module_hash"]


@pytest.mark.fast
def test_md5_hashes_of_a_random_sample_are_distinct():
    positions = np.random.default_rng(0).choice(NUM_CELLS, size=3_000, replace=False)
    cells = [enumeration.cell_at(int(position)) for position in positions]
    assert all(cell.is_valid for cell in cells)
    assert len({cell.module_hash for cell in cells}) == 3_000


@pytest.mark.slow
def test_whole_space_is_valid_and_distinct():
    cells = set()
    for cell in enumeration.cells():
        assert cell.is_valid
        # Already pruned: the benchmark stores no dangling vertices.
        assert cell.matrix is cell.original_matrix
        cells.add(cell)
    assert len(cells) == NUM_CELLS


@pytest.mark.fast
@pytest.mark.parametrize("boundary", [0, 1, 7, 91, 2_532, 64_542, NUM_CELLS - 3])
def test_ranges_and_positions_agree_across_vertex_counts(boundary):
    start, stop = max(boundary - 3, 0), boundary + 3
    cells = list(enumeration.cells(start, stop))
    assert cells == [enumeration.cell_at(position) for position in range(start, stop)]
    assert list(enumeration.cells(start, boundary)) == cells[: boundary - start]


@pytest.mark.fast
def test_small_ranges_do_not_search_the_large_cells():
    enumeration.representatives.cache_clear()
    assert len(list(enumeration.cells(3, 50))) == 47
    assert enumeration.representatives.cache_info().currsize == 3  # V = 2, 3 and 4.


@pytest.mark.fast
def test_positions_outside_the_space_are_refused():
    for start, stop in ((-1, 3), (5, 4), (0, NUM_CELLS + 1)):
        with pytest.raises(ValueError, match=f"got {start} and {stop}"):
            enumeration.cells(start, stop)
    for index in (-1, NUM_CELLS):
        with pytest.raises(ValueError, match=f"between 0 and 423623, got {index}"):
            enumeration.cell_at(index)
    for num_vertices in (1, 8):
        with pytest.raises(ValueError, match=f"between 2 and 7, got {num_vertices}"):
            enumeration.num_cells(num_vertices)


@pytest.mark.fast
def test_cached_arrays_are_read_only():
    for array in enumeration.representatives(4):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
