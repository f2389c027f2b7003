"""Blocks: the ways to give one, and what is refused."""

import dataclasses

import numpy as np
import pytest

from nngp_tf.search_spaces.mnas_blocks import Block

pytestmark = pytest.mark.fast

FIELDS = {
    "num_repeats": 2,
    "block_fn": "mbconv",
    "expand_ratio": 6,
    "kernel_size": 3,
    "se_ratio": 0.25,
    "output_filters": 24,
}
BLOCK = Block(**FIELDS)


@pytest.mark.parametrize("form", [BLOCK, FIELDS, tuple(FIELDS.values()), list(FIELDS.values())])
def test_forms_of_a_block(form):
    assert Block.of(form) == BLOCK
    assert BLOCK.skip == "identity"
    assert BLOCK.input_filters is None


def test_numpy_values_become_plain_ones():
    block = Block(
        np.int64(2), np.str_("mbconv"), np.uint8(6), np.int32(3), np.float32(0.25), np.int64(24)
    )
    assert block == BLOCK
    assert [type(x) for x in dataclasses.astuple(block)[:6]] == [int, str, int, int, float, int]


def test_no_ratio_is_zero():
    assert Block(1, "mbconv", 1, 3, None, 16) == Block(1, "mbconv", 1, 3, 0, 16)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_repeats", 0, "num_repeats must be a positive integer, got 0"),
        ("num_repeats", 1001, "num_repeats must be at most 1000, got 1001"),
        ("output_filters", 10**9, "output_filters must be at most 999999999, got one of 30 bits"),
        ("kernel_size", 10**400, "kernel_size must be at most 999999999, got one of 1329 bits"),
        ("expand_ratio", 1.5, "expand_ratio must be a positive integer, got 1.5"),
        ("kernel_size", "3", "kernel_size must be a positive integer, got '3'"),
        ("output_filters", None, "output_filters must be a positive integer, got None"),
        ("input_filters", -1, "input_filters must be a positive integer, got -1"),
        ("block_fn", "MBConv", "block_fn must be one of conv, mbconv, dconv, got 'MBConv'"),
        ("skip", "pool", "skip must be one of identity, none, max_pool, average_pool, got 'pool'"),
        ("se_ratio", 25, r"se_ratio must be between 0 \(no squeeze-excitation\) and 1, got 25"),
        ("se_ratio", float("nan"), "se_ratio must be between 0 .* got nan"),
        ("se_ratio", "a", "se_ratio must be between 0 .* got 'a'"),
    ],
)
def test_bad_values_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        Block(**FIELDS | {field: value})


@pytest.mark.parametrize(
    "form",
    ["r1", 3, (1, "conv"), (1,) * 9, FIELDS | {"stride": 2}, {"num_repeats": 1}],
)
def test_other_forms_are_refused(form):
    with pytest.raises(ValueError, match="is not a block: give num_repeats, block_fn, expand_rat"):
        Block.of(form)
