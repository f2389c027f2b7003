"""Block strings: the one-line notation of MnasNet's code for a block.

    r<repeats>_k<kernel>_s<stride><stride>_e<expansion>_i<input>_o<output>[_se<ratio>][_noskip]

such as "r3_k5_s22_e3_i24_o40_se0.25". Tokens may come in any order and are written in this one.
Three flags are added here for what that code does not have: `conv` and `dconv` for the block
functions, `maxskip` and `avgskip` for skips by pooling. That code would read past them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nngp_tf.search_spaces.mnas_blocks import (
    AVERAGE_POOL,
    CONV,
    DCONV,
    IDENTITY,
    MAX_POOL,
    MBCONV,
    NONE,
    Block,
)

_FIELDS = {
    "r": "repeats",
    "k": "kernel size",
    "s": "strides",
    "e": "expansion ratio",
    "i": "input filters",
    "o": "output filters",
}
_BLOCK_FNS = {"conv": CONV, "dconv": DCONV}
_SKIPS = {"noskip": NONE, "maxskip": MAX_POOL, "avgskip": AVERAGE_POOL}
_FORM = "r<repeats>_k<kernel>_s<stride><stride>_e<expansion>_i<input>_o<output>"


class StridedBlock(NamedTuple):
    """What a block string says.

    Attributes:
      block: Its `input_filters` are those of the string, true or not.
      stride: Of the first layer.
    """

    block: Block
    stride: int


def decode(string: str) -> StridedBlock:
    """Read a block string.

    Raises:
      ValueError: A token is unknown, malformed, missing or there twice, or a block cannot have its
        value; the message names the token and what to write.
    """
    values, block_fn, skip = {}, MBCONV, IDENTITY
    seen = set()
    for token in str(string).strip().split("_"):
        letters, number = re.fullmatch(r"([^0-9]*)(.*)", token, re.DOTALL).groups()
        flag = "block function" if token in _BLOCK_FNS else "skip"
        kind = letters if number else flag
        if kind in seen:
            raise _error(string, f"{token!r} gives the {_FIELDS.get(kind, kind)} a second time")
        seen.add(kind)
        if not number and token in _BLOCK_FNS:
            block_fn = _BLOCK_FNS[token]
        elif not number and token in _SKIPS:
            skip = _SKIPS[token]
        elif kind == "se" and number:
            values["se"] = _ratio(string, token, number)
        elif kind == "s" and number:
            values["s"] = _stride(string, token, number)
        elif kind in _FIELDS and number:
            values[kind] = _integer(string, token, number)
        else:
            raise _error(string, f"unknown token {token!r}, write {_FORM}")
    for letter, name in _FIELDS.items():
        if letter not in values:
            raise _error(string, f"{letter!r} for the {name} is missing, write {_FORM}")
    try:
        block = Block(
            values["r"],
            block_fn,
            values["e"],
            values["k"],
            values.get("se", 0.0),
            values["o"],
            skip,
            values["i"],
        )
    except ValueError as error:
        raise _error(string, error) from error
    return StridedBlock(block, values["s"])


def encode(block: Block, stride: int, input_filters: int) -> str:
    """Write a block string, which `decode` reads back.

    Args:
      block: What to write.
      stride: Of its first layer.
      input_filters: Channels that flow in; written unless the block declares others.
    """
    tokens = [
        f"r{block.num_repeats}",
        f"k{block.kernel_size}",
        f"s{stride}{stride}",
        f"e{block.expand_ratio}",
        f"i{block.input_filters or input_filters}",
        f"o{block.output_filters}",
    ]
    if block.se_ratio:
        tokens.append(f"se{block.se_ratio}")
    tokens += [flag for flag, skip in _SKIPS.items() if skip == block.skip]
    tokens += [flag for flag, block_fn in _BLOCK_FNS.items() if block_fn == block.block_fn]
    return "_".join(tokens)


def _integer(string, token, number):
    if not re.fullmatch(r"[0-9]{1,9}", number) or int(number) < 1:
        raise _error(
            string,
            f"{token!r} must be {token[0]!r} and a positive whole number, as in '{token[0]}3'",
        )
    return int(number)


def _stride(string, token, number):
    if re.fullmatch(r"[1-9]", number):
        raise _error(string, f"strides {token!r} must be two digits, write 's{number}{number}'")
    if not re.fullmatch(r"([1-9])\1", number):
        raise _error(string, f"strides {token!r} must be one digit twice, as in 's22'")
    return int(number[0])


def _ratio(string, token, number):
    # Not all that `float` takes: neither "1_0" nor "1e5" nor digits of other scripts.
    if not re.fullmatch(r"[0-9]+(\.[0-9]*)?(e-[0-9]+)?", number) or float(number) > 1:
        raise _error(string, f"{token!r} must be 'se' and a number between 0 and 1, as in 'se0.25'")
    return float(number)


def _error(string, problem):
    return ValueError(f"block string {str(string)!r}: {problem}")
