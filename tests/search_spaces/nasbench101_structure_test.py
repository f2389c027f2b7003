"""The numbers read off a cell."""

import itertools

import numpy as np
import pytest

from nngp_tf.search_spaces import nasbench101
from nngp_tf.search_spaces.nasbench101_structure import structure

pytestmark = pytest.mark.fast


def test_of_a_cell_by_hand():
    # input -> conv3x3 -> conv1x1 -> conv3x3 -> output, input -> maxpool -> output, input -> output.
    text = "010011/001000/000100/000001/000001/000000:" + ",".join(
        ["input", "conv3x3-bn-relu", "conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output"]
    )
    assert structure(nasbench101.Cell.from_text(text)) == {
        "num_conv3x3": 2,
        "num_conv1x1": 1,
        "num_maxpool3x3": 1,
        "num_vertices": 6,
        "num_edges": 7,
        "num_paths": 3,
        "longest_path": 4,
        "shortest_path": 1,
        "most_conv3x3": 2,
        "input_successors": 3,
        "output_predecessors": 3,
        "is_residual": 1,
    }


def paths(cell, vertex=0):
    """All paths from a vertex to the output, one by one."""
    if vertex == cell.num_vertices - 1:
        return [[vertex]]
    after = np.flatnonzero(cell.matrix[vertex]).tolist()
    return [[vertex, *rest] for rest in itertools.chain(*(paths(cell, w) for w in after))]


def test_paths_are_those_that_can_be_walked():
    rng = np.random.default_rng(0)
    for cell in (nasbench101.sample(rng) for _ in range(100)):
        found, walked = structure(cell), paths(cell)
        assert found["num_paths"] == len(walked)
        assert found["longest_path"] == max(map(len, walked)) - 1
        assert found["shortest_path"] == min(map(len, walked)) - 1
        conv = [sum(cell.ops[v] == nasbench101.CONV3X3 for v in path) for path in walked]
        assert found["most_conv3x3"] == max(conv)


def test_what_pruning_removes_does_not_count():
    # Vertex 2 leads nowhere.
    cell = nasbench101.Cell.from_text(
        "0110/0001/0000/0000:input,conv1x1-bn-relu,conv3x3-bn-relu,output"
    )
    assert structure(cell)["num_conv3x3"] == 0
    assert structure(cell)["num_vertices"] == 3


def test_a_cell_without_a_path_is_refused():
    cell = nasbench101.Cell.from_text("010/000/000:input,maxpool3x3,output")
    with pytest.raises(ValueError, match="no structure: no path leads from its input"):
        structure(cell)
