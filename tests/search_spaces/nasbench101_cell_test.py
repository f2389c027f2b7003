"""Cells: checks, pruning, identity, text form."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nngp_tf.search_spaces.nasbench101_cell import (
    CONV1X1,
    CONV3X3,
    INPUT,
    MAXPOOL3X3,
    OPS,
    OUTPUT,
    Cell,
)

pytestmark = pytest.mark.fast

# The example of the nasbench README; its hash is published there and in facts, section A2.
INCEPTION_MATRIX = [
    [0, 1, 1, 1, 0, 1, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 1, 0, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0],
]
INCEPTION_OPS = [INPUT, CONV1X1, CONV3X3, CONV3X3, CONV3X3, MAXPOOL3X3, OUTPUT]
INCEPTION_HASH = "28cfc7874f6d200472e1a9dcd8650aa0"


@st.composite
def any_cells(draw, max_vertices=9):
    """Cells inside and outside the space, disconnected ones included."""
    num_vertices = draw(st.integers(2, max_vertices))
    size = num_vertices * num_vertices
    bits = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    matrix = np.triu(np.reshape(bits, (num_vertices, num_vertices)), 1)
    inner = draw(st.lists(st.sampled_from(OPS), min_size=num_vertices - 2, max_size=num_vertices))
    return Cell(matrix, [INPUT, *inner[: num_vertices - 2], OUTPUT])


def _chain(num_vertices, op=CONV3X3):
    return Cell(np.eye(num_vertices, k=1), [INPUT, *[op] * (num_vertices - 2), OUTPUT])


def test_inception_cell_has_the_published_hash():
    cell = Cell(matrix=INCEPTION_MATRIX, ops=INCEPTION_OPS)
    assert cell.module_hash == cell.key == INCEPTION_HASH
    assert cell.is_valid
    assert cell.invalid_reason is None
    assert (cell.num_vertices, cell.num_edges) == (7, 9)


def test_dangling_vertices_are_pruned_and_the_original_is_kept():
    matrix = np.zeros((5, 5), int)
    matrix[0, 2] = matrix[2, 4] = 1
    matrix[0, 1] = 1  # Vertex 1 leads nowhere.
    matrix[3, 4] = 1  # Vertex 3 is fed by nothing.
    cell = Cell(matrix, [INPUT, CONV1X1, MAXPOOL3X3, CONV3X3, OUTPUT])
    np.testing.assert_array_equal(cell.matrix, [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert cell.ops == (INPUT, MAXPOOL3X3, OUTPUT)
    np.testing.assert_array_equal(cell.original_matrix, matrix)
    assert cell.original_ops == (INPUT, CONV1X1, MAXPOOL3X3, CONV3X3, OUTPUT)
    # Facts, section A2: input -> maxpool3x3 -> output.
    assert cell.module_hash == "53cee42601ad14d661bb6878031d6acb"


def _brute_force_pruned(matrix):
    # A vertex survives if some power of the adjacency matrix joins it to both ends.
    reach = np.linalg.matrix_power(np.eye(len(matrix), dtype=np.int64) + matrix, len(matrix)) > 0
    return [v for v in range(len(matrix)) if reach[0, -1] and reach[0, v] and reach[v, -1]]


@given(any_cells())
def test_pruning_agrees_with_matrix_powers(cell):
    kept = _brute_force_pruned(cell.original_matrix.astype(np.int64))
    if kept:
        np.testing.assert_array_equal(cell.matrix, cell.original_matrix[np.ix_(kept, kept)])
        assert cell.ops == tuple(cell.original_ops[v] for v in kept)
    else:
        assert cell.matrix is None
        assert cell.ops is None


def test_disconnected_cell_raises_nothing_but_has_no_hash():
    cell = Cell(np.zeros((3, 3)), [INPUT, CONV3X3, OUTPUT])
    assert cell.matrix is None
    assert cell.ops is None
    assert not cell.is_valid
    assert "disconnected" in cell.invalid_reason
    assert (cell.num_vertices, cell.num_edges) == (0, 0)
    with pytest.raises(ValueError, match="no path leads from its input to its output"):
        _ = cell.module_hash
    with pytest.raises(ValueError, match="no path"):
        _ = cell.key


def test_limits_apply_to_the_pruned_graph():
    assert _chain(7).is_valid
    assert "8 vertices" in _chain(8).invalid_reason
    assert _chain(8).module_hash  # Outside the space, yet it has a hash.

    full = np.triu(np.ones((5, 5)), 1)
    assert "10 edges" in Cell(full, [INPUT, *[CONV3X3] * 3, OUTPUT]).invalid_reason
    full[0, 4] = 0
    assert Cell(full, [INPUT, *[CONV3X3] * 3, OUTPUT]).is_valid  # Exactly 9 edges.

    # Nine vertices and 15 edges of which only input -> output survives.
    dangling = np.zeros((9, 9))
    dangling[0, 1:] = 1
    dangling[1, 2:8] = 1
    dangling[2, 3] = 1
    cell = Cell(dangling, [INPUT, *[CONV1X1] * 7, OUTPUT])
    assert cell.is_valid
    assert cell.module_hash == "043721b9c7fe8c5fad811d47d83132ec"  # Facts, section A2.


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, float, object])
def test_any_number_type_gives_the_same_cell(dtype):
    cell = Cell(np.array(INCEPTION_MATRIX).astype(dtype), np.array(INCEPTION_OPS))
    assert cell == Cell(INCEPTION_MATRIX, INCEPTION_OPS)
    assert cell.matrix.dtype == np.int8
    assert cell.module_hash == INCEPTION_HASH
    assert all(type(op) is str for op in cell.ops)


ENDS = [INPUT, OUTPUT]


@pytest.mark.parametrize(
    ("matrix", "ops", "message"),
    [
        ([[0, 1]], ENDS, r"matrix must be square \[V, V\], got shape \[1, 2\]"),
        ([0, 1], ENDS, r"matrix must be square \[V, V\], got shape \[2\]"),
        ([[0, 1], [0]], ENDS, "rows of unequal length"),
        ([[0, 1], [0, 0]], [INPUT, CONV3X3, OUTPUT], "got 3 for 2 vertices"),
        ([[0, 2], [0, 0]], ENDS, r"zeros and ones, got 2 at \[0, 1\]"),
        ([[0, 256], [0, 0]], ENDS, r"zeros and ones, got 256 at \[0, 1\]"),
        ([[0, -1], [0, 0]], ENDS, r"zeros and ones, got -1 at \[0, 1\]"),
        ([[0, 0.5], [0, 0]], ENDS, r"zeros and ones, got 0.5 at \[0, 1\]"),
        ([[0, float("nan")], [0, 0]], ENDS, r"zeros and ones, got nan at \[0, 1\]"),
        ([[0, None], [0, 0]], ENDS, r"zeros and ones, got None at \[0, 1\]"),
        ([["0", "1"], ["0", "0"]], ENDS, r"zeros and ones, got 0 at \[0, 0\]"),
        ([[0, 1], [1, 0]], ENDS, r"zero on and below the diagonal .* got 1 at \[1, 0\]"),
        ([[1, 1], [0, 0]], ENDS, r"zero on and below the diagonal .* got 1 at \[0, 0\]"),
        (np.eye(3, k=1), [INPUT, "conv5x5", OUTPUT], "unknown operation 'conv5x5'"),
        (np.eye(3, k=1), [INPUT, INPUT, OUTPUT], "unknown operation 'input'"),
        ([[0, 1], [0, 0]], [OUTPUT, INPUT], "begin with 'input' and end with 'output'"),
        (np.eye(3, k=1), [INPUT, CONV3X3, CONV3X3], "begin with 'input' and end with 'output'"),
        ([[0]], [INPUT], "input and an output vertex, got 1"),
        (np.zeros((0, 0)), [], "input and an output vertex, got 0"),
    ],
)
def test_malformed_cells_are_refused(matrix, ops, message):
    with pytest.raises(ValueError, match=message):
        Cell(matrix, ops)


def test_cell_is_immutable_and_does_not_share_the_callers_array():
    given_matrix = np.array(INCEPTION_MATRIX, dtype=np.int8)
    cell = Cell(given_matrix, INCEPTION_OPS)
    given_matrix[:] = 0
    assert cell.num_edges == 9
    for name in ("matrix", "ops", "original_matrix", "module_hash", "something_new"):
        with pytest.raises(AttributeError):
            setattr(cell, name, None)
    for array in (cell.matrix, cell.original_matrix):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 1] = 0


def _pickled(cell):
    return pickle.loads(pickle.dumps(cell))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, _pickled])
def test_copies_keep_the_original_and_stay_read_only(duplicate):
    matrix = np.triu(np.ones((4, 4)), 1)
    matrix[0, 3] = matrix[1, 3] = matrix[1, 2] = 0  # Vertex 1 dangles.
    cell = Cell(matrix, [INPUT, CONV1X1, CONV3X3, OUTPUT])
    copied = duplicate(cell)
    assert copied == cell
    assert copied.text == cell.text
    assert copied.num_vertices == 3
    np.testing.assert_array_equal(copied.original_matrix, cell.original_matrix)
    assert not copied.matrix.flags.writeable


def test_equality_is_that_of_the_network_built():
    direct = Cell([[0, 1], [0, 0]], [INPUT, OUTPUT])
    with_dangling = Cell([[0, 1, 1], [0, 0, 0], [0, 0, 0]], [INPUT, CONV3X3, OUTPUT])
    assert direct == with_dangling
    assert hash(direct) == hash(with_dangling)
    assert direct.text != with_dangling.text

    fork = np.array([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    one = Cell(fork, [INPUT, CONV3X3, CONV1X1, OUTPUT])
    other = Cell(fork, [INPUT, CONV1X1, CONV3X3, OUTPUT])
    assert one != other  # Isomorphic, but not vertex by vertex.
    assert one.key == other.key

    nothing = Cell(np.zeros((3, 3)), [INPUT, CONV3X3, OUTPUT])
    assert nothing == Cell(np.zeros((3, 3)), [INPUT, CONV3X3, OUTPUT])
    assert nothing != Cell(np.zeros((3, 3)), [INPUT, CONV1X1, OUTPUT])
    assert nothing != direct
    assert nothing != "no cell"


def test_text_form_is_stable():
    # Run directories store this form: a change would orphan them.
    cell = Cell([[0, 1, 1], [0, 0, 1], [0, 0, 0]], [INPUT, MAXPOOL3X3, OUTPUT])
    assert cell.text == str(cell) == "011/001/000:input,maxpool3x3,output"
    assert repr(cell) == "Cell.from_text('011/001/000:input,maxpool3x3,output')"


@given(any_cells())
def test_text_and_repr_round_trip(cell):
    for read in (Cell.from_text(cell.text), Cell.from_text(f"  {cell}\n"), eval(repr(cell))):
        assert read == cell
        np.testing.assert_array_equal(read.original_matrix, cell.original_matrix)
        assert read.original_ops == cell.original_ops


@given(any_cells())
def test_pruned_pair_builds_the_same_cell(cell):
    if cell.matrix is not None:
        again = Cell(cell.matrix, cell.ops)
        assert again == cell
        assert again.key == cell.key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a cell"),
        ("011/001/000", "is not a cell"),
        (":input,output", "is not a matrix"),
        ("01/0:input,output", "is not a matrix"),
        ("01/02:input,output", "is not a matrix"),
        ("01/00/00:input,output", "is not a matrix"),
        ("01/0²:input,output", "is not a matrix"),
        ("01/00:", "got 1 for 2 vertices"),
        ("01/00:input;output", "got 1 for 2 vertices"),
        ("01/10:input,output", "below the diagonal"),
        ("010/001/000:input,conv,output", "unknown operation 'conv'"),
    ],
)
def test_malformed_text_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Cell.from_text(text)
