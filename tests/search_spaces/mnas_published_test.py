"""MnasNet's networks: what facts, sections A11 and A12b, say about them."""

import pytest

from nngp_tf.search_spaces import mnas
from nngp_tf.search_spaces.mnas_layers import Layer
from nngp_tf.search_spaces.mnas_published import MNASNET_A1, MNASNET_B1, MNASNET_SMALL
from tests.search_spaces.mnas_examples import replaced

pytestmark = pytest.mark.fast


def test_a1_in_the_form_of_the_search_space():
    network = mnas.Network.from_blocks(
        [
            (1, "mbconv", 1, 3, 0, 16),
            (2, "mbconv", 6, 3, 0, 24),
            (3, "mbconv", 3, 5, 0.25, 40),
            (4, "mbconv", 6, 3, 0, 80),
            (2, "mbconv", 6, 3, 0.25, 112),
            (3, "mbconv", 6, 5, 0.25, 160),
            (1, "mbconv", 6, 3, 0, 320),
        ]
    )
    assert network.key == MNASNET_A1.key
    # The flag `noskip` of its first string is written, and of no effect.
    assert network != MNASNET_A1


@pytest.mark.parametrize(
    ("network", "num_layers", "stem_filters"),
    [(MNASNET_A1, 16, 32), (MNASNET_B1, 17, 32), (MNASNET_SMALL, 15, 8)],
)
def test_layers_and_strides(network, num_layers, stem_filters):
    assert sum(map(len, network.layers())) == num_layers
    assert network.stem_filters == stem_filters
    assert network.strides == mnas.STRIDES


def test_declared_filters_of_small_leave_its_first_block_without_a_skip():
    assert MNASNET_SMALL.strings[0] == "r1_k3_s11_e1_i16_o8"
    assert MNASNET_SMALL.layers()[0] == (Layer("mbconv", 3, 1, 8, 0, 0, 8, "none"),)
    declared_truly = replaced(MNASNET_SMALL, 0, input_filters=8)
    assert declared_truly.layers()[0][0].skip == "identity"
    assert declared_truly.key != MNASNET_SMALL.key
    assert replaced(declared_truly, 0, skip="none").key == MNASNET_SMALL.key


def test_which_space_they_lie_in():
    # B1 and small have repeats and filters of neither reference: facts, section A12.
    for network in (MNASNET_A1, MNASNET_B1, MNASNET_SMALL):
        assert mnas.contains(network, "mnasnet_a1") == (network is MNASNET_A1)
        assert not mnas.contains(network, "mobilenet_v2")
