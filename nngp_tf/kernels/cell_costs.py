"""What NAS-Bench-101 cells cost on the shared programs of `cell_program`, by arithmetic alone.

All vertices are as wide as their program has it, so the cost of a cell follows from how many
convolutions it has of each kind: a few hundred combinations stand for the 423,624 cells.
"""

from __future__ import annotations

import collections
from typing import NamedTuple

import numpy as np

from nngp_tf.kernels import cell_layout
from nngp_tf.kernels.cell_program import CellFamily
from nngp_tf.search_spaces import nasbench101, nasbench101_enumeration


class Convolutions(NamedTuple):
    """The convolutions of a cell.

    Attributes:
      feeders: Interior vertices that feed the output, which choose the program.
      projections: Interior vertices that the input feeds, each through a 1x1 convolution.
      conv3x3: Vertices of this operation.
      conv1x1: Vertices of this operation.
      residual: 1 if the input feeds the output, through a 1x1 convolution too; else 0.
    """

    feeders: int
    projections: int
    conv3x3: int
    conv1x1: int
    residual: int


def convolutions(cell: nasbench101.Cell) -> Convolutions:
    """Count the convolutions of a cell."""
    matrix = cell.matrix
    return Convolutions(
        feeders=int(matrix[1:-1, -1].sum()),
        projections=int(matrix[0, 1:-1].sum()),
        conv3x3=cell.ops.count(nasbench101.CONV3X3),
        conv1x1=cell.ops.count(nasbench101.CONV1X1),
        residual=int(matrix[0, -1]),
    )


def census() -> collections.Counter[Convolutions]:
    """Count the cells of the space with the same convolutions; takes the enumeration's seconds."""
    counts = collections.Counter()
    for num_vertices in range(2, nasbench101.MAX_VERTICES + 1):
        bits, labellings = nasbench101_enumeration.representatives(num_vertices)
        output = num_vertices - 1

        def edge(source, target, bits=bits):
            return bits >> (source + target * (target - 1) // 2) & 1

        interior = range(1, output)
        operations = [
            labellings // len(nasbench101.OPS) ** (v - 1) % len(nasbench101.OPS) for v in interior
        ]

        def number(op, operations=operations):
            return sum((op_of == nasbench101.OPS.index(op)).astype(int) for op_of in operations)

        columns = np.broadcast_arrays(
            sum(edge(v, output) for v in interior),
            sum(edge(0, v) for v in interior),
            number(nasbench101.CONV3X3),
            number(nasbench101.CONV1X1),
            edge(0, output),
        )
        rows, numbers = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)
        for row, count in zip(rows.tolist(), numbers.tolist(), strict=True):
            counts[Convolutions(*row)] += count
    return counts


def image_flops(family: CellFamily, kinds: Convolutions, height: int, width: int) -> int:
    """Return the floating-point operations of a network's convolutions on one image.

    A multiply-add counts as two, and taps on the padding of the image do not count.
    """
    total = _conv(height, width, 3, family.image_channels, family.stem_filters)
    source = family.stem_filters
    for number, stack in enumerate(family.stacks):
        if number > 0:
            height, width = -(-height // 2), -(-width // 2)
        for _ in range(family.modules_per_stack):
            total += kinds.projections * _conv(height, width, 1, source, stack.width)
            total += kinds.conv3x3 * _conv(height, width, 3, stack.width, stack.width)
            total += kinds.conv1x1 * _conv(height, width, 1, stack.width, stack.width)
            total += kinds.residual * _conv(height, width, 1, source, stack.output)
            source = stack.output
    return total


def costliest(num_feeders: int) -> Convolutions:
    """Return what a program computes where every conditional takes the branch that costs most."""
    slots = cell_layout.SLOTS if num_feeders else 0
    return Convolutions(num_feeders, projections=slots, conv3x3=slots, conv1x1=0, residual=1)


def _conv(height, width, kernel_size, rows, columns):
    # Each border cuts the taps that would lie beyond it: of a side of 3, one at either end.
    cut = kernel_size - 1
    taps = (kernel_size * height - cut) * (kernel_size * width - cut)
    return 2 * taps * rows * columns
