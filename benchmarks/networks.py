"""The networks and images that benchmarks run, and the shared program's passes on their own."""

from __future__ import annotations

import functools
import pathlib

import numpy as np
import tensorflow as tf

from nngp_tf.data import benchmark_table
from nngp_tf.data.images import ImageData, load_images
from nngp_tf.kernels import cell_layout
from nngp_tf.kernels.cell_program import CellFamily
from nngp_tf.models import Nasbench101Network
from nngp_tf.models.nasbench101 import vertex_channels
from nngp_tf.search_spaces.nasbench101 import CONV1X1, CONV3X3, Cell

TABLE = "nasbench101_20k.csv.gz"

# What `quantile_cells` finds in that table, for machines without it.
FIXED_CELLS = (
    "0100100/0010010/0001000/0000011/0000010/0000001/0000000:"
    "input,maxpool3x3,maxpool3x3,maxpool3x3,conv1x1-bn-relu,conv1x1-bn-relu,output",
    "0100000/0010110/0001001/0000001/0000010/0000001/0000000:"
    "input,conv3x3-bn-relu,maxpool3x3,maxpool3x3,conv1x1-bn-relu,conv3x3-bn-relu,output",
    "0110000/0001001/0000010/0000100/0000010/0000001/0000000:"
    "input,conv3x3-bn-relu,maxpool3x3,maxpool3x3,maxpool3x3,conv1x1-bn-relu,output",
    "0100100/0011100/0001000/0000001/0000010/0000001/0000000:"
    "input,conv1x1-bn-relu,conv1x1-bn-relu,conv1x1-bn-relu,conv1x1-bn-relu,conv3x3-bn-relu,output",
    "0100000/0011000/0000110/0000100/0000011/0000001/0000000:"
    "input,conv3x3-bn-relu,conv3x3-bn-relu,conv1x1-bn-relu,conv1x1-bn-relu,conv1x1-bn-relu,output",
    "0110000/0010000/0001000/0000100/0000011/0000001/0000000:"
    "input,conv3x3-bn-relu,maxpool3x3,conv3x3-bn-relu,conv3x3-bn-relu,conv1x1-bn-relu,output",
    "0101010/0010010/0000100/0000100/0000010/0000001/0000000:"
    "input,conv3x3-bn-relu,conv1x1-bn-relu,maxpool3x3,maxpool3x3,conv1x1-bn-relu,output",
    "0111000/0000110/0001000/0000100/0000010/0000001/0000000:"
    "input,conv1x1-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu,conv1x1-bn-relu,conv1x1-bn-relu,output",
)


def quantile_cells(shared_data: str) -> tuple[list[Cell], str]:
    """Return eight cells that span the sizes, smallest first, and where they come from.

    They lie at the quantiles 1/16, 3/16, ... 15/16 of the multiply-adds in the table of trained
    accuracies, ties in the order of the hash; without the table they are `FIXED_CELLS`.
    """
    path = pathlib.Path(shared_data) / TABLE
    number = len(FIXED_CELLS)
    if not path.is_file():
        return [Cell.from_text(text) for text in FIXED_CELLS], "fixed"
    loaded = benchmark_table.load(path)
    order = np.lexsort((loaded.module_hashes, loaded.multiply_adds))
    rows = [order[int((i + 0.5) / number * len(order))] for i in range(number)]
    return [loaded.cell(row) for row in rows], f"quantiles of {TABLE}"


def images(num_train: int, num_test: int, shared_data: str) -> ImageData:
    """Load CIFAR-10 as `configs/base/cifar10.gin` does, or draw images where there is none."""
    data_dir = pathlib.Path(shared_data) / "tensorflow_datasets"
    if (data_dir / "cifar10").is_dir():
        return load_images(
            "cifar10",
            num_train,
            num_test,
            data_dir=data_dir,
            channel_mean=(125.3, 123.0, 113.9),
            channel_std=(63.0, 62.1, 66.7),
        )
    return random_images(num_train, num_test, 32)


def random_images(num_train: int, num_test: int, side: int) -> ImageData:
    """Draw images of normal numbers, and labels of ten classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num_train + num_test, side, side, 3)).astype(np.float32)
    y = rng.integers(10, size=len(x))
    return ImageData(
        x_train=x[:num_train],
        y_train=y[:num_train],
        x_test=x[num_train:],
        y_test=y[num_train:],
        num_classes=10,
        class_names=tuple("0123456789"),
        channel_mean=np.zeros(3),
        channel_std=np.ones(3),
        name="random images",
    )


def multiply_adds(network: Nasbench101Network) -> int:
    """Return the multiply-adds of the convolutions, one image."""
    height, width, channels = network.input_shape
    total = height * width * 9 * channels * network.stem_filters
    channels = network.stem_filters
    for stack in range(network.num_stacks):
        if stack:
            height, width = -(-height // 2), -(-width // 2)
        output = network.stem_filters * 2**stack
        for _ in range(network.modules_per_stack):
            total += height * width * _module_multiply_adds(network.cell, channels, output)
            channels = output
    return total


def _module_multiply_adds(cell, input_channels, output_channels):
    channels = vertex_channels(input_channels, output_channels, cell.matrix)
    taps = {CONV3X3: 9, CONV1X1: 1}
    total = 0
    for vertex in range(1, len(cell.ops)):
        if cell.matrix[0, vertex]:
            total += input_channels * channels[vertex]
        total += taps.get(cell.ops[vertex], 0) * channels[vertex] ** 2
    return total


class Program:
    """A network's shared program, each pass callable without the others.

    Programs of one family share their traces, as in the library.
    """

    def __init__(
        self, network: Nasbench101Network, compute_dtype: str, batch_norm: str = "one_update"
    ):
        """Encode the network."""
        family = CellFamily.of(network, batch_norm, compute_dtype)
        self._initialise, self._features = _passes(family)
        self._inputs = tf.nest.map_structure(tf.constant, cell_layout.encode(network))

    def initialise(self, images: tf.Tensor, initialisation: int = 0):
        """Draw, calibrate on the images and fold one initialisation; what `features` takes."""
        return self._initialise(self._inputs, tf.constant(0), tf.constant(initialisation), images)

    def features(self, drawn, images: tf.Tensor) -> tf.Tensor:
        """Return features [B, C]."""
        return self._features(self._inputs, drawn, images)


class _Pass:
    """A function traced once for each shape of images, its last argument."""

    def __init__(self, function):
        self._function = tf.function(function, autograph=False)
        self._traced = {}

    def __call__(self, *arguments):
        shape = tuple(arguments[-1].shape)
        if shape not in self._traced:
            # Concrete, as otherwise TensorFlow warns of so many traces.
            self._traced[shape] = self._function.get_concrete_function(*arguments)
        return self._traced[shape](*arguments)


@functools.cache
def _passes(family):
    def initialise(inputs, seed, initialisation, images):
        return family.program(inputs).initialise(seed, initialisation, images)

    def features(inputs, drawn, images):
        return family.program(inputs).features(drawn, images)

    return _Pass(initialise), _Pass(features)
