"""The programs of one layer of a mobile network.

    prepare    draw kernels after the builder's initialiser -> run the calibration images in
               training mode -> fold mean and variance into the kernels
    forward    a batch through the folded layer: convolutions, biases, ReLUs

    conv    project
    mbconv  [expand] -> depthwise -> [squeeze-excitation] -> project, without ReLU -> [+ skip]
    dconv   depthwise -> project

The kernels are those that `weights.WeightSampler` draws for the Keras model, save on TPU, where
Keras' own random functions do not draw by Threefry.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import tensorflow as tf

from nngp_tf.kernels import mnas_layout, weights
from nngp_tf.kernels.mnas_layout import LayerKind
from nngp_tf.models.mnas import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM
from nngp_tf.search_spaces import mnas

# Without batch normalisation, so not folded; their biases are zero at initialisation.
GATES = ("squeeze", "excite")


@dataclasses.dataclass(frozen=True)
class MnasFamily:
    """What all layers of a computation have in common.

    Attributes:
      batch_norm: See `features.FeatureProgram`.
      compute_dtype: "float32", "bfloat16" or "float16".
    """

    batch_norm: str
    compute_dtype: str

    output_dtype = "float32"

    @property
    def calibrates(self) -> bool:
        """Whether batch normalisation needs calibration images."""
        return self.batch_norm != "initial"


class LayerProgram:
    """Draws, calibrates and runs a layer, inside the `tf.function` that is to run it."""

    def __init__(self, family: MnasFamily, kind: LayerKind, inputs: dict[str, tf.Tensor]):
        """Construct the program of the layer that `mnas_layout.encode` made `inputs` of."""
        self._family = family
        self._kind = kind
        self._inputs = inputs
        self._widths = kind.widths or mnas_layout.Widths(*tf.unstack(inputs["widths"]))
        self._dtype = tf.as_dtype(family.compute_dtype)

    def prepare(
        self, seed: tf.Tensor, initialisation: tf.Tensor, x: tf.Tensor | None = None
    ) -> tuple[dict[str, Any], tf.Tensor | None]:
        """Draw one initialisation, calibrate and fold it.

        Args:
          seed: See `WeightSampler.draw`.
          initialisation: See `WeightSampler.draw`.
          x: Calibration images as they enter the layer [S, H, W, channels]; None where the family
            does not calibrate.

        Returns:
          What `forward` takes, and the calibration images as they leave the layer, or None.
        """
        kernels = self._draw(seed, initialisation)
        gates = {site: tf.cast(kernels[site], self._dtype) for site in kernels if site in GATES}
        statistics = {}
        if x is not None:

            def normalised(site, x):
                y = self._convolved(site, x, tf.cast(kernels[site], self._dtype))
                y, statistics[site] = _batch_normalised(y)
                return y

            x = self._layer(x, normalised, gates)
        folded = {
            site: self._folded(site, kernel, statistics.get(site))
            for site, kernel in kernels.items()
            if site not in GATES
        }
        return folded | gates, x

    def forward(self, folded: dict[str, Any], x: tf.Tensor) -> tf.Tensor:
        """Return what leaves the layer [B, H', W', C] of what enters it [B, H, W, channels]."""

        def biased(site, x):
            kernel, bias = folded[site]
            return tf.nn.bias_add(self._convolved(site, x, kernel), bias)

        return self._layer(x, biased, folded)

    def _layer(self, x, convolve, gates):
        kind = self._kind
        y = x
        if kind.expands:
            y = tf.nn.relu(convolve("expand", y))
        if kind.block_fn != mnas.CONV:
            y = tf.nn.relu(convolve("depthwise", y))
        if kind.block_fn != mnas.MBCONV:
            return tf.nn.relu(convolve("project", y))
        y = tf.cond(self._inputs["squeezes"], lambda: _scaled(y, gates), lambda: y)
        y = convolve("project", y)
        return self._with_skip(x, y) if kind.can_skip else y

    def _with_skip(self, x, y):
        added = {
            mnas.NONE: lambda: y,
            mnas.IDENTITY: lambda: y + x,
            mnas.MAX_POOL: lambda: y + tf.nn.max_pool2d(x, 3, 1, "SAME"),
            mnas.AVERAGE_POOL: lambda: y + tf.nn.avg_pool2d(x, 3, 1, "SAME"),
        }
        return tf.switch_case(self._inputs["skip"], [added[skip] for skip in mnas_layout.SKIPS])

    def _convolved(self, site, x, kernel):
        stride = self._kind.stride if site == _searched(self._kind) else 1
        if site == "depthwise":
            return tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], "SAME")
        return tf.nn.conv2d(x, kernel, stride, "SAME")

    def _draw(self, seed, initialisation):
        keys = dict(zip(mnas_layout.SITES, tf.unstack(self._inputs["keys"]), strict=True))
        kernels = {}
        for site, shape in kernel_shapes(self._kind, self._widths).items():
            stream = weights.stream(seed, initialisation, keys[site])
            draw = functools.partial(_kernel, shape, stream)
            if site in GATES:
                none = functools.partial(tf.zeros, shape)
                kernels[site] = tf.cond(self._inputs["squeezes"], draw, none)
            else:
                kernels[site] = draw()
        return kernels

    def _folded(self, site, kernel, statistics):
        mean, variance = statistics or (tf.zeros([]), tf.ones([]))
        if self._family.batch_norm == "one_update":
            mean = (1.0 - BATCH_NORM_MOMENTUM) * mean
            variance = BATCH_NORM_MOMENTUM + (1.0 - BATCH_NORM_MOMENTUM) * variance
        channels = self._widths.output if site == "project" else self._widths.depthwise
        scale = tf.broadcast_to(tf.math.rsqrt(variance + BATCH_NORM_EPSILON), [channels])
        kernel *= scale[:, None] if site == "depthwise" else scale
        return tf.cast(kernel, self._dtype), tf.cast(-mean * scale, self._dtype)


def kernel_shapes(kind: LayerKind, widths: mnas_layout.Widths) -> dict[str, list[Any]]:
    """Return the shapes of a layer's kernels, in terms of what `widths` holds.

    Args:
      kind: Of the layer.
      widths: Integers, tensors or None.
    """
    channels = {"project": (widths.input, widths.output)}
    if kind.expands:
        channels["expand"] = widths.input, widths.depthwise
    if kind.block_fn != mnas.CONV:
        channels["depthwise"] = widths.depthwise, 1
        channels["project"] = widths.depthwise, widths.output
    if kind.block_fn == mnas.MBCONV:
        channels["squeeze"] = widths.depthwise, widths.squeeze
        channels["excite"] = widths.squeeze, widths.depthwise
    side = {_searched(kind): kind.kernel_size}
    return {site: [side.get(site, 1)] * 2 + [*pair] for site, pair in channels.items()}


def _searched(kind):
    """Return the convolution with the kind's kernel size and stride; the others are 1x1."""
    return "project" if kind.block_fn == mnas.CONV else "depthwise"


