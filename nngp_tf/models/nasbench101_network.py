"""A NAS-Bench-101 network as a value: what it is built from, and what follows without building."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import keras

from nngp_tf.models.nasbench101 import build_nasbench101, check_sizes, vertex_channels
from nngp_tf.search_spaces import nasbench101


@dataclasses.dataclass(frozen=True)
class Nasbench101Network:
    """A cell and the options of `build_nasbench101`.

    Takes the place of a built model wherever a kernel is computed, and is faster there: networks
    that differ in their cells share programs.

    Raises:
      ValueError: As `build_nasbench101`.
    """

    cell: nasbench101.Cell
    input_shape: tuple[int, int, int] = (32, 32, 3)
    num_classes: int = 10
    stem_filters: int = 128
    num_stacks: int = 3
    modules_per_stack: int = 3

    def __post_init__(self):
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        check_sizes(**vars(self))
        # Raises for a stem that leaves an operation without a channel.
        vertex_channels(self.stem_filters, self.stem_filters, self.cell.matrix)

    @property
    def key(self) -> str:
        """The cell's."""
        return self.cell.key

    @property
    def text(self) -> str:
        """The cell's."""
        return self.cell.text

    @property
    def num_features(self) -> int:
        """C, the width of the feature vector."""
        return self.stem_filters * 2 ** (self.num_stacks - 1)

    @property
    def trainable_parameters(self) -> int:
        """Of the whole network, classifier included."""
        # Batch norm has two parameters a channel.
        convolutions = sum(x.weights + 2 * x.channels for x in self._convolutions())
        return convolutions + (self.num_features + 1) * self.num_classes

    @property
    def multiply_adds(self) -> int:
        """Of the convolutions and the classifier for one image."""
        convolutions = sum(x.weights * x.positions for x in self._convolutions())
        return convolutions + self.num_features * self.num_classes

    def build(self, dtype_policy: str | keras.DTypePolicy | None = None) -> keras.Model:
        """Build the Keras model."""
        return build_nasbench101(**vars(self), dtype_policy=dtype_policy)

    def _convolutions(self) -> Iterator[_Convolution]:
        height, width, channels = self.input_shape
        yield _convolution(channels, self.stem_filters, 3, height * width)
        channels = self.stem_filters
        for stack in range(self.num_stacks):
            output = self.stem_filters * 2**stack
            for _ in range(self.modules_per_stack):
                yield from _module_convolutions(self.cell, channels, output, height * width)
                channels = output
            height, width = -(-height // 2), -(-width // 2)


class _Convolution(NamedTuple):
    """Weights of the kernel, channels and positions of the output."""

    weights: int
    channels: int
    positions: int


def _module_convolutions(cell, input_channels, output_channels, positions):
    channels = vertex_channels(input_channels, output_channels, cell.matrix)
    kernel_size = {nasbench101.CONV3X3: 3, nasbench101.CONV1X1: 1}
    for vertex in range(1, len(cell.ops)):
        width = channels[vertex]
        if cell.matrix[0, vertex]:
            yield _convolution(input_channels, width, 1, positions)
        if cell.ops[vertex] in kernel_size:
            yield _convolution(width, width, kernel_size[cell.ops[vertex]], positions)


def _convolution(input_channels, output_channels, kernel_size, positions):
    weights = kernel_size**2 * input_channels * output_channels
    return _Convolution(weights, output_channels, positions)
