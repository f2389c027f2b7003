"""A mobile network as a sequence of layers, each of a kind that networks share.

The stem, the layers of the blocks and the head are layers alike. What a kind leaves open is an
input of its programs: squeeze-excitation or none, which skip, and the channels where shapes may
stay unknown. Then the search space has 13 kinds, whatever the images:

    conv      kernels 3, 5 x strides 1, 2, the stem among them; the head's kernel 1    5
    mbconv    kernels 3, 5 x strides 1, 2 x with and without expansion                 8

and 17 with its extensions. With static shapes, at one image size, it has 628:

    first layers   6 blocks x 3 inputs x 3 outputs x 2 kernels x (conv, 3 expansions)    432
                   the first block, of one input                                          24
    repeats        7 blocks x 3 widths x 2 kernels x (conv, 3 expansions)                168
    stem, head     1 + 3                                                                   4
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from nngp_tf.kernels import weights
from nngp_tf.models.mnas import HEAD_FILTERS, STEM_STRIDE
from nngp_tf.models.mnas_network import MnasNetwork
from nngp_tf.search_spaces import mnas

# The convolutions of a layer, and what the builder appends to its name for their names.
SITES = {
    "expand": "_expand_conv",
    "depthwise": "_depthwise_conv",
    "squeeze": "_squeeze",
    "excite": "_excite",
    "project": "_project_conv",
}
SKIPS = (mnas.NONE, mnas.IDENTITY, mnas.MAX_POOL, mnas.AVERAGE_POOL)


class Widths(NamedTuple):
    """Channels within a layer; 0 where it has no such convolution.

    Attributes:
      input: What flows in.
      depthwise: Of the depthwise convolution.
      squeeze: Between the two of squeeze-excitation.
      output: What flows out.
    """

    input: int
    depthwise: int
    squeeze: int
    output: int


@dataclasses.dataclass(frozen=True)
class LayerKind:
    """What is static about a layer's programs.

    Attributes:
      block_fn: "conv", "mbconv" or "dconv"; stem and head are of "conv".
      kernel_size: Side of the convolution that is not 1x1, of the head's 1.
      stride: Of that convolution.
      expands: Whether a 1x1 convolution precedes the depthwise one.
      widths: Channels; None where an input tells them.
      image_size: Height and width of the layer's input; None for any.
    """

    block_fn: str
    kernel_size: int
    stride: int
    expands: bool
    widths: Widths | None = None
    image_size: tuple[int, int] | None = None

    @property
    def can_skip(self) -> bool:
        """Whether something of the input may be added to the output."""
        fits = self.widths is None or self.widths.input == self.widths.output
        return self.block_fn == mnas.MBCONV and self.stride == 1 and fits


class Layer(NamedTuple):
    """A layer of a network.

    Attributes:
      kind: Its programs.
      inputs: What they take: keys [5] of the kernels in the order of `SITES`, widths [4], skip []
        as position in `SKIPS`, all int32, and squeezes [], whether there is squeeze-excitation.
    """

    kind: LayerKind
    inputs: dict[str, np.ndarray]


def encode(network: MnasNetwork, static: bool = False) -> list[Layer]:
    """Return the layers of a network, stem and head included.

    Args:
      network: To encode.
      static: Whether the kinds have shapes.
    """
    encoded = []
    for name, layer, kind in _layers(network):
        inputs = {
            "keys": np.array(_keys(name, layer), np.int32),
            "widths": np.array(kind.widths, np.int32),
            "squeezes": np.array(layer.squeeze_filters > 0),
            "skip": np.array(SKIPS.index(layer.skip), np.int32),
        }
        if not static:
            kind = dataclasses.replace(kind, widths=None, image_size=None)
        encoded.append(Layer(kind, inputs))
    return encoded


def space_kinds(
    network: MnasNetwork, reference: str = "mobilenet_v2", extensions: Collection[str] = ()
) -> Iterator[LayerKind]:
    """Yield each kind with static shapes that networks of the search space have.

    Args:
      network: Any, whose options all of them share.
      reference: As for `mnas.choices`.
      extensions: As for `mnas.choices`.

    Raises:
      ValueError: As `mnas.choices`.
    """
    spaces = mnas.choices(reference, extensions)
    fields = [
        {name: values if name != "num_repeats" else (2,) for name, values in space.items()}
        for space in spaces
    ]
    base = [{name: values[0] for name, values in space.items()} for space in fields]
    seen = set()
    for block, space in enumerate(fields):
        # The input of a block is chosen by the one before.
        befores = fields[block - 1]["output_filters"] if block else (None,)
        for before, *values in itertools.product(befores, *space.values()):
            blocks = [dict(each) for each in base]
            blocks[block] = dict(zip(space, values, strict=True))
            if block:
                blocks[block - 1]["output_filters"] = before
            chosen = dataclasses.replace(network, network=mnas.Network.from_blocks(blocks))
            for _, _, kind in _layers(chosen):
                if kind not in seen:
                    seen.add(kind)
                    yield kind


def _layers(network):
    """Yield the builder's name of each layer, what it is, and its kind with static shapes."""
    *size, channels = network.input_shape
    filters = mnas.round_filters(network.network.stem_filters, network.width_multiplier)
    named = [("stem", _conv(3, STEM_STRIDE, channels, filters))]
    for block, layers in enumerate(network.network.layers(network.width_multiplier), start=1):
        for repeat, layer in enumerate(layers, start=1):
            named.append((f"block{block}_layer{repeat}", layer))
    named.append(("head", _conv(1, 1, layer.output_filters, HEAD_FILTERS)))
    for name, layer in named:
        yield name, layer, _kind(layer, tuple(size))
        size = [-(-side // layer.stride) for side in size]


def _conv(kernel_size, stride, input_filters, output_filters):
    return mnas.Layer(
        mnas.CONV, kernel_size, stride, input_filters, 0, 0, output_filters, mnas.NONE
    )


def _kind(layer, image_size):
    depthwise = 0 if layer.block_fn == mnas.CONV else layer.depthwise_filters
    squeeze = 0
    if layer.block_fn == mnas.MBCONV:
        # A layer without squeeze-excitation is of the kind that one with the space's would be.
        squeeze = layer.squeeze_filters or max(1, layer.input_filters // 4)
    return LayerKind(
        layer.block_fn,
        layer.kernel_size,
        layer.stride,
        layer.expansion_filters > 0,
        Widths(layer.input_filters, depthwise, squeeze, layer.output_filters),
        image_size,
    )


def _keys(name, layer):
    suffixes = dict(SITES)
    if layer.block_fn == mnas.CONV:
        suffixes["project"] = "_conv"
    return [weights.variable_key(f"{name}{suffix}/kernel") for suffix in suffixes.values()]
