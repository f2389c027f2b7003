"""A NAS-Bench-101 cell as a frozen value: checked, pruned, hashed, compared, written as text."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nngp_tf.search_spaces import graph_hash

INPUT = "input"
OUTPUT = "output"
CONV3X3 = "conv3x3-bn-relu"
CONV1X1 = "conv1x1-bn-relu"
MAXPOOL3X3 = "maxpool3x3"
# The order is part of the published hash: an operation's label is its position here.
OPS = (CONV3X3, CONV1X1, MAXPOOL3X3)

MAX_VERTICES = 7
MAX_EDGES = 9
NUM_CELLS = 423_624


@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class Cell:
    """A cell as written (`original_matrix`, `original_ops`) and as built (`matrix`, `ops`).

    What is built leaves out every vertex that lies on no path from input to output, as `ModelSpec`
    of nasbench/lib/model_spec.py does. Where no path exists `matrix` and `ops` are None.

    Two cells are equal if they build the same network: same pruned matrix, same pruned ops, vertex
    by vertex. `key` is also equal for isomorphic cells, whose networks compute the same function
    up to the order of vertices (and of a few channels where a split is uneven).

    Attributes:
      matrix: Pruned adjacency [V, V], int8, read-only, strictly upper triangular; or None.
      ops: Pruned operations, V names beginning with "input" and ending with "output"; or None.
      original_matrix: Adjacency as given, int8, read-only. Mutation starts from it.
      original_ops: Operations as given.
    """

    matrix: np.ndarray | None
    ops: tuple[str, ...] | None
    original_matrix: np.ndarray
    original_ops: tuple[str, ...]

    def __init__(self, matrix: npt.ArrayLike, ops: Sequence[str]) -> None:
        """Check and prune a cell; one outside the space is allowed, see `invalid_reason`.

        Args:
          matrix: Adjacency [V, V] of zeros and ones (any dtype) above the diagonal; 1 at [u, v] is
            an edge u -> v. Vertex 0 is the input, vertex V - 1 the output.
          ops: V operation names; the first is "input", the last "output", the others in `OPS`.

        Raises:
          ValueError: The matrix is not square, has an entry other than 0 and 1 or one on or below
            the diagonal; or ops has another length, an unknown name, or other ends.
        """
        original_ops = tuple(map(str, ops))
        original_matrix = _checked_matrix(matrix)
        _check_ops(original_ops, num_vertices=len(original_matrix))
        kept = _vertices_on_paths(original_matrix)
        if not kept:
            pruned_matrix, pruned_ops = None, None
        elif len(kept) == len(original_ops):
            pruned_matrix, pruned_ops = original_matrix, original_ops
        else:
            pruned_matrix = original_matrix[kept][:, kept]
            pruned_matrix.setflags(write=False)
            pruned_ops = tuple(original_ops[vertex] for vertex in kept)
        for name, value in (
            ("matrix", pruned_matrix),
            ("ops", pruned_ops),
            ("original_matrix", original_matrix),
            ("original_ops", original_ops),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def from_text(cls, text: str) -> "Cell":
        """Read the form that `text` writes, such as "011/001/000:input,maxpool3x3,output".

        Raises:
          ValueError: The text has no colon, rows of unequal length or other digits than 0 and 1;
            or what it says is refused by the constructor.
        """
        rows_text, colon, ops_text = str(text).strip().partition(":")
        if not colon:
            raise ValueError(
                f"{text!r} is not a cell: write the rows of the matrix joined by '/', a colon, "
                "and the operations joined by ','"
            )
        rows = rows_text.strip().split("/")
        if any(len(row) != len(rows) or row.strip("01") for row in rows):
            raise ValueError(
                f"{rows_text!r} is not a matrix: write V rows of V digits 0 or 1, joined by '/'"
            )
        matrix = [[int(digit) for digit in row] for row in rows]
        return cls(matrix, [op.strip() for op in ops_text.split(",")])

    @property
    def text(self) -> str:
        """The cell as written (before pruning) on one line, which `from_text` reads back."""
        rows = ("".join(map(str, row)) for row in self.original_matrix.tolist())
        return "/".join(rows) + ":" + ",".join(self.original_ops)

    @property
    def num_vertices(self) -> int:
        """Vertices after pruning, input and output included; 0 where nothing survives."""
        return 0 if self.ops is None else len(self.ops)

    @property
    def num_edges(self) -> int:
        """Edges after pruning; 0 where nothing survives."""
        return 0 if self.matrix is None else int(self.matrix.sum())

    @property
    def invalid_reason(self) -> str | None:
        """Why the cell lies outside the space, in one sentence; None for a cell inside it."""
        if self.matrix is None:
            return "the cell is disconnected: no path leads from its input to its output"
        if self.num_vertices > MAX_VERTICES:
            return f"the cell has {self.num_vertices} vertices, at most {MAX_VERTICES} are allowed"
        if self.num_edges > MAX_EDGES:
            return f"the cell has {self.num_edges} edges, at most {MAX_EDGES} are allowed"
        return None

    @property
    def is_valid(self) -> bool:
        """Whether the pruned cell is connected and has at most 7 vertices and 9 edges."""
        return self.invalid_reason is None

    @functools.cached_property
    def module_hash(self) -> str:
        """The published hash, under which the benchmark stores the cell.

        Raises:
          ValueError: No path leads from input to output, so there is nothing to hash.
        """
        if self.matrix is None:
            raise ValueError(f"{self.text} has no hash: no path leads from its input to its output")
        labels = [-1, *(OPS.index(op) for op in self.ops[1:-1]), -2]
        return graph_hash.module_hash(self.matrix, labels)

    @property
    def key(self) -> str:
        """What identifies the cell among all others of the space: its `module_hash`."""
        return self.module_hash

    @functools.cached_property
    def _identity(self) -> tuple[bytes, tuple[str, ...]]:
        if self.matrix is None:
            return self.original_matrix.tobytes(), self.original_ops
        return self.matrix.tobytes(), self.ops

    def __eq__(self, other: object) -> bool:
        return self._identity == other._identity if isinstance(other, Cell) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity)

    def __reduce__(self):
        # Through the constructor, because NumPy's own pickles come back writable.
        return Cell.from_text, (self.text,)

    def __repr__(self) -> str:
        return f"Cell.from_text({self.text!r})"

    def __str__(self) -> str:
        return self.text


def _checked_matrix(matrix: npt.ArrayLike) -> np.ndarray:
    """Return a read-only int8 copy [V, V], or raise a ValueError that says what is wrong."""
    try:
        given = np.asarray(matrix)
    except ValueError as error:
        raise ValueError("matrix must be square, got rows of unequal length") from error
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise ValueError(f"matrix must be square [V, V], got shape {list(given.shape)}")
    is_bit = (given == 0) | (given == 1) if given.dtype.kind in "biufO" else np.zeros(given.shape)
    if not np.all(is_bit):
        row, column = np.argwhere(np.logical_not(is_bit))[0].tolist()
        raise ValueError(
            f"matrix must hold zeros and ones, got {given[row, column]} at [{row}, {column}]"
        )
    checked = given.astype(np.int8)
    for vertex, row in enumerate(checked.tolist()):
        if any(row[: vertex + 1]):
            raise ValueError(
                "matrix must be zero on and below the diagonal (edges lead to later vertices), "
                f"got 1 at [{vertex}, {row.index(1)}]"
            )
    checked.setflags(write=False)
    return checked


def _check_ops(ops: tuple[str, ...], num_vertices: int) -> None:
    if len(ops) != num_vertices:
        raise ValueError(
            f"ops must have one entry a vertex: got {len(ops)} for {num_vertices} vertices"
        )
    if num_vertices < 2:
        raise ValueError(f"a cell needs an input and an output vertex, got {num_vertices} vertices")
    if ops[0] != INPUT or ops[-1] != OUTPUT:
        raise ValueError(
            f"ops must begin with '{INPUT}' and end with '{OUTPUT}', got '{ops[0]}' and '{ops[-1]}'"
        )
    for op in ops[1:-1]:
        if op not in OPS:
            raise ValueError(f"unknown operation '{op}', the operations are {', '.join(OPS)}")


def _vertices_on_paths(matrix: np.ndarray) -> list[int]:
    """Return the vertices on a path from input to output, ascending; empty if there is none."""
    # Vertex order is topological, so one pass in each direction finds everything reachable.
    successors = [[w for w, edge in enumerate(row) if edge] for row in matrix.tolist()]
    num_vertices = len(successors)
    from_input, to_output = {0}, {num_vertices - 1}
    for vertex in range(num_vertices):
        if vertex in from_input:
            from_input.update(successors[vertex])
    for vertex in reversed(range(num_vertices)):
        if not to_output.isdisjoint(successors[vertex]):
            to_output.add(vertex)
    return sorted(from_input & to_output)
