"""The published hash: golden values, invariances, and what it must tell apart."""

import itertools

import numpy as np
import pytest

from nngp_tf.search_spaces.graph_hash import module_hash

pytestmark = pytest.mark.fast


def _matrix(num_vertices, edges, dtype=int):
    matrix = np.zeros((num_vertices, num_vertices), dtype)
    for source, target in edges:
        matrix[source, target] = 1
    return matrix


INCEPTION = (
    _matrix(7, [(0, 1), (0, 2), (0, 3), (0, 5), (1, 6), (2, 6), (3, 4), (4, 6), (5, 6)]),
    [-1, 1, 0, 0, 0, 2, -2],
)

# Facts, section A2: from an independent re-implementation of hash_module, checked against an
# enumeration of the whole space. Labels: 0 conv3x3, 1 conv1x1, 2 maxpool3x3.
GOLDEN = [
    (*INCEPTION, "28cfc7874f6d200472e1a9dcd8650aa0"),
    (
        _matrix(7, [(0, 1), (0, 2), (0, 5), (0, 6), (1, 5), (2, 3), (3, 4), (4, 5), (5, 6)]),
        [-1, 1, 0, 2, 0, 0, -2],
        "02e5a0247bbdcf2860b7e96f74961594",
    ),
    (
        _matrix(4, [(0, 1), (0, 3), (1, 2), (2, 3)]),
        [-1, 0, 0, -2],
        "b5fb4f6193360330b6ff6a52cbf0cad7",
    ),
    (_matrix(2, [(0, 1)]), [-1, -2], "043721b9c7fe8c5fad811d47d83132ec"),
    (_matrix(3, [(0, 1), (1, 2)]), [-1, 2, -2], "53cee42601ad14d661bb6878031d6acb"),
    (_matrix(3, [(0, 1), (1, 2)]), [-1, 0, -2], "b49ac8c578b4561d79ac7087988f1c61"),
    (_matrix(3, [(0, 1), (1, 2)]), [-1, 1, -2], "d1269d9156ddc027c40473008192958a"),
]


@pytest.mark.parametrize(("matrix", "labels", "expected"), GOLDEN)
def test_published_hashes(matrix, labels, expected):
    assert module_hash(matrix, labels) == expected


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.float32, float, object])
def test_hash_does_not_depend_on_the_number_type(dtype):
    # NumPy 2 prints np.int64(1) and floats print 1.0: either would silently change the digest.
    matrix, labels = INCEPTION
    expected = GOLDEN[0][2]
    assert module_hash(matrix.astype(dtype), labels) == expected
    assert module_hash(matrix.astype(dtype).tolist(), labels) == expected
    assert module_hash(matrix, np.array(labels)) == expected
    assert module_hash(matrix, np.array(labels, float)) == expected


def test_hash_is_equal_for_every_order_of_the_vertices():
    matrix, labels = INCEPTION
    for order in itertools.permutations(range(1, 6)):
        order = [0, *order, 6]
        permuted = matrix[np.ix_(order, order)]
        assert module_hash(permuted, [labels[v] for v in order]) == GOLDEN[0][2]


# The unit cases of nasbench/tests/graph_util_test.py.
def test_swapped_labels_of_a_diamond_are_equal():
    diamond = _matrix(4, [(0, 1), (0, 2), (1, 3), (2, 3)])
    assert module_hash(diamond, [-1, 1, 0, -2]) == module_hash(diamond, [-1, 0, 1, -2])


def test_label_order_along_a_chain_matters():
    chain = _matrix(5, [(0, 1), (1, 2), (2, 3), (3, 4)])
    assert module_hash(chain, [-1, 1, 0, 0, -2]) != module_hash(chain, [-1, 0, 0, 1, -2])


def test_label_order_along_a_chain_with_a_skip_matters():
    skip = _matrix(4, [(0, 1), (1, 2), (2, 3), (0, 3)])
    assert module_hash(skip, [-1, 1, 0, -2]) != module_hash(skip, [-1, 0, 1, -2])


def test_direction_of_edges_matters():
    fork = _matrix(4, [(0, 1), (0, 2), (1, 3), (2, 3), (0, 3)])
    path = _matrix(4, [(0, 1), (1, 2), (2, 3), (0, 3), (1, 3)])
    assert module_hash(fork, [0, 0, 0, 0]) != module_hash(path, [0, 0, 0, 0])
    assert module_hash(path, [0, 0, 0, 0]) != module_hash(path.T, [0, 0, 0, 0])


def test_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match=r"square \[V, V\], got shape \[2, 3\]"):
        module_hash(np.zeros((2, 3)), [-1, -2])
    with pytest.raises(ValueError, match="got 3 for 2 vertices"):
        module_hash(np.zeros((2, 2)), [-1, 0, -2])
