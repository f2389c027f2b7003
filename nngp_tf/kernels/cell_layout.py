"""A NAS-Bench-101 cell as tensors of fixed shape, so that it can be an input of a program.

What a program is made for is the number of interior vertices that feed the output, F, which the
9 edges keep between 0 and 4. Vertices have slots 1 to 5. With `filters` channels in a stack, each
slot is W = ceil(filters / F) wide; where F does not divide, some vertices use W - 1 channels. The
output lies in F blocks of W channels, and `Axis` says which channels of a block are real.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from nngp_tf.models.nasbench101 import vertex_channels
from nngp_tf.models.nasbench101_network import Nasbench101Network
from nngp_tf.search_spaces import nasbench101

MAX_FEEDERS = 4
SLOTS = 5
ABSENT = len(nasbench101.OPS)


@dataclasses.dataclass(frozen=True)
class Stack:
    """Static sizes of a stack.

    Attributes:
      filters: Channels of the output.
      width: W, channels of a slot.
      blocks: F blocks of W channels make the output; without a feeder it is one of `filters`.
    """

    filters: int
    width: int
    blocks: int

    @property
    def output(self) -> int:
        """Channels of the output with the padding of its blocks."""
        return self.blocks * self.width

    @property
    def padded(self) -> bool:
        """Whether some vertex may be narrower than its slot."""
        return self.output != self.filters


def num_feeders(network: Nasbench101Network) -> int:
    """Return F, the interior vertices that feed the output."""
    return int(network.cell.matrix[1:, -1].sum())


def stacks(network: Nasbench101Network) -> tuple[Stack, ...]:
    """Return the sizes of each stack, the same for all cells with the same F."""
    blocks = max(1, num_feeders(network))
    sizes = []
    for stack in range(network.num_stacks):
        filters = network.stem_filters * 2**stack
        sizes.append(Stack(filters, -(-filters // blocks), blocks))
    return tuple(sizes)


def encode(network: Nasbench101Network) -> dict[str, np.ndarray]:
    """Encode what differs between cells with the same F.

    Returns:
      op [5]: Position in `nasbench101.OPS` for each slot, `ABSENT` where there is no vertex.
      edge [6, 5]: Whether a source (the input, then slots 1 to 5) feeds slots 1 to 5.
      first [5]: The source with which the sum of a slot begins: the input if that is one.
      feeder [F]: Slots that feed the output, ascending.
      residual []: Whether the input feeds the output.
      width [stacks, 5]: Channels in use of each slot.
      index [stacks, output]: For each padded channel of a stack's output the real channel, or -1.
      position [C]: Padded channel of each feature of the last stack.
    """
    cell = network.cell
    output = len(cell.ops) - 1
    interior = range(1, output)
    op = np.full(SLOTS, ABSENT)
    edge = np.zeros((SLOTS + 1, SLOTS), bool)
    # An absent slot passes the one before it on, so that it costs nothing.
    first = np.arange(SLOTS)
    for vertex in interior:
        op[vertex - 1] = nasbench101.OPS.index(cell.ops[vertex])
        edge[:vertex, vertex - 1] = cell.matrix[:vertex, vertex]
        first[vertex - 1] = int(np.argmax(cell.matrix[:vertex, vertex]))
    feeder = np.array([v for v in interior if cell.matrix[v, output]], int)
    sizes = stacks(network)
    width = np.zeros((len(sizes), SLOTS), int)
    index = []
    for number, stack in enumerate(sizes):
        channels = vertex_channels(stack.filters, stack.filters, cell.matrix)
        width[number, : output - 1] = channels[1:output]
        used = [channels[v] for v in feeder] or [stack.filters]
        blocks = np.full((stack.blocks, stack.width), -1)
        for block, (start, size) in enumerate(zip(np.cumsum([0, *used]), used, strict=False)):
            blocks[block, :size] = np.arange(start, start + size)
        index.append(blocks.ravel())
    return {
        "op": op.astype(np.int32),
        "edge": edge,
        "first": first.astype(np.int32),
        "feeder": feeder.astype(np.int32),
        "residual": np.array(bool(cell.matrix[0, output])),
        "width": width.astype(np.int32),
        "index": [each.astype(np.int32) for each in index],
        "position": np.flatnonzero(index[-1] >= 0).astype(np.int32),
    }
