"""Sampling, mutation, the notebook's cells, enumeration through the public name, files of cells."""

import collections

import numpy as np
import pytest

from nngp_tf.search_spaces import nasbench101
from nngp_tf.search_spaces.nasbench101 import CONV1X1, CONV3X3, INPUT, MAXPOOL3X3, OUTPUT, Cell

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("make_rng", [np.random.default_rng, np.random.RandomState])
@pytest.mark.parametrize("uniform_over", ["matrices", "cells"])
def test_samples_are_valid_and_depend_on_the_seed_alone(make_rng, uniform_over):
    def draw(seed):
        rng = make_rng(seed)
        return [nasbench101.sample(rng, uniform_over) for _ in range(30)]

    cells = draw(1)
    assert all(cell.is_valid for cell in cells)
    assert cells == draw(1)
    assert cells != draw(2)


def test_samples_over_cells_have_the_proportions_of_the_space():
    rng = np.random.default_rng(0)
    sizes = collections.Counter(nasbench101.sample(rng, "cells").num_vertices for _ in range(2000))
    # 359,082 of 423,624 cells have 7 vertices (facts, section A3); 4 standard deviations.
    share = 359_082 / 423_624
    assert abs(sizes[7] / 2000 - share) < 4 * np.sqrt(share * (1 - share) / 2000)


def test_samples_over_matrices_contain_small_cells_more_often():
    rng = np.random.default_rng(0)
    small = sum(nasbench101.sample(rng).num_vertices < 6 for _ in range(1000))
    assert small > 800  # 878 here; uniform over cells it would be 6 (2,532 of 423,624).


def test_unknown_distribution_is_refused():
    with pytest.raises(ValueError, match="'matrices' or 'cells', got 'graphs'"):
        nasbench101.sample(np.random.default_rng(0), "graphs")


def test_notebook_cells_equal_the_notebooks_own_loop():
    # The loop of random_specs in nngp_nas/NNGP_on_NASBench101.ipynb, with NumPy's global generator
    # as there; only validity and hash come from Cell.
    state = np.random.get_state()
    try:
        np.random.seed(123)
        expected = []
        while len(expected) < 60:
            matrix = np.triu(np.random.choice([0, 1], size=(7, 7)), 1)
            ops = np.random.choice([CONV3X3, CONV1X1, MAXPOOL3X3], size=(7)).tolist()
            ops[0], ops[-1] = INPUT, OUTPUT
            cell = Cell(matrix, ops)
            if cell.is_valid and cell.key not in [other.key for other in expected]:
                expected.append(cell)
    finally:
        np.random.set_state(state)
    drawn = nasbench101.notebook_cells(num_cells=60, seed=123)
    assert [cell.text for cell in drawn] == [cell.text for cell in expected]


def test_notebook_cells_are_250_distinct_cells():
    cells = nasbench101.notebook_cells()
    assert len(cells) == len({cell.key for cell in cells}) == 250
    # Recorded from this function; the notebook prints neither specs nor hashes. Guards against a
    # change of the stream, which NumPy promises to keep for RandomState.
    assert cells[0].text == (
        "0100000/0001101/0001100/0000010/0000010/0000001/0000000:"
        "input,conv1x1-bn-relu,conv1x1-bn-relu,maxpool3x3,maxpool3x3,maxpool3x3,output"
    )
    assert cells[249].key == "4a7cf671509598348818ee5b50186820"
    assert nasbench101.notebook_cells(num_cells=10) == cells[:10]


@pytest.mark.parametrize("num_cells", [0, -1, nasbench101.NUM_CELLS + 1])
def test_impossible_numbers_of_notebook_cells_are_refused(num_cells):
    with pytest.raises(ValueError, match=f"between 1 and 423624, got {num_cells}"):
        nasbench101.notebook_cells(num_cells)


@pytest.mark.parametrize("make_rng", [np.random.default_rng, np.random.RandomState])
def test_mutants_are_valid_and_reproducible(make_rng):
    parent = nasbench101.sample(np.random.default_rng(5))

    def draw(seed):
        rng = make_rng(seed)
        return [nasbench101.mutate(parent, rng) for _ in range(100)]

    children = draw(0)
    assert all(child.is_valid for child in children)
    assert all(len(child.original_ops) == 7 for child in children)
    assert children == draw(0)
    assert len(set(children)) > 50


