"""What can be read off a NAS-Bench-101 cell without running anything: its structure in numbers.

How much of a signal is more than these is what a prediction that is fitted to trained networks has
to show, since the same fit to these numbers costs nothing.
"""

from __future__ import annotations

from nngp_tf.search_spaces.nasbench101_cell import CONV1X1, CONV3X3, MAXPOOL3X3, Cell


def structure(cell: Cell) -> dict[str, float]:
    """Describe a cell after pruning.

    Args:
      cell: Connected.

    Returns:
      num_conv3x3, num_conv1x1, num_maxpool3x3: vertices of each operation.
      num_vertices, num_edges: of the cell.
      num_paths: from input to output.
      longest_path, shortest_path: edges on it.
      most_conv3x3: the most 3x3 convolutions on one path.
      input_successors, output_predecessors: edges that leave the input, that reach the output.
      is_residual: 1 where an edge leads from input to output, else 0.

    Raises:
      ValueError: If no path leads from input to output.
    """
    if cell.matrix is None:
        raise ValueError(
            f"{cell.text} has no structure: no path leads from its input to its output"
        )
    # Vertex order is topological: what reaches a vertex is known when its turn comes.
    paths, longest, shortest, most = [1], [0], [0], [0]
    for vertex in range(1, cell.num_vertices):
        from_ = [u for u in range(vertex) if cell.matrix[u, vertex]]
        paths.append(sum(paths[u] for u in from_))
        longest.append(1 + max(longest[u] for u in from_))
        shortest.append(1 + min(shortest[u] for u in from_))
        most.append((cell.ops[vertex] == CONV3X3) + max(most[u] for u in from_))
    numbers = {
        "num_conv3x3": cell.ops.count(CONV3X3),
        "num_conv1x1": cell.ops.count(CONV1X1),
        "num_maxpool3x3": cell.ops.count(MAXPOOL3X3),
        "num_vertices": cell.num_vertices,
        "num_edges": cell.num_edges,
        "num_paths": paths[-1],
        "longest_path": longest[-1],
        "shortest_path": shortest[-1],
        "most_conv3x3": most[-1],
        "input_successors": cell.matrix[0].sum(),
        "output_predecessors": cell.matrix[:, -1].sum(),
        "is_residual": cell.matrix[0, -1],
    }
    return {name: float(number) for name, number in numbers.items()}
