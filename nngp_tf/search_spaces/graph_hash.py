"""The published NAS-Bench-101 hash of a labelled module: equal for isomorphic modules.

colour[v] = md5(str((out_degree[v], in_degree[v], label[v])))
repeat V times, all vertices at once:
    colour[v] = md5(sorted colours of in-neighbours | of out-neighbours | own colour)
hash = md5(str(sorted list of colours))
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def module_hash(matrix: npt.ArrayLike, labels: Sequence[int]) -> str:
    """Compute the hash under which the published benchmark stores a module.

    The definition is `hash_module` of nasbench/lib/graph_util.py. The digest is taken over the
    printed form of Python integers, so degrees and labels of any other type (NumPy scalars,
    floats) are brought to `int` first.

    Args:
      matrix: Adjacency [V, V] of any dtype; nonzero at [u, v] means an edge u -> v.
      labels: [V] whole numbers; the benchmark uses -1 for the input, -2 for the output and the
        operation's position in `nasbench101.OPS` in between.

    Returns:
      32 lower-case hexadecimal digits.

    Raises:
      ValueError: The matrix is not square, or the number of labels differs from V.
    """
    adjacency = np.asarray(matrix)
    if adjacency.ndim != 2 or adjacency.shape[0] != adjacency.shape[1]:
        raise ValueError(f"matrix must be square [V, V], got shape {list(adjacency.shape)}")
    num_vertices = adjacency.shape[0]
    if len(labels) != num_vertices:
        raise ValueError(
            f"labels must have one entry a vertex: got {len(labels)} for {num_vertices} vertices"
        )

    edges = (adjacency != 0).tolist()
    vertices = range(num_vertices)
    predecessors = [[u for u in vertices if edges[u][v]] for v in vertices]
    successors = [[w for w in vertices if edges[v][w]] for v in vertices]

    colours = [
        _digest(str((len(successors[v]), len(predecessors[v]), int(labels[v])))) for v in vertices
    ]
    for _ in vertices:
        colours = [
            _digest(
                "".join(sorted([colours[u] for u in predecessors[v]]))
                + "|"
                + "".join(sorted([colours[w] for w in successors[v]]))
                + "|"
                + colours[v]
            )
            for v in vertices
        ]
    return _digest(str(sorted(colours)))


def _digest(text: str) -> str:
    # Not for security, so that it also works where a FIPS policy forbids md5.
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
