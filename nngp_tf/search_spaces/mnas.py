"""The mobile search space (MNAS): references, sampling, mutation, membership, size, files.

Seven blocks with the strides 1, 2, 2, 2, 1, 2, 1. Each chooses independently, where r and o are the
repeats and output filters of that block in a reference network:

    num_repeats     r - 1, r, r + 1; where r is 1: 1, 2
    block_fn        conv, mbconv                           extension "depthwise": dconv
    expand_ratio    1, 3, 6
    kernel_size     3, 5
    se_ratio        0, 0.25
    output_filters  int(0.75 o), o, int(1.25 o)
    skip            identity                               extension "skip": none, max_pool,
                                                           average_pool

The space is MnasNet's (Tan et al., 2019) as its authors' code defines it, the extensions are what
only the paper names.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable

import numpy as np

from nngp_tf.search_spaces import architecture_lines
from nngp_tf.search_spaces.mnas_blocks import (
    AVERAGE_POOL,
    BLOCK_FNS,
    CONV,
    DCONV,
    IDENTITY,
    MAX_POOL,
    MBCONV,
    NONE,
    SKIPS,
    Block,
)
from nngp_tf.search_spaces.mnas_layers import Layer, round_filters
from nngp_tf.search_spaces.mnas_network import NUM_BLOCKS, STEM_FILTERS, STRIDES, Network
from nngp_tf.search_spaces.mnas_published import MNASNET_A1, MNASNET_B1, MNASNET_SMALL

__all__ = [
    "AVERAGE_POOL",
    "BLOCK_FNS",
    "CONV",
    "DCONV",
    "EXTENSIONS",
    "IDENTITY",
    "MAX_POOL",
    "MBCONV",
    "MNASNET_A1",
    "MNASNET_B1",
    "MNASNET_SMALL",
    "NONE",
    "NUM_BLOCKS",
    "REFERENCES",
    "SKIPS",
    "STEM_FILTERS",
    "STRIDES",
    "Block",
    "Layer",
    "Network",
    "Rng",
    "choices",
    "contains",
    "distinct_size",
    "member",
    "mutate",
    "parse_networks",
    "round_filters",
    "sample",
    "size",
]

Rng = np.random.Generator | np.random.RandomState

# (repeats, output filters) of each block.
REFERENCES = {
    "mobilenet_v2": ((1, 16), (2, 24), (3, 32), (4, 64), (3, 96), (3, 160), (1, 320)),
    "mnasnet_a1": ((1, 16), (2, 24), (3, 40), (4, 80), (2, 112), (3, 160), (1, 320)),
}
EXTENSIONS = ("depthwise", "skip")


def choices(
    reference: str = "mobilenet_v2", extensions: Collection[str] = ()
) -> tuple[dict[str, tuple], ...]:
    """List the values of each choice of each block.

    Args:
      reference: A name in `REFERENCES`.
      extensions: Names in `EXTENSIONS`.

    Returns:
      For each block a dictionary from the field of `Block` to its values.

    Raises:
      ValueError: A name is unknown.
    """
    if reference not in REFERENCES:
        raise ValueError(f"reference must be one of {', '.join(REFERENCES)}, got {reference!r}")
    if isinstance(extensions, str) or not set(extensions) <= set(EXTENSIONS):
        raise ValueError(
            f"extensions must be a collection of names among {', '.join(EXTENSIONS)}, got "
            f"{extensions!r}"
        )
    return tuple(
        {
            "num_repeats": (repeats - 1, repeats, repeats + 1) if repeats > 1 else (1, 2),
            "block_fn": (CONV, MBCONV, DCONV) if "depthwise" in extensions else (CONV, MBCONV),
            "expand_ratio": (1, 3, 6),
            "kernel_size": (3, 5),
            "se_ratio": (0.0, 0.25),
            "output_filters": (int(0.75 * filters), filters, int(1.25 * filters)),
            "skip": SKIPS if "skip" in extensions else (IDENTITY,),
        }
        for repeats, filters in REFERENCES[reference]
    )


def sample(rng: Rng, reference: str = "mobilenet_v2", extensions: Collection[str] = ()) -> Network:
    """Draw a network, every choice uniformly.

    A graph with many conv blocks is therefore likelier than one with few, because it is written in
    more ways.

    Args:
      rng: A NumPy generator.
      reference: As for `choices`.
      extensions: As for `choices`.

    Raises:
      ValueError: As `choices`.
    """
    return Network.from_blocks(
        {name: values[int(rng.choice(len(values)))] for name, values in block.items()}
        for block in choices(reference, extensions)
    )


def mutate(
    network: Network,
    rng: Rng,
    reference: str = "mobilenet_v2",
    extensions: Collection[str] = (),
) -> Network:
    """Draw a neighbour: one choice of one block takes another of its values.

    All such changes that change the graph are equally likely, so no expansion of a conv block is
    drawn: the child never has the key of its parent.

    Args:
      network: The parent.
      rng: A NumPy generator.
      reference: As for `choices`.
      extensions: As for `choices`.

    Raises:
      ValueError: The parent lies outside the space, or as `choices`.
    """
    parent = member(network, reference, extensions)
    changes = [
        (position, name, value)
        for position, block in enumerate(choices(reference, extensions))
        for name, values in block.items()
        for value in values
        if value != getattr(parent.blocks[position], name)
    ]
    while True:
        position, name, value = changes[int(rng.choice(len(changes)))]
        blocks = list(parent.blocks)
        blocks[position] = dataclasses.replace(blocks[position], **{name: value})
        child = Network.from_blocks(blocks)
        if child.key != parent.key:
            return child


def contains(
    network: Network, reference: str = "mobilenet_v2", extensions: Collection[str] = ()
) -> bool:
    """Tell whether some network of the space builds the same graph.

    Args:
      network: Any.
      reference: As for `choices`.
      extensions: As for `choices`.

    Raises:
      ValueError: As `choices`.
    """
    return _member(network, choices(reference, extensions)) is not None


def member(
    network: Network, reference: str = "mobilenet_v2", extensions: Collection[str] = ()
) -> Network:
    """Write a network with the choices of the space: what is of no effect takes one of its values.

    Args:
      network: One whose graph lies in the space, such as `MNASNET_A1` with its flag `noskip`.
      reference: As for `choices`.
      extensions: As for `choices`.

    Raises:
      ValueError: No network of the space builds the same graph, or as `choices`.
    """
    found = _member(network, choices(reference, extensions))
    if found is None:
        raise ValueError(
            f"{network} lies outside the space of reference {reference!r} with the extensions "
            f"{sorted(extensions)}: `choices` lists what each block may have"
        )
    return found


def size(reference: str = "mobilenet_v2", extensions: Collection[str] = ()) -> int:
    """Count the combinations of choices, 216**5 * 144**2 without extensions.

    Raises:
      ValueError: As `choices`.
    """
    return math.prod(
        len(values) for block in choices(reference, extensions) for values in block.values()
    )


def distinct_size(reference: str = "mobilenet_v2", extensions: Collection[str] = ()) -> int:
    """Count the graphs, 126**5 * 84**2 without extensions.

    Raises:
      ValueError: As `choices`.
    """
    # Blocks are counted one by one: in both references filters that meet at stride 1 differ, so no
    # first layer has a skip, nor may it count as the last one of the block before.
    return math.prod(_distinct_blocks(block) for block in choices(reference, extensions))


def parse_networks(lines: Iterable[str], source: str) -> list[Network]:
    """Read one network a line in the form of `Network.text`, of any space.

    Args:
      lines: Lines of text; blank ones, and whatever follows a '#', are ignored.
      source: What the lines come from, for messages; usually a file name.

    Raises:
      ValueError: As `architecture_lines.parse`.
    """
    return architecture_lines.parse(lines, source, Network.from_text, "network")


def _member(network, spaces):
    """Return a network of the space that builds the same graph; None where there is none."""
    # What is not a choice becomes one; it was of no effect if the key stays.
    found = Network.from_blocks(
        {
            name: value if (value := getattr(block, name)) in values else values[0]
            for name, values in space.items()
        }
        for block, space in zip(network.blocks, spaces, strict=True)
    )
    return found if found.key == network.key else None


def _distinct_blocks(block):
    plain = len(block["block_fn"]) - 1
    mobile = len(block["expand_ratio"]) * len(block["se_ratio"])
    graphs = 0
    for repeats in block["num_repeats"]:
        # The skip of a single layer is of no effect.
        graphs += plain + mobile * (len(block["skip"]) if repeats > 1 else 1)
    return graphs * len(block["kernel_size"]) * len(block["output_filters"])
