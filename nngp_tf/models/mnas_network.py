"""A mobile network as a value: what it is built from, and what follows without building."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import keras

from nngp_tf.models.mnas import HEAD_FILTERS, STEM_STRIDE, build_mnas, check_sizes
from nngp_tf.search_spaces import mnas


@dataclasses.dataclass(frozen=True)
class MnasNetwork:
    """A network of the search space and the options of `build_mnas`.

    Raises:
      ValueError: As `build_mnas`.
    """

    network: mnas.Network
    input_shape: tuple[int, int, int] = (224, 224, 3)
    num_classes: int = 1000
    width_multiplier: float | None = None
    dropout_rate: float = 0.2

    def __post_init__(self):
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        check_sizes(**vars(self))

    @property
    def key(self) -> str:
        """The one of the search space."""
        return self.network.key

    @property
    def text(self) -> str:
        """The one of the search space."""
        return self.network.text

    @property
    def num_features(self) -> int:
        """C, the width of the feature vector."""
        return HEAD_FILTERS

    @property
    def trainable_parameters(self) -> int:
        """Of the whole network, classifier included."""
        convolutions = sum(x.weights + x.other_parameters for x in self._convolutions())
        return convolutions + (HEAD_FILTERS + 1) * self.num_classes

    @property
    def multiply_adds(self) -> int:
        """Of the convolutions and the classifier for one image."""
        convolutions = sum(x.weights * x.positions for x in self._convolutions())
        return convolutions + HEAD_FILTERS * self.num_classes

    def build(self, dtype_policy: str | keras.DTypePolicy | None = None) -> keras.Model:
        """Build the Keras model."""
        return build_mnas(**vars(self), dtype_policy=dtype_policy)

    def _convolutions(self) -> Iterator[_Convolution]:
        *size, channels = self.input_shape
        size = _strided(size, STEM_STRIDE)
        stem_filters = mnas.round_filters(self.network.stem_filters, self.width_multiplier)
        yield _conv_bn(channels, stem_filters, 3, size)
        for layers in self.network.layers(self.width_multiplier):
            for layer in layers:
                yield from _layer_convolutions(layer, size)
                size = _strided(size, layer.stride)
        yield _conv_bn(layers[-1].output_filters, HEAD_FILTERS, 1, size)


class _Convolution(NamedTuple):
    """Weights of the kernel, biases or batch norm's parameters, and positions of the output."""

    weights: int
    other_parameters: int
    positions: int


def _layer_convolutions(layer, size):
    output_size = _strided(size, layer.stride)
    if layer.block_fn == mnas.CONV:
        yield _conv_bn(layer.input_filters, layer.output_filters, layer.kernel_size, output_size)
        return
    if layer.expansion_filters:
        yield _conv_bn(layer.input_filters, layer.expansion_filters, 1, size)
    filters = layer.depthwise_filters
    yield _conv_bn(1, filters, layer.kernel_size, output_size)
    if layer.squeeze_filters:
        weights = filters * layer.squeeze_filters
        yield _Convolution(weights, layer.squeeze_filters, 1)
        yield _Convolution(weights, filters, 1)
    yield _conv_bn(filters, layer.output_filters, 1, output_size)


def _conv_bn(input_filters, output_filters, kernel_size, size):
    height, width = size
    weights = kernel_size**2 * input_filters * output_filters
    return _Convolution(weights, 2 * output_filters, height * width)


def _strided(size, stride):
    return [-(-side // stride) for side in size]
