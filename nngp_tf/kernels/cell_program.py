"""The features of NAS-Bench-101 networks, by one program for all cells that `cell_layout` aligns.

The architecture is an input: conditionals on the adjacency matrix and the operations choose what
runs, so a program serves every cell with the same number of vertices that feed the output. After
calibration a network is convolutions with folded batch norm, biases, ReLUs, pools and sums.

The passes over a network, each a function of a module that all modules of a shape share:

    draw       kernels [k, k, in, out] after the builder's initialiser
    calibrate  one batch in training mode -> mean and variance of every convolution
    fold       kernels and statistics -> kernels and biases in the compute dtype
    forward    images -> features
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import tensorflow as tf

from nngp_tf.kernels import cell_layout, weights
from nngp_tf.kernels.cell_draws import Axis, conv_kernel, conv_key
from nngp_tf.models.nasbench101 import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM
from nngp_tf.models.nasbench101_network import Nasbench101Network
from nngp_tf.search_spaces import nasbench101

_SLOTS = range(cell_layout.SLOTS)
_OP_OF_KERNEL = {
    "conv3x3": nasbench101.OPS.index(nasbench101.CONV3X3),
    "conv1x1": nasbench101.OPS.index(nasbench101.CONV1X1),
}


@dataclasses.dataclass(frozen=True)
class CellFamily:
    """All networks of one program: what is static about them.

    Attributes:
      stacks: Sizes of each stack.
      num_feeders: F, vertices that feed the output.
      stem_filters: Channels of the stem.
      image_channels: Channels of the images.
      modules_per_stack: Cells in each stack.
      batch_norm: See `features.FeatureProgram`.
      compute_dtype: "float32", "bfloat16" or "float16".
    """

    stacks: tuple[cell_layout.Stack, ...]
    num_feeders: int
    stem_filters: int
    image_channels: int
    modules_per_stack: int
    batch_norm: str
    compute_dtype: str

    output_dtype = "float32"

    @classmethod
    def of(cls, network: Nasbench101Network, batch_norm: str, compute_dtype: str) -> CellFamily:
        """Return the family of a network."""
        return cls(
            stacks=cell_layout.stacks(network),
            num_feeders=cell_layout.num_feeders(network),
            stem_filters=network.stem_filters,
            image_channels=network.input_shape[-1],
            modules_per_stack=network.modules_per_stack,
            batch_norm=batch_norm,
            compute_dtype=compute_dtype,
        )

    @property
    def calibrates(self) -> bool:
        """Whether batch normalisation needs calibration images."""
        return self.batch_norm != "initial"

    def program(self, inputs: Any) -> CellProgram:
        """Return the program of the network that `cell_layout.encode` made `inputs` of."""
        return CellProgram(self, inputs)


class CellProgram:
    """Draws, calibrates and runs a network; its methods are those of `features.FeatureProgram`."""

    def __init__(self, family: CellFamily, inputs: Any):
        """Construct the program of a network, inside the `tf.function` that is to run it."""
        self._family = family
        self._stacks = family.stacks
        self._inputs = inputs
        self._dtype = tf.as_dtype(family.compute_dtype)
        # Traced once for each shape, not once for each module.
        self._functions = {
            (name, stack): tf.function(functools.partial(step, stack), autograph=False)
            for name, step in (
                ("draw", self._draw),
                ("calibrate", self._calibrate),
                ("fold", self._fold),
                ("forward", self._forward),
            )
            for stack in range(len(self._stacks))
        }

    def initialise(self, seed: Any, initialisation: Any, images: tf.Tensor | None) -> Any:
        """Draw and calibrate one initialisation; see `FeatureProgram.initialise`."""
        inputs = self._inputs
        stem = conv_kernel(
            weights.stream(seed, initialisation, conv_key("stem")), 3, self._images, self._stem
        )
        kernels = [
            self._functions["draw", stack](inputs, keys, seed, initialisation, first)
            for stack, first, keys in self._modules()
        ]
        statistics = _blank_statistics(self._stem.size)
        module_statistics = [None] * len(kernels)
        if self._family.calibrates:
            x = tf.cast(images, self._dtype)
            x, statistics = self._calibrated(x, stem)
            for number, (stack, _, _) in enumerate(self._modules()):
                x = self._downsampled(x, stack, number)
                x, module_statistics[number] = self._functions["calibrate", stack](
                    inputs, kernels[number], x
                )
        folded = [
            self._functions["fold", stack](inputs, kernels[number], module_statistics[number])
            for number, (stack, _, _) in enumerate(self._modules())
        ]
        return self._folded(stem, statistics), folded

    def features(self, drawn: Any, images: tf.Tensor) -> tf.Tensor:
        """Return features [B, C] of images [B, H, W, channels]; see `FeatureProgram`."""
        stem, modules = drawn
        x = _conv_relu(tf.cast(images, self._dtype), *stem)
        for number, (stack, _, _) in enumerate(self._modules()):
            x = self._downsampled(x, stack, number)
            x = self._functions["forward", stack](self._inputs, modules[number], x)
        pooled = tf.reduce_mean(tf.cast(x, tf.float32), axis=[1, 2])
        last = self._stacks[-1]
        return tf.gather(pooled, self._inputs["position"], axis=1) if last.padded else pooled

    def _modules(self):
        """Yield (stack, whether its input is the stack before's output, seeds' keys)."""
        for stack in range(len(self._stacks)):
            for module in range(self._family.modules_per_stack):
                scope = f"stack{stack}_module{module}"
                names = [f"{scope}_vertex{slot + 1}_projection" for slot in _SLOTS]
                names += [f"{scope}_vertex{slot + 1}" for slot in _SLOTS]
                names.append(f"{scope}_projection")
                yield stack, module == 0, tf.constant([conv_key(name) for name in names])

    def _downsampled(self, x, stack, number):
        first_of_later_stack = stack > 0 and number % self._family.modules_per_stack == 0
        return tf.nn.max_pool2d(x, 2, 2, "SAME") if first_of_later_stack else x

    @property
    def _images(self):
        return Axis(self._family.image_channels, self._family.image_channels)

    @property
    def _stem(self):
        return Axis(self._family.stem_filters, self._family.stem_filters)

    def _draw(self, stack, inputs, keys, seed, initialisation, first):
        sizes = self._stacks[stack]
        before = stack - 1 if first else stack
        source = self._stem
        if before >= 0:
            source = Axis.of_output(self._stacks[before], inputs["index"][before])

        def draw(wanted, site, kernel_size, rows, columns):
            stream = weights.stream(seed, initialisation, keys[site])
            return tf.cond(
                wanted,
                lambda: conv_kernel(stream, kernel_size, rows, columns),
                lambda: tf.zeros([kernel_size, kernel_size, rows.size, columns.size]),
            )

        kernels = {"projection": [], "conv3x3": [], "conv1x1": []}
        for slot in _SLOTS if self._family.num_feeders else ():
            axis = Axis.of_slot(sizes, inputs["width"][stack, slot])
            site = cell_layout.SLOTS + slot
            kernels["projection"].append(draw(inputs["edge"][0, slot], slot, 1, source, axis))
            for kind, size in (("conv3x3", 3), ("conv1x1", 1)):
                wanted = tf.equal(inputs["op"][slot], _OP_OF_KERNEL[kind])
                kernels[kind].append(draw(wanted, site, size, axis, axis))
        output = Axis.of_output(sizes, inputs["index"][stack])
        kernels["residual"] = draw(inputs["residual"], keys.shape[0] - 1, 1, source, output)
        return kernels

    def _calibrate(self, stack, inputs, kernels, x):
        def apply(kind, slot, x):
            kernel = kernels[kind] if slot is None else kernels[kind][slot]
            return self._calibrated(x, kernel)

        return self._module(stack, inputs, x, apply, _blank_statistics)

    def _forward(self, stack, inputs, folded, x):
        def apply(kind, slot, x):
            kernel, bias = folded[kind] if slot is None else folded[kind][slot]
            return _conv_relu(x, kernel, bias), ()

        return self._module(stack, inputs, x, apply, lambda width: ())[0]

    def _module(self, stack, inputs, x, apply, blank):
        """Run a module; `apply` gives a convolution's output and what it tells, `blank` nothing."""
        sizes = self._stacks[stack]
        told = {"projection": [], "vertex": []}
        slots = [x]
        for slot in _SLOTS if self._family.num_feeders else ():
            total, about = self._sum(slot, inputs, slots, apply, blank(sizes.width))
            told["projection"].append(about)
            output, about = self._operation(slot, inputs, slots, total, apply, blank(sizes.width))
            told["vertex"].append(about)
            slots.append(output)

        def residual():
            return apply("residual", None, x)

        if not self._family.num_feeders:
            output, told["residual"] = residual()
            return output, told
        blocks = [
            tf.switch_case(
                inputs["feeder"][f] - 1, [functools.partial(_same, s) for s in slots[1:]]
            )
            for f in range(self._family.num_feeders)
        ]
        joined = blocks[0] if len(blocks) == 1 else tf.concat(blocks, axis=-1)

        def with_residual():
            output, about = residual()
            return joined + output, about

        output, told["residual"] = tf.cond(
            inputs["residual"], with_residual, lambda: (joined, blank(sizes.output))
        )
        return output, told

    @staticmethod
    def _sum(slot, inputs, slots, apply, nothing):
        """Return the sum that enters a slot: a first source, to which the others are added."""

        def projection():
            return apply("projection", slot, slots[0])

        if slot == 0:
            return projection()
        choices = [projection, *(functools.partial(_same, (s, nothing)) for s in slots[1:])]
        first = inputs["first"][slot]
        total, about = tf.switch_case(first, choices)
        for source in range(1, slot + 1):
            adds = tf.logical_and(inputs["edge"][source, slot], tf.not_equal(first, source))
            total = tf.cond(adds, lambda t=total, s=slots[source]: t + s, lambda t=total: t)
        return total, about

    @staticmethod
    def _operation(slot, inputs, slots, total, apply, nothing):
        def max_pool():
            return tf.nn.max_pool2d(total, 3, 1, "SAME"), nothing

        branches = [
            lambda: apply("conv3x3", slot, total),
            lambda: apply("conv1x1", slot, total),
            max_pool,
        ]
        if slot > 0:
            branches.append(lambda: (slots[slot], nothing))
        return tf.switch_case(inputs["op"][slot], branches)

    def _calibrated(self, x, kernel):
        """Convolution, batch normalisation by the batch's statistics, ReLU; and the statistics."""
        y = tf.nn.conv2d(x, tf.cast(kernel, self._dtype), 1, "SAME")
        width = y.shape[-1]
        empty = tf.zeros([0])
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=y,
            scale=tf.ones([width]),
            offset=tf.zeros([width]),
            mean=empty,
            variance=empty,
            epsilon=BATCH_NORM_EPSILON,
            is_training=True,
        )
        # The operation returns the unbiased estimate, Keras' layer keeps the biased one.
        count = float(y.shape[0] * y.shape[1] * y.shape[2])
        return tf.nn.relu(y), (mean, variance * ((count - 1.0) / count))

    def _fold(self, stack, inputs, kernels, statistics):
        sizes = self._stacks[stack]

        def told(kind, slot, width):
            if statistics is None:
                return _blank_statistics(width)
            return statistics[kind] if slot is None else statistics[kind][slot]

        folded = {"projection": [], "conv3x3": [], "conv1x1": []}
        for slot, kernel in enumerate(kernels["projection"]):
            about = told("projection", slot, sizes.width)
            folded["projection"].append(self._folded_if(inputs["edge"][0, slot], kernel, about))
        for kind, op in _OP_OF_KERNEL.items():
            for slot, kernel in enumerate(kernels[kind]):
                about = told("vertex", slot, sizes.width)
                wanted = tf.equal(inputs["op"][slot], op)
                folded[kind].append(self._folded_if(wanted, kernel, about))
        about = told("residual", None, sizes.output)
        folded["residual"] = self._folded_if(inputs["residual"], kernels["residual"], about)
        return folded

    def _folded_if(self, wanted, kernel, statistics):
        return tf.cond(
            wanted,
            lambda: self._folded(kernel, statistics),
            lambda: (tf.zeros(kernel.shape, self._dtype), tf.zeros(kernel.shape[-1:], self._dtype)),
        )

    def _folded(self, kernel, statistics):
        mean, variance = statistics
        if self._family.batch_norm == "one_update":
            mean = (1.0 - BATCH_NORM_MOMENTUM) * mean
            variance = BATCH_NORM_MOMENTUM + (1.0 - BATCH_NORM_MOMENTUM) * variance
        scale = tf.math.rsqrt(variance + BATCH_NORM_EPSILON)
        return tf.cast(kernel * scale, self._dtype), tf.cast(-mean * scale, self._dtype)


def _conv_relu(x, kernel, bias):
    return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias))


def _same(value):
    return value


def _blank_statistics(width):
    return tf.zeros([width]), tf.ones([width])