def _kernel(shape, stream):
    """Draw a kernel of normal numbers with variance 2 / (side x side x output channels)."""
    # XLA has no numbers of its own that are the same in every version; see `weights.uniform`.
    algorithm = "auto_select" if weights.draws_are_nested() else "threefry"
    fan_out = tf.cast(shape[0] * shape[1] * shape[-1], tf.float32)
    return tf.random.stateless_normal(shape, stream, alg=algorithm) * tf.sqrt(2.0 / fan_out)


def _batch_normalised(x):
    """Normalise by the batch's statistics; return these as well."""
    channels = tf.shape(x)[-1:]
    empty = tf.zeros([0])
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=tf.ones(channels),
        offset=tf.zeros(channels),
        mean=empty,
        variance=empty,
        epsilon=BATCH_NORM_EPSILON,
        is_training=True,
    )
    # The operation returns the unbiased estimate, Keras' layer keeps the biased one.
    count = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), tf.float32)
    return y, (mean, variance * ((count - 1.0) / count))


def _scaled(x, gates):
    """Squeeze-excitation."""
    squeeze, excite = (gates[site][0, 0] for site in GATES)
    squeezed = tf.nn.relu(tf.matmul(tf.reduce_mean(x, [1, 2]), squeeze))
    return x * tf.sigmoid(tf.matmul(squeezed, excite))[:, None, None]