def test_mutation_rates_are_those_of_the_notebook():
    # A parent whose every mutant is valid would show the bare rates; this one comes close: its
    # pruned graph is input -> output, and few single changes leave the space.
    matrix = np.zeros((7, 7))
    matrix[0, 6] = 1
    parent = Cell(matrix, [INPUT, *[CONV3X3] * 5, OUTPUT])
    rng = np.random.default_rng(0)
    children = [nasbench101.mutate(parent, rng) for _ in range(4000)]
    flips = np.mean([child.original_matrix != parent.original_matrix for child in children], axis=0)
    inner = flips[np.triu_indices(7, 1)]
    inner = inner[np.arange(21) != 5]  # Without 0 -> 6, whose flip mostly disconnects the cell.
    np.testing.assert_allclose(inner.mean(), 1 / 7, atol=0.01)
    changed = np.array([child.original_ops[1:-1] for child in children])
    np.testing.assert_allclose(np.mean(changed != CONV3X3, axis=0), 1 / 5, atol=0.03)
    # A changed operation becomes either other one equally often.
    np.testing.assert_allclose(np.mean(changed == CONV1X1), 0.1, atol=0.02)
    np.testing.assert_allclose(np.mean(changed == MAXPOOL3X3), 0.1, atol=0.02)


def test_mutation_starts_from_the_original_rather_than_the_pruned_cell():
    matrix = np.zeros((7, 7))
    matrix[0, 6] = 1
    parent = Cell(matrix, [INPUT, *[CONV3X3] * 5, OUTPUT])
    assert parent.num_vertices == 2
    rng = np.random.default_rng(0)
    assert max(nasbench101.mutate(parent, rng).num_vertices for _ in range(200)) > 2
    # Written with two vertices the same cell can only be copied.
    bare = Cell(parent.matrix, parent.ops)
    assert nasbench101.mutate(bare, rng) == bare


def test_mutation_rate_zero_copies_and_large_rates_are_refused():
    rng = np.random.default_rng(0)
    parent = nasbench101.sample(rng)
    assert nasbench101.mutate(parent, rng, mutation_rate=0).text == parent.text
    assert nasbench101.mutate(parent, rng, mutation_rate=3.5).is_valid
    for rate in (-0.1, 3.6, float("nan")):
        with pytest.raises(ValueError, match=r"between 0 and 3.5 \(half the vertices\), got"):
            nasbench101.mutate(parent, rng, mutation_rate=rate)


def test_invalid_parents_are_refused():
    with pytest.raises(ValueError, match=r"cannot mutate .*disconnected"):
        nasbench101.mutate(Cell(np.zeros((2, 2)), [INPUT, OUTPUT]), np.random.default_rng(0))


def test_enumeration_starts_with_the_smallest_cells():
    # Facts, section A3: V ascending, labellings in product order.
    assert [cell.text for cell in nasbench101.enumerate_cells(stop=5)] == [
        "01/00:input,output",
        "010/001/000:input,conv3x3-bn-relu,output",
        "010/001/000:input,conv1x1-bn-relu,output",
        "010/001/000:input,maxpool3x3,output",
        "011/001/000:input,conv3x3-bn-relu,output",
    ]


def test_file_of_cells():
    lines = [
        "# two cells",
        "",
        "01/00:input,output  # the shortest",
        "  010/001/000:input,maxpool3x3,output\n",
    ]
    cells = nasbench101.parse_cells(lines, source="cells.txt")
    assert [cell.num_vertices for cell in cells] == [2, 3]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("01/00", r"^cells.txt:3: '01/00' is not a cell"),
        ("00/00:input,output", r"^cells.txt:3: the cell is disconnected"),
        (
            "011/001/000:input,maxpool3x3,output",
            r"^cells.txt:3: the same cell as cells.txt:2 \(key [0-9a-f]{32}\)",
        ),
    ],
)
def test_errors_in_a_file_name_the_line(line, message):
    lines = ["# header", "011/001/000:input,maxpool3x3,output", line]
    with pytest.raises(ValueError, match=message):
        nasbench101.parse_cells(lines, source="cells.txt")


def test_isomorphic_lines_are_duplicates():
    fork = "0110/0001/0001/0000:input,{},{},output"
    lines = [fork.format(CONV3X3, CONV1X1), fork.format(CONV1X1, CONV3X3)]
    with pytest.raises(ValueError, match="f:2: the same cell as f:1"):
        nasbench101.parse_cells(lines, source="f")
