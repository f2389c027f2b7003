"""Blocks and networks that the tests of the mobile space share."""

from hypothesis import strategies as st

from nngp_tf.search_spaces.mnas_blocks import BLOCK_FNS, SKIPS, Block
from nngp_tf.search_spaces.mnas_network import Network

# One layer a block, and all filters even.
PLAIN = Network.from_blocks([(1, "mbconv", 3, 3, 0, 8 * i) for i in range(1, 8)])


def replaced(network, position, **fields):
    """The network with other fields in the block at a position."""
    blocks = [dict(vars(block)) for block in network.blocks]
    blocks[position] |= fields
    return Network.from_blocks(blocks, network.stem_filters, network.strides)


@st.composite
def blocks(draw, skips=SKIPS):
    """Blocks inside and outside the space; input filters are the true ones."""
    return Block(
        draw(st.integers(1, 3)),
        draw(st.sampled_from(BLOCK_FNS)),
        draw(st.integers(1, 9)),
        draw(st.integers(1, 7)),
        draw(st.sampled_from([0, 0.25, 0.5, 1]) | st.floats(0, 1)),
        draw(st.integers(1, 40)),
        draw(st.sampled_from(skips)),
    )


@st.composite
def networks(draw):
    """Networks inside and outside the space, some with declared input filters."""
    strides = draw(st.lists(st.integers(1, 3), min_size=7, max_size=7))
    network = Network.from_blocks(
        draw(st.lists(blocks(), min_size=7, max_size=7)), draw(st.integers(1, 40)), strides
    )
    if draw(st.booleans()):
        # An expansion and no skip can be built whatever is declared.
        declared = draw(st.integers(1, 40))
        network = replaced(network, 0, expand_ratio=2, skip="none", input_filters=declared)
    return network
