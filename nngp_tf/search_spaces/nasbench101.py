"""The NAS-Bench-101 search space: sampling, mutation, enumeration and files of cells.

A cell is a directed acyclic graph of at most 7 vertices and 9 edges: an input, an output and
operations in between. 423,624 cells differ as labelled graphs (Ying et al., NAS-Bench-101, 2019).
"""

from collections.abc import Iterable, Iterator

import numpy as np

from nngp_tf.search_spaces import architecture_lines, nasbench101_enumeration
from nngp_tf.search_spaces.nasbench101_cell import (
    CONV1X1,
    CONV3X3,
    INPUT,
    MAX_EDGES,
    MAX_VERTICES,
    MAXPOOL3X3,
    NUM_CELLS,
    OPS,
    OUTPUT,
    Cell,
)

__all__ = [
    "CONV1X1",
    "CONV3X3",
    "INPUT",
    "MAXPOOL3X3",
    "MAX_EDGES",
    "MAX_VERTICES",
    "NUM_CELLS",
    "OPS",
    "OUTPUT",
    "Cell",
    "Rng",
    "enumerate_cells",
    "mutate",
    "notebook_cells",
    "parse_cells",
    "sample",
]

# Both draw the same way here; the legacy kind reproduces what older programs drew.
Rng = np.random.Generator | np.random.RandomState


def sample(rng: Rng, uniform_over: str = "matrices") -> Cell:
    """Draw a cell of the space.

    Args:
      rng: A NumPy generator.
      uniform_over: "matrices" draws 7 x 7 matrices and operations until a cell lies in the space,
        as the benchmark's authors do (random_spec of NASBench.ipynb): a cell is the likelier the
        more matrices prune to it or are isomorphic to it. "cells" draws each of the 423,624 cells
        with the same probability; the first such draw takes the seconds of the enumeration.

    Raises:
      ValueError: `uniform_over` is neither.
    """
    if uniform_over == "cells":
        return nasbench101_enumeration.cell_at(int(rng.choice(NUM_CELLS)))
    if uniform_over != "matrices":
        raise ValueError(f"uniform_over must be 'matrices' or 'cells', got {uniform_over!r}")
    while True:
        # The number, order and kind of draws are those of the authors' notebooks, lower triangle
        # and ends included: `notebook_cells` depends on it.
        matrix = rng.choice([0, 1], size=(MAX_VERTICES, MAX_VERTICES))
        ops = rng.choice(OPS, size=MAX_VERTICES).tolist()
        cell = Cell(np.triu(matrix, 1), [INPUT, *ops[1:-1], OUTPUT])
        if cell.is_valid:
            return cell


def notebook_cells(num_cells: int = 250, seed: int = 123) -> list[Cell]:
    """Draw the distinct cells of the authors' NNGP notebook, in its order.

    `random_specs` of nngp_nas/NNGP_on_NASBench101.ipynb (google-research) with NumPy's legacy
    generator; the defaults are those of its experiment.

    Raises:
      ValueError: `num_cells` is not between 1 and the size of the space.
    """
    if not 1 <= num_cells <= NUM_CELLS:
        raise ValueError(f"num_cells must be between 1 and {NUM_CELLS}, got {num_cells}")
    rng = np.random.RandomState(seed)
    cells = {}
    while len(cells) < num_cells:
        cell = sample(rng)
        cells.setdefault(cell.key, cell)
    return list(cells.values())


def mutate(cell: Cell, rng: Rng, mutation_rate: float = 1.0) -> Cell:
    """Draw a neighbour of a cell that lies in the space; it may be the cell itself.

    As `mutate_spec` of NASBench.ipynb: each of the V (V - 1) / 2 possible edges of the original
    (unpruned) matrix flips with probability mutation_rate / V, each inner operation becomes another
    one with probability mutation_rate / (V - 2), all anew until the child is valid. The child has
    as many original vertices as its parent, so a cell written with fewer than 7 cannot grow
    beyond them.

    Args:
      cell: The parent.
      rng: A NumPy generator.
      mutation_rate: From 0 (a copy) to V / 2 (every edge is the toss of a coin).

    Raises:
      ValueError: The parent lies outside the space, or `mutation_rate` outside that interval.
    """
    if not cell.is_valid:
        raise ValueError(f"cannot mutate {cell}: {cell.invalid_reason}")
    num_vertices = len(cell.original_ops)
    if not 0 <= mutation_rate <= num_vertices / 2:
        raise ValueError(
            f"mutation_rate must be between 0 and {num_vertices / 2} (half the vertices), "
            f"got {mutation_rate}"
        )
    edge_probability = mutation_rate / num_vertices
    op_probability = mutation_rate / max(num_vertices - 2, 1)
    labels = np.array([OPS.index(op) for op in cell.original_ops[1:-1]], dtype=int)
    while True:
        flips = rng.random((num_vertices, num_vertices)) < edge_probability
        changes = rng.random(len(labels)) < op_probability
        steps = rng.choice([1, 2], size=len(labels))
        ops = [OPS[label] for label in (labels + changes * steps) % len(OPS)]
        child = Cell(np.triu(cell.original_matrix ^ flips, 1), [INPUT, *ops, OUTPUT])
        if child.is_valid:
            return child


def enumerate_cells(start: int = 0, stop: int | None = None) -> Iterator[Cell]:
    """Yield each cell of the space once, in the published order and vertex order.

    Args:
      start: First position in 0..423,624.
      stop: Position after the last; the end of the space unless given. Shards of the space are
        ranges of positions.

    Raises:
      ValueError: start and stop are no range within the space.
    """
    return nasbench101_enumeration.cells(start, NUM_CELLS if stop is None else stop)


def parse_cells(lines: Iterable[str], source: str) -> list[Cell]:
    """Read one cell a line in the form of `Cell.text`.

    Args:
      lines: Lines of text; blank ones, and whatever follows a '#', are ignored.
      source: What the lines come from, for messages; usually a file name.

    Raises:
      ValueError: As `architecture_lines.parse`, or a cell lies outside the space.
    """
    return architecture_lines.parse(lines, source, _valid_cell, "cell")


def _valid_cell(text):
    cell = Cell.from_text(text)
    if not cell.is_valid:
        raise ValueError(cell.invalid_reason)
    return cell
