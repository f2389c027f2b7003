"""A mobile network as a frozen value: seven blocks, checked, compared, written as text."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

from nngp_tf.search_spaces import mnas_layers, mnas_strings
from nngp_tf.search_spaces.mnas_blocks import Block, positive_integer
from nngp_tf.search_spaces.mnas_layers import Layer

NUM_BLOCKS = 7
STRIDES = (1, 2, 2, 2, 1, 2, 1)
STEM_FILTERS = 32


@dataclasses.dataclass(frozen=True)
class Network:
    """A stem 3x3 of stride 2, then seven blocks; the builder adds head and classifier.

    Two networks are equal if they are written alike. `key` is also equal for those that are not but
    build the same graph: a conv block ignores its expansion, squeeze-excitation and skip; a skip
    that no layer can take is none; and a layer that ends one block may as well begin the next.

    Attributes:
      blocks: Seven; the constructor takes what `Block.of` takes.
      stem_filters: Channels of the stem.
      strides: Of the first layer of each block.

    Raises:
      ValueError: There are not seven blocks or strides, a value is not a positive integer, or
        declared input filters leave a block that cannot be built.
    """

    blocks: tuple[Block, ...]
    stem_filters: int = STEM_FILTERS
    strides: tuple[int, ...] = STRIDES

    def __post_init__(self) -> None:
        blocks = tuple(map(Block.of, self.blocks))
        strides = tuple(positive_integer("a stride", stride) for stride in self.strides)
        for name, values in (("blocks", blocks), ("strides", strides)):
            if len(values) != NUM_BLOCKS:
                raise ValueError(f"a network has {NUM_BLOCKS} {name}, got {len(values)}")
        if max(strides) > 9:
            raise ValueError(f"strides must be at most 9, got {max(strides)}")
        stem_filters = positive_integer("stem_filters", self.stem_filters)
        inputs = [stem_filters, *(block.output_filters for block in blocks[:-1])]
        # What is declared as it is needs no declaration, so both are equal.
        blocks = tuple(
            dataclasses.replace(block, input_filters=None)
            if block.input_filters == filters
            else block
            for block, filters in zip(blocks, inputs, strict=True)
        )
        for name, value in (
            ("blocks", blocks),
            ("stem_filters", stem_filters),
            ("strides", strides),
        ):
            object.__setattr__(self, name, value)
        self.layers()

    @classmethod
    def from_blocks(
        cls,
        blocks: Iterable[Block | Mapping | Sequence],
        stem_filters: int = STEM_FILTERS,
        strides: Sequence[int] = STRIDES,
    ) -> Network:
        """Make a network of seven blocks.

        Args:
          blocks: Each a `Block`, a mapping of its fields, or a sequence (num_repeats, block_fn,
            expand_ratio, kernel_size, se_ratio, output_filters).
          stem_filters: Channels of the stem.
          strides: Of the first layer of each block.

        Raises:
          ValueError: As `Block` and `Network`.
        """
        return cls(tuple(blocks), stem_filters, tuple(strides))

    @classmethod
    def from_strings(cls, strings: Iterable[str], stem_filters: int = STEM_FILTERS) -> Network:
        """Read seven block strings, such as "r1_k3_s11_e1_i32_o16_noskip"; see `mnas_strings`.

        Args:
          strings: One a block.
          stem_filters: Channels of the stem, which no string tells. Input filters of a string that
            are not those that flow in are taken as MnasNet's code takes them: see `Block`.

        Raises:
          ValueError: As `mnas_strings.decode` and `Network`.
        """
        if isinstance(strings, str):
            raise ValueError(
                f"block strings must be {NUM_BLOCKS} in a list, got the one string {strings!r}"
            )
        decoded = [mnas_strings.decode(string) for string in strings]
        blocks, strides = (tuple(x[field] for x in decoded) for field in (0, 1))
        return cls(blocks, stem_filters, strides)

    @classmethod
    def from_text(cls, text: str) -> Network:
        """Read the form that `text` writes: "stem32/" and seven block strings joined by "/".

        Raises:
          ValueError: The stem is malformed, or as `from_strings`. Without a stem there are 32.
        """
        strings = str(text).strip().split("/")
        stem_filters = STEM_FILTERS
        if strings[0].startswith("stem"):
            stem, *strings = strings
            digits = stem.removeprefix("stem")
            if not re.fullmatch(r"[0-9]{1,9}", digits):
                raise ValueError(f"{stem!r} is not a stem: write 'stem' and its filters, 'stem32'")
            stem_filters = int(digits)
        return cls.from_strings(strings, stem_filters)

    @property
    def strings(self) -> tuple[str, ...]:
        """The block strings, which `from_strings` reads back given the same stem."""
        inputs = [self.stem_filters, *(block.output_filters for block in self.blocks)]
        return tuple(map(mnas_strings.encode, self.blocks, self.strides, inputs))

    @property
    def text(self) -> str:
        """The network as written on one line, which `from_text` reads back."""
        return "/".join([f"stem{self.stem_filters}", *self.strings])

    @functools.cached_property
    def key(self) -> str:
        """16 hexadecimal digits, equal for networks that build the same graph."""
        layers = [layer for block in self.layers() for layer in block]
        text = mnas_layers.canonical_text(self.stem_filters, layers)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def layers(self, width_multiplier: float | None = None) -> tuple[tuple[Layer, ...], ...]:
        """Work out the layers of each block.

        Args:
          width_multiplier: Of all filters, see `mnas_layers.round_filters`.

        Raises:
          ValueError: Declared input filters leave a block that cannot be built.
        """
        filters = mnas_layers.round_filters(self.stem_filters, width_multiplier)
        blocks = []
        for block, stride in zip(self.blocks, self.strides, strict=True):
            blocks.append(tuple(mnas_layers.block_layers(block, filters, stride, width_multiplier)))
            filters = blocks[-1][-1].output_filters
        return tuple(blocks)

    def __repr__(self) -> str:
        return f"Network.from_text({self.text!r})"

    def __str__(self) -> str:
        return self.text
