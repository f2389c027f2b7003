"""Layers: widths by hand, skips, rounding."""

import pytest

from nngp_tf.search_spaces.mnas_blocks import Block
from nngp_tf.search_spaces.mnas_layers import Layer, block_layers, round_filters

pytestmark = pytest.mark.fast


def test_widths_follow_the_blocks_input():
    # Block 3 of MnasNet-A1: squeeze int(24 / 4), then int(40 / 4).
    layers = block_layers(Block(3, "mbconv", 3, 5, 0.25, 40), input_filters=24, stride=2)
    assert layers == [
        Layer("mbconv", 5, 2, 24, 72, 6, 40, "none"),
        Layer("mbconv", 5, 1, 40, 120, 10, 40, "identity"),
        Layer("mbconv", 5, 1, 40, 120, 10, 40, "identity"),
    ]
    assert [layer.depthwise_filters for layer in layers] == [72, 120, 120]


def test_no_expansion_and_the_least_squeeze():
    (layer,) = block_layers(Block(1, "mbconv", 1, 3, 0.25, 16), input_filters=3, stride=1)
    assert layer == Layer("mbconv", 3, 1, 3, 0, 1, 16, "none")
    assert layer.depthwise_filters == 3


@pytest.mark.parametrize("skip", ["identity", "max_pool", "average_pool"])
@pytest.mark.parametrize(
    ("stride", "output_filters", "first"), [(1, 24, True), (2, 24, False), (1, 32, False)]
)
def test_skips_need_stride_one_and_equal_filters(skip, stride, output_filters, first):
    block = Block(2, "mbconv", 3, 3, 0, output_filters, skip)
    layers = block_layers(block, input_filters=24, stride=stride)
    assert [layer.skip for layer in layers] == [skip if first else "none", skip]


@pytest.mark.parametrize("block_fn", ["conv", "dconv"])
def test_plain_layers_ignore_what_is_mbconvs(block_fn):
    layers = block_layers(Block(2, block_fn, 6, 5, 0.25, 24), input_filters=24, stride=2)
    assert layers == [
        Layer(block_fn, 5, 2, 24, 0, 0, 24, "none"),
        Layer(block_fn, 5, 1, 24, 0, 0, 24, "none"),
    ]


def test_declared_filters_affect_expansion_squeeze_and_skip_alone():
    # As MnasNet's code builds a block whose string says i16 where 8 flow in.
    block = Block(2, "mbconv", 3, 3, 0.25, 8, input_filters=16)
    first, second = block_layers(block, input_filters=8, stride=1)
    assert first == Layer("mbconv", 3, 1, 8, 48, 4, 8, "none")
    assert second == Layer("mbconv", 3, 1, 8, 24, 2, 8, "identity")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (
            Block(1, "mbconv", 1, 3, 0.25, 8, input_filters=16),
            "squeeze-excitation cannot scale 16 channels where 8 flow in",
        ),
        (
            Block(1, "mbconv", 3, 3, 0, 16, input_filters=16),
            "a skip cannot add 8 channels to 16",
        ),
    ],
)
def test_declared_filters_that_cannot_be_built(block, message):
    with pytest.raises(ValueError, match=message):
        block_layers(block, input_filters=8, stride=1)


@pytest.mark.parametrize(
    ("filters", "multiplier", "expected"),
    # By hand from the rule in facts, section A11.
    [
        (30, None, 30),
        (30, 1.0, 32),  # 34 // 8 * 8
        (16, 0.5, 8),
        (12, 0.35, 8),  # 4.2 goes up to the least, 8
        (24, 0.75, 24),  # 18 -> 16, below 0.9 x 18, so one more 8
        (32, 1.4, 48),  # 44.8 -> 48
        (16, 1.25, 24),  # 20 -> 24
        (35, 1.0, 32),  # 39 -> 32, at least 31.5
        (36, 1.0, 40),  # 40 -> 40
        (19, 1.0, 24),  # 23 -> 16, below 17.1
    ],
)
def test_rounding(filters, multiplier, expected):
    assert round_filters(filters, multiplier) == expected


def test_width_multiplier_comes_before_widths():
    (layer,) = block_layers(Block(1, "mbconv", 6, 3, 0.25, 40), 24, 2, width_multiplier=0.5)
    # The input is as it flows in; only the block's own filters are scaled.
    assert layer == Layer("mbconv", 3, 2, 24, 144, 6, 24, "none")
