"""Networks of seven blocks: forms, checks, identity, text."""

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngp_tf.search_spaces.mnas_blocks import BLOCK_FNS, MBCONV, SKIPS
from nngp_tf.search_spaces.mnas_network import Network
from tests.search_spaces.mnas_examples import PLAIN, networks, replaced

pytestmark = pytest.mark.fast


def chain(network):
    """What is built, worked out apart from the library: (fn, kernel, stride, widths, skip)."""
    filters, layers = network.stem_filters, [network.stem_filters]
    for block, stride in zip(network.blocks, network.strides, strict=True):
        for repeat in range(block.num_repeats):
            declared = block.input_filters if repeat == 0 and block.input_filters else filters
            step = stride if repeat == 0 else 1
            layer = [block.block_fn, block.kernel_size, step, block.output_filters]
            if block.block_fn == MBCONV:
                layer.append(declared * block.expand_ratio if block.expand_ratio > 1 else None)
                layer.append(max(1, int(declared * block.se_ratio)) if block.se_ratio else None)
                adds = step == 1 and declared == block.output_filters and block.skip != "none"
                layer.append(block.skip if adds else None)
            layers.append(tuple(layer))
            filters = block.output_filters
    return layers


def test_forms_of_a_network():
    strings = [
        "r1_k3_s11_e3_i32_o8",
        "r1_k3_s22_e3_i8_o16",
        "r1_k3_s22_e3_i16_o24",
        "r1_k3_s22_e3_i24_o32",
        "r1_k3_s11_e3_i32_o40",
        "r1_k3_s22_e3_i40_o48",
        "r1_k3_s11_e3_i48_o56",
    ]
    assert Network.from_strings(strings) == PLAIN
    assert PLAIN.strings == tuple(strings)
    assert PLAIN.text == str(PLAIN) == "/".join(["stem32", *strings])
    assert Network.from_text("/".join(strings)) == PLAIN
    assert Network.from_blocks(PLAIN.blocks) == PLAIN
    assert PLAIN.strides == (1, 2, 2, 2, 1, 2, 1)


@given(networks())
@settings(max_examples=50)
def test_text_strings_and_copies_round_trip(network):
    assert Network.from_text(network.text) == network
    assert Network.from_text(f" {network}\n") == network
    assert Network.from_strings(network.strings, network.stem_filters) == network
    for copied in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert copied == network
        assert hash(copied) == hash(network)
        assert copied.key == network.key


@given(networks(), st.data())
@settings(max_examples=150)
def test_keys_are_equal_where_the_graphs_are(network, data):
    """One field of one block, a stride or the stem becomes another."""
    position = data.draw(st.integers(0, 6))
    field, values = data.draw(
        st.sampled_from(
            [
                ("num_repeats", st.integers(1, 3)),
                ("block_fn", st.sampled_from(BLOCK_FNS)),
                ("expand_ratio", st.integers(2, 6)),
                ("kernel_size", st.integers(1, 7)),
                ("se_ratio", st.sampled_from([0.25, 0.26, 0.5])),
                ("output_filters", st.integers(1, 40)),
                ("skip", st.sampled_from(SKIPS)),
            ]
        )
    )
    try:
        other = replaced(network, position, **{field: data.draw(values)})
    except ValueError:
        # Declared input filters, which the examples give to the first block, may not fit.
        assert network.blocks[0].input_filters is not None
        return
    assert (other.key == network.key) == (chain(other) == chain(network))


@pytest.mark.parametrize(
    ("position", "fields"),
    [
        (2, {"skip": "none"}),  # Of a single layer with stride 2.
        (4, {"skip": "max_pool"}),  # Of a single layer from 32 filters to 40.
        (6, {"input_filters": 48}),  # As it is.
    ],
)
def test_equal_keys_of_mbconv_blocks(position, fields):
    assert replaced(PLAIN, position, **fields).key == PLAIN.key


def test_equal_keys_of_squeezes_of_one_width():
    keys = {replaced(PLAIN, 2, se_ratio=ratio).key for ratio in (0.25, 0.26)}  # int(16 x ratio)
    assert len(keys) == 1
    assert replaced(PLAIN, 2, se_ratio=0.32).key not in keys


def test_equal_keys_of_a_layer_that_ends_one_block_or_begins_the_next():
    # Blocks 4 and 5 alike, the second with stride 1: three layers of one kind.
    alike = replaced(PLAIN, 4, output_filters=32)
    assert replaced(alike, 3, num_repeats=2).key == replaced(alike, 4, num_repeats=2).key
    # But the first of block 4 has stride 2.
    assert replaced(alike, 3, num_repeats=2).key != replaced(alike, 2, num_repeats=2).key


def test_stem_strides_and_declared_filters_tell_networks_apart():
    others = [
        Network(PLAIN.blocks, stem_filters=24),
        Network(PLAIN.blocks, strides=(1, 2, 2, 2, 2, 1, 1)),
        replaced(PLAIN, 1, input_filters=16),
    ]
    assert len({PLAIN.key, *(other.key for other in others)}) == 4


def test_key_is_stable():
    # Run directories store it: a change would orphan them. Recorded from this implementation.
    assert PLAIN.key == "6fde612a16efac3a"


def test_is_a_frozen_value():
    with pytest.raises(AttributeError):
        PLAIN.stem_filters = 8
    assert replaced(PLAIN, 0, expand_ratio=6) != PLAIN
    conv, other = (replaced(PLAIN, 0, block_fn="conv", expand_ratio=e) for e in (1, 6))
    assert conv != other
    assert conv.key == other.key


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Network.from_blocks(PLAIN.blocks[:6]), "a network has 7 blocks, got 6"),
        (lambda: Network.from_blocks([*PLAIN.blocks] * 2), "a network has 7 blocks, got 14"),
        (lambda: Network.from_strings([]), "a network has 7 blocks, got 0"),
        (lambda: Network(PLAIN.blocks, strides=(1, 2)), "a network has 7 strides, got 2"),
        (lambda: Network(PLAIN.blocks, strides=[0] * 7), "a stride must be a positive integer"),
        (lambda: Network(PLAIN.blocks, strides=[10] * 7), "strides must be at most 9, got 10"),
        (lambda: Network(PLAIN.blocks, 0), "stem_filters must be a positive integer, got 0"),
        (lambda: Network.from_strings("r1_k3_s11_e1_i32_o16"), "got the one string 'r1_k3"),
        (lambda: Network.from_text("stem8x/r1"), "'stem8x' is not a stem"),
        (lambda: Network.from_text("stem"), "'stem' is not a stem"),
        (lambda: Network.from_text(f"stem{'9' * 10}/r1"), "'stem9999999999' is not a stem"),
        (lambda: Network(PLAIN.blocks, 10**400), "stem_filters must be at most 999999999, got one"),
        (lambda: Network.from_text("r1_k3"), "block string 'r1_k3': 's' for the strides is"),
        (lambda: replaced(PLAIN, 0, input_filters=8), "a skip cannot add 32 channels to 8"),
    ],
)
def test_bad_networks_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
