"""A block of a mobile network as a frozen value, and the values that its choices may take."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping, Sequence

CONV = "conv"
MBCONV = "mbconv"
DCONV = "dconv"
BLOCK_FNS = (CONV, MBCONV, DCONV)

IDENTITY = "identity"
NONE = "none"
MAX_POOL = "max_pool"
AVERAGE_POOL = "average_pool"
SKIPS = (IDENTITY, NONE, MAX_POOL, AVERAGE_POOL)

# Layers are listed one by one, whether or not a network so deep could be built.
MAX_REPEATS = 1000
_MAX_INTEGER = 999_999_999


@dataclasses.dataclass(frozen=True)
class Block:
    """Layers of one kind, the first of which takes the block's stride and changes the filters.

    Attributes:
      num_repeats: Layers of the block, from 1 to 1,000.
      block_fn: What each layer is.
        "mbconv": a 1x1 convolution that expands, unless the ratio is 1; a depthwise one;
        squeeze-excitation; a 1x1 convolution that projects, without ReLU; the skip.
        "conv": one convolution. Ignores expansion, squeeze-excitation and skip.
        "dconv": a depthwise convolution, then a 1x1 convolution. An extension; ignores the same.
      expand_ratio: Of mbconv: channels of the depthwise convolution over input filters.
      kernel_size: Height and width of the convolution, or of the depthwise one.
      se_ratio: Of mbconv: channels between the two layers of squeeze-excitation over input filters;
        0, or None, for no squeeze-excitation.
      output_filters: Of each layer.
      skip: Of mbconv: what is added to the output where a layer has stride 1 and as many input as
        output filters: "identity" the input, "none" nothing. Extensions: "max_pool" and
        "average_pool", the input pooled over 3x3 with stride 1.
      input_filters: Filters that the first layer takes for its input's in the widths of expansion
        and squeeze-excitation and in the condition of the skip; None for the true number.
        MnasNet-small declares 16 where 8 flow in.

    Raises:
      ValueError: A field has a value that no block can have.
    """

    num_repeats: int
    block_fn: str
    expand_ratio: int
    kernel_size: int
    se_ratio: float
    output_filters: int
    skip: str = IDENTITY
    input_filters: int | None = None

    def __post_init__(self) -> None:
        for name in ("num_repeats", "expand_ratio", "kernel_size", "output_filters"):
            object.__setattr__(self, name, positive_integer(name, getattr(self, name)))
        if self.num_repeats > MAX_REPEATS:
            raise ValueError(f"num_repeats must be at most {MAX_REPEATS}, got {self.num_repeats}")
        if self.input_filters is not None:
            declared = positive_integer("input_filters", self.input_filters)
            object.__setattr__(self, "input_filters", declared)
        for name, values in (("block_fn", BLOCK_FNS), ("skip", SKIPS)):
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} must be one of {', '.join(values)}, got {getattr(self, name)!r}"
                )
            object.__setattr__(self, name, str(getattr(self, name)))
        object.__setattr__(self, "se_ratio", _ratio(self.se_ratio))

    @classmethod
    def of(cls, block: Block | Mapping | Sequence) -> Block:
        """Return a block given as such, as a mapping of its fields, or as their sequence.

        Raises:
          ValueError: A field is unknown or missing, or the constructor refuses its value.
        """
        if isinstance(block, cls):
            return block
        names = [field.name for field in dataclasses.fields(cls)]
        if isinstance(block, Mapping):
            given = dict(block)
        elif isinstance(block, list | tuple) and len(block) <= len(names):
            given = dict(zip(names, block, strict=False))
        else:
            given = {}
        missing = set(names[:6]) - set(given)
        unknown = set(given) - set(names)
        if missing or unknown:
            raise ValueError(
                f"{block!r} is not a block: give {', '.join(names[:6])}, and if need be "
                f"{' and '.join(names[6:])}"
            )
        return cls(**given)


def positive_integer(name: str, value: int) -> int:
    """Return a value as `int`, or raise a ValueError that names it."""
    try:
        integer = operator.index(value)
    except TypeError:
        integer = 0
    if integer < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    if integer > _MAX_INTEGER:
        raise ValueError(
            f"{name} must be at most {_MAX_INTEGER}, got one of {integer.bit_length()} bits"
        )
    return integer


def _ratio(value):
    try:
        ratio = float(value or 0)
    except (TypeError, ValueError):
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ValueError(f"se_ratio must be between 0 (no squeeze-excitation) and 1, got {value!r}")
    return ratio
