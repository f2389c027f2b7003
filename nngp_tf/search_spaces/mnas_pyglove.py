"""The mobile search space for PyGlove: its algorithms search it, its values become networks.

    for value, feedback in pg.sample(space(), pg.evolution.regularized_evolution()):
        feedback(reward(network_of(value)))

A value is a list of seven dictionaries. Expansion, squeeze-excitation and skip lie within the
choice of mbconv, so that without the extension "skip" every genotype is another graph. Needs the
extra [search]: `pip install nngp_tf[search]`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

try:
    import pyglove as pg
except ImportError as error:
    raise ImportError(
        f"this module needs PyGlove: pip install 'nngp_tf[search]' ({error})", name="pyglove"
    ) from error

from nngp_tf.search_spaces import mnas

# The choices of mbconv alone, as they are written where there are none.
_IGNORED = {"expand_ratio": 1, "se_ratio": 0.0, "skip": mnas.IDENTITY}


def space(reference: str = "mobilenet_v2", extensions: Collection[str] = ()) -> pg.List:
    """Return the space; drawn uniformly choice by choice it has the distribution of `mnas.sample`.

    Args:
      reference: As for `mnas.choices`.
      extensions: As for `mnas.choices`.

    Raises:
      ValueError: As `mnas.choices`.
    """
    return pg.List([_block_space(block) for block in mnas.choices(reference, extensions)])


def network_of(value: Sequence[Mapping[str, Any]]) -> mnas.Network:
    """Return the network of a value of the space.

    Args:
      value: Seven blocks, as PyGlove's `sample` yields and a template decodes them.
    """
    return mnas.Network.from_blocks(
        _IGNORED | dict(block["layer"]) | {k: v for k, v in block.items() if k != "layer"}
        for block in value
    )


def value_of(
    network: mnas.Network, reference: str = "mobilenet_v2", extensions: Collection[str] = ()
) -> pg.List:
    """Return the value of a network, the inverse of `network_of` up to what builds the same graph.

    Args:
      network: One that `mnas.contains`.
      reference: As for `mnas.choices`.
      extensions: As for `mnas.choices`.

    Raises:
      ValueError: As `mnas.member`.
    """
    written = mnas.member(network, reference, extensions)
    spaces = mnas.choices(reference, extensions)
    return pg.List(map(_block_value, written.blocks, spaces))


def dna_of(
    network: mnas.Network, reference: str = "mobilenet_v2", extensions: Collection[str] = ()
) -> pg.DNA:
    """Return the genotype of a network, for an algorithm that starts from known ones.

    Args:
      network: One that `mnas.contains`.
      reference: As for `mnas.choices`.
      extensions: As for `mnas.choices`.

    Raises:
      ValueError: As `mnas.member`.
    """
    template = pg.template(space(reference, extensions))
    return template.encode(value_of(network, reference, extensions))


def _block_space(choices):
    # One value is no choice, and `network_of` knows it.
    fields = {name: pg.oneof(values) for name, values in choices.items() if len(values) > 1}
    mobile = {name: fields.pop(name) for name in _IGNORED if name in fields}
    del fields["block_fn"]
    layers = [
        pg.Dict(block_fn=block_fn, **(mobile if block_fn == mnas.MBCONV else {}))
        for block_fn in choices["block_fn"]
    ]
    return pg.Dict(fields, layer=pg.oneof(layers))


def _block_value(block, choices):
    fields = {name: getattr(block, name) for name, values in choices.items() if len(values) > 1}
    mobile = {name: fields.pop(name) for name in _IGNORED if name in fields}
    del fields["block_fn"]
    layer = pg.Dict(block_fn=block.block_fn, **(mobile if block.block_fn == mnas.MBCONV else {}))
    return pg.Dict(fields, layer=layer)
