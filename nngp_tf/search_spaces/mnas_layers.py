"""The layers that the blocks of a mobile network stand for, with every width worked out.

for each block
    for each repeat
        first   input = what flows in, the block's stride; else   input = output filters, stride 1
        expansion = input x expand ratio, unless the ratio is 1
        squeeze = int(input x squeeze-excitation ratio), at least 1, where the ratio is not 0
        skip where stride is 1 and input = output
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from nngp_tf.search_spaces.mnas_blocks import MBCONV, NONE, Block


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer as it is built. Two networks with equal layers are the same graph.

    Attributes:
      block_fn: "conv", "mbconv" or "dconv".
      kernel_size: Height and width of the convolution that is not 1x1.
      stride: Of that convolution, in both directions.
      input_filters: Channels that flow in.
      expansion_filters: Channels of the 1x1 convolution before the depthwise one; 0 for none.
      squeeze_filters: Channels between the two of squeeze-excitation; 0 for none.
      output_filters: Channels that flow out.
      skip: "none", or what of the input is added to the output.
    """

    block_fn: str
    kernel_size: int
    stride: int
    input_filters: int
    expansion_filters: int
    squeeze_filters: int
    output_filters: int
    skip: str

    @property
    def depthwise_filters(self) -> int:
        """Channels of the depthwise convolution."""
        return self.expansion_filters or self.input_filters


def block_layers(
    block: Block, input_filters: int, stride: int, width_multiplier: float | None = None
) -> list[Layer]:
    """Work out the layers of one block.

    Args:
      block: What they are of.
      input_filters: Channels that flow in.
      stride: Of the first layer.
      width_multiplier: Of `round_filters`.

    Raises:
      ValueError: Squeeze-excitation without an expansion has the width of input filters that are
        declared and not there.
    """
    declared = input_filters
    if block.input_filters is not None:
        declared = round_filters(block.input_filters, width_multiplier)
    output = round_filters(block.output_filters, width_multiplier)
    layers = [_layer(block, input_filters, declared, output, stride)]
    return layers + [_layer(block, output, output, output, 1)] * (block.num_repeats - 1)


def round_filters(filters: int, width_multiplier: float | None) -> int:
    """Scale filters and round them to a multiple of 8, by at most a tenth downwards.

    Args:
      filters: To scale.
      width_multiplier: None leaves filters as they are. 1 does not: it rounds them.
    """
    if width_multiplier is None:
        return filters
    scaled = filters * width_multiplier
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def canonical_text(stem_filters: int, layers: Sequence[Layer]) -> str:
    """Write what is built on one line; equal for equal graphs."""
    return "/".join(
        [str(stem_filters)] + [",".join(map(str, dataclasses.astuple(x))) for x in layers]
    )


def _layer(block, input_filters, declared, output_filters, stride):
    expansion, squeeze, skip = 0, 0, NONE
    if block.block_fn == MBCONV:
        if block.expand_ratio != 1:
            expansion = declared * block.expand_ratio
        if block.se_ratio > 0:
            squeeze = max(1, int(declared * block.se_ratio))
        if squeeze and not expansion and declared != input_filters:
            raise ValueError(
                f"squeeze-excitation cannot scale {declared} channels where {input_filters} flow "
                "in: declare the input filters that are there, or an expansion"
            )
        if stride == 1 and declared == output_filters:
            skip = block.skip
    if skip != NONE and input_filters != output_filters:
        raise ValueError(
            f"a skip cannot add {input_filters} channels to {output_filters}: declare the input "
            "filters that are there, or no skip"
        )
    return Layer(
        block.block_fn,
        block.kernel_size,
        stride,
        input_filters,
        expansion,
        squeeze,
        output_filters,
        skip,
    )
