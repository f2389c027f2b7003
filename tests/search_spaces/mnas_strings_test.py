"""Block strings: MnasNet's grammar, its traps, and the flags added to it."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngp_tf.search_spaces import mnas, mnas_strings
from nngp_tf.search_spaces.mnas_blocks import Block
from tests.search_spaces.mnas_examples import blocks, networks

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("string", "block", "stride"),
    [
        ("r1_k3_s11_e1_i32_o16_noskip", Block(1, "mbconv", 1, 3, 0, 16, "none", 32), 1),
        ("r3_k5_s22_e3_i24_o40_se0.25", Block(3, "mbconv", 3, 5, 0.25, 40, input_filters=24), 2),
        ("r2_k7_s22_e9_i8_o12_conv", Block(2, "conv", 9, 7, 0, 12, input_filters=8), 2),
        ("r2_k3_s11_e1_i8_o12_dconv", Block(2, "dconv", 1, 3, 0, 12, input_filters=8), 1),
        ("r2_k3_s11_e6_i8_o8_maxskip", Block(2, "mbconv", 6, 3, 0, 8, "max_pool", 8), 1),
        ("r2_k3_s11_e6_i8_o8_avgskip", Block(2, "mbconv", 6, 3, 0, 8, "average_pool", 8), 1),
    ],
)
def test_both_ways(string, block, stride):
    assert mnas_strings.decode(string) == (block, stride)
    assert mnas_strings.encode(block, stride, input_filters=99) == string
    undeclared = dataclasses.replace(block, input_filters=None)
    assert mnas_strings.encode(undeclared, stride, block.input_filters) == string


def test_order_and_space_around_are_free():
    expected = mnas_strings.decode("r2_k3_s22_e6_i16_o24_se0.25_noskip")
    assert mnas_strings.decode(" noskip_se0.25_o24_i16_e6_s22_k3_r2\n") == expected


@given(blocks(), st.integers(1, 9), st.integers(1, 999))
def test_round_trip(block, stride, input_filters):
    string = mnas_strings.encode(block, stride, input_filters)
    declared = dataclasses.replace(block, input_filters=input_filters)
    assert mnas_strings.decode(string) == (declared, stride)


@pytest.mark.parametrize(
    ("string", "message"),
    [
        # The form of an example in MnasNet's own code, which that code refuses.
        ("r1_k3_s2_e1_i32_o16", "strides 's2' must be two digits, write 's22'"),
        ("r1_k3_s21_e1_i32_o16", "strides 's21' must be one digit twice, as in 's22'"),
        ("r1_k3_s00_e1_i32_o16", "strides 's00' must be one digit twice"),
        ("r1_k3_s222_e1_i32_o16", "strides 's222' must be one digit twice"),
        # Listing a billion layers would take all memory there is.
        ("r999999999_k3_s11_e1_i32_o16", "num_repeats must be at most 1000, got 999999999"),
        ("r1_k3_s11_e1.5_i32_o16", "'e1.5' must be 'e' and a positive whole number, as in 'e3'"),
        ("r0_k3_s11_e1_i32_o16", "'r0' must be 'r' and a positive whole number"),
        ("r1_k3_s11_e1_i-32_o16", "unknown token 'i-32', write r<repeats>_k<kernel>"),
        ("r1_k3_s11_e1_i32_o16_x3", "unknown token 'x3'"),
        ("r1_k3_s11_e1_i32_o16_nosk", "unknown token 'nosk'"),
        ("r1_k3_s11_e1_i32_o16_", "unknown token ''"),
        ("R1_k3_s11_e1_i32_o16", "unknown token 'R1'"),
        ("r1_k3_s11_e1_i32_o16_noskip1", "unknown token 'noskip1'"),
        ("r1_k3_s11_e1_i32_o16_se", "unknown token 'se'"),
        ("r1_k3_s11_e1_i32_o16_se1.5", "'se1.5' must be 'se' and a number between 0 and 1"),
        ("r1_k3_s11_e1_i32_o16_se0.2.5", "'se0.2.5' must be 'se' and a number"),
        ("r1_k3_s11_e1_i32_o16_k5", "'k5' gives the kernel size a second time"),
        ("r1_k3_s11_e1_i32_o16_noskip_maxskip", "'maxskip' gives the skip a second time"),
        ("r1_k3_s11_e1_i32_o16_conv_dconv", "'dconv' gives the block function a second time"),
        ("r1_k3_s11_e1_i32", "'o' for the output filters is missing"),
        ("k3_s11_e1_i32_o16", "'r' for the repeats is missing"),
        ("r1_k3_s11_e1_i32_o1²", "'o1²' must be 'o' and a positive whole number"),
        ("", "unknown token ''"),
    ],
)
def test_malformed_strings_are_refused(string, message):
    with pytest.raises(ValueError, match=f"^block string '{string}': {message}"):
        mnas_strings.decode(string)


TOKENS = ("r1", "r999999999", "k3", "s11", "s2", "e6", "i32", "o16", "se0.25", "se1e-9", "conv")


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=60)
    | st.text(alphabet="rksie_o0123459.-²", max_size=60)
    | st.lists(st.sampled_from(TOKENS) | st.text(max_size=4), max_size=9).map("_".join)
)
def test_whatever_a_string_is_there_is_a_block_or_a_sentence(string):
    try:
        block, stride = mnas_strings.decode(string)
    except ValueError as error:
        assert str(error).startswith(f"block string {string!r}: ")
        assert len(str(error)) > len(f"block string {string!r}: ") + 10
        assert "\n" not in str(error)
    else:
        written = mnas_strings.encode(block, stride, block.input_filters)
        assert mnas_strings.decode(written) == (block, stride)


@settings(max_examples=150, deadline=None)
@given(networks(), st.data())
def test_whatever_a_changed_text_is_there_are_networks_or_a_sentence(network, data):
    text = network.text
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        token = data.draw(st.sampled_from(("", "/", "_", "9" * 9, "#", "\n", *TOKENS)) | st.text())
        text = text[:at] + token + text[at + data.draw(st.integers(0, 9)) :]
    try:
        for found in mnas.parse_networks(text.split("\n"), "file"):
            assert mnas.Network.from_text(found.text) == found
    except ValueError as error:
        assert str(error).startswith("file:")
        assert "\n" not in str(error)
