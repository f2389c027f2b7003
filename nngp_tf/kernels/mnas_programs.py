"""The traced programs of layers: one of each for a kind, whatever networks there are.

    prepare  inputs, seed, initialisation [, images that calibrate] -> folded layer [, images]
    forward  inputs, folded layer, images -> images
    pool     images -> features

Where XLA compiles, on TPU, shapes are static and belong to the kind. Elsewhere channels, image size
and number of images stay unknown; oneDNN loses nothing by it.

A network is traced for its layers of new kinds only, so the number of traces is bounded for any
number of networks, whose family and strategy are the same: two for each kind of the search space
(counted in `mnas_layout`), one to pool, three that begin, feed and end a round (`mnas_step`).

    2 x 13 + 1 + 3 = 30         where shapes stay unknown, whatever the image size
    2 x 628 + 1 + 3 = 1260      where they are static, at one image size and layout of the work

The three are traced again for another number or size of images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from nngp_tf.kernels import mnas_layout, placement, precision, weights
from nngp_tf.kernels.mnas_layer import GATES, LayerProgram, MnasFamily, kernel_shapes
from nngp_tf.kernels.mnas_layout import LayerKind
from nngp_tf.models.mnas import HEAD_FILTERS

_UNKNOWN = mnas_layout.Widths(None, None, None, None)


@functools.lru_cache(maxsize=8)
def shared_programs(family: MnasFamily, strategy: tf.distribute.Strategy) -> LayerPrograms:
    """Return the programs of a family on a strategy, the same ones for the same two."""
    return LayerPrograms(family, strategy)


def has_static_shapes(device_type: str) -> bool:
    """Whether kinds have shapes where replicas run: on "CPU", "GPU" or "TPU"."""
    return device_type == "TPU"


class LayerPrograms:
    """Programs that run on every replica of a strategy, each traced when it is first asked for."""

    def __init__(self, family: MnasFamily, strategy: tf.distribute.Strategy):
        """Begin without any program."""
        self._family = family
        self._strategy = strategy
        self._device = precision.device_type(strategy)
        self._traced = {}

    def __len__(self) -> int:
        """Return how many have been traced."""
        return len(self._traced)

    def prepare(self, kind: LayerKind, num_images: int) -> Callable:
        """Return the program that draws, calibrates on S images and folds."""
        return self._program(prepare_program, prepare_specs, kind, num_images)

    def forward(self, kind: LayerKind, num_images: int) -> Callable:
        """Return the program that runs a batch of B images."""
        return self._program(forward_program, forward_specs, kind, num_images)

    def pool(self, kind: LayerKind, num_images: int) -> Callable:
        """Return the program that averages over what leaves a head of this kind."""
        return self._program(pool_program, pool_specs, kind, num_images)

    def _program(self, make_program, make_specs, kind, num_images):
        num_images = num_images if kind.widths else None
        key = make_program, kind, num_images
        if key not in self._traced:
            program = make_program(self._family, kind, self._device)
            shared, own = make_specs(self._family, kind, num_images)
            own = tf.nest.map_structure(lambda s: placement.replicated(s, self._strategy), own)
            specs = *shared, *own

            @tf.function(autograph=False)
            def on_replicas(*flat):
                arguments = tf.nest.pack_sequence_as(specs, flat)
                return self._strategy.run(program, args=arguments)

            concrete = on_replicas.get_concrete_function(*tf.nest.flatten(specs))
            self._traced[key] = functools.partial(_call, concrete)
        return self._traced[key]


def _call(concrete, *arguments):
    # What `concrete` does itself, without matching arguments to names and specs: a tenth of the
    # time of a small layer.
    flat = tf.nest.flatten(arguments, expand_composites=True)
    return concrete.inference_fn.call_preflattened([*flat, *concrete.captured_inputs])


def prepare_program(family: MnasFamily, kind: LayerKind, device_type: str) -> Callable:
    """Return what a replica computes in `prepare`, on a device that need not be there."""

    def program(inputs, seed, initialisation, x=None):
        with weights.drawn_on(device_type):
            return LayerProgram(family, kind, inputs).prepare(seed, initialisation, x)

    return program


def forward_program(family: MnasFamily, kind: LayerKind, device_type: str) -> Callable:
    """Return what a replica computes in `forward`."""
    del device_type

    def program(inputs, folded, x):
        return LayerProgram(family, kind, inputs).forward(folded, x)

    return program


def pool_program(family: MnasFamily, kind: LayerKind, device_type: str) -> Callable:
    """Return what a replica computes in `pool`."""
    del kind, device_type
    return lambda x: tf.reduce_mean(tf.cast(x, family.output_dtype), axis=[1, 2])


def prepare_specs(
    family: MnasFamily, kind: LayerKind, num_images: int | None
) -> tuple[list[Any], list[Any]]:
    """Return the specs of what `prepare` takes.

    Args:
      family: Of the program.
      kind: Of the program.
      num_images: S; None if unknown.

    Returns:
      Those that all replicas share, and those of which each has its own.
    """
    scalar = tf.TensorSpec([], tf.int32)
    images = [_images_spec(family, kind, num_images)] if family.calibrates else []
    return [_inputs_spec(), scalar], [scalar, *images]


def forward_specs(
    family: MnasFamily, kind: LayerKind, num_images: int | None
) -> tuple[list[Any], list[Any]]:
    """Return the specs of what `forward` takes, as `prepare_specs`; `num_images` is B."""
    folded = {}
    for site, shape in kernel_shapes(kind, kind.widths or _UNKNOWN).items():
        kernel = tf.TensorSpec(shape, family.compute_dtype)
        channels = shape[2] if site == "depthwise" else shape[3]
        bias = tf.TensorSpec([channels], family.compute_dtype)
        folded[site] = kernel if site in GATES else (kernel, bias)
    return [_inputs_spec()], [folded, _images_spec(family, kind, num_images)]


def pool_specs(
    family: MnasFamily, kind: LayerKind, num_images: int | None
) -> tuple[list[Any], list[Any]]:
    """Return the specs of what `pool` takes, as `prepare_specs`; `num_images` is B."""
    before = _images_spec(family, kind, num_images)
    channels = HEAD_FILTERS if kind.widths else None
    return [], [tf.TensorSpec([*before.shape[:-1], channels], before.dtype)]


def _inputs_spec():
    return {
        "keys": tf.TensorSpec([len(mnas_layout.SITES)], tf.int32),
        "widths": tf.TensorSpec([len(_UNKNOWN)], tf.int32),
        "squeezes": tf.TensorSpec([], tf.bool),
        "skip": tf.TensorSpec([], tf.int32),
    }


def _images_spec(family, kind, num_images):
    size = kind.image_size or (None, None)
    channels = kind.widths.input if kind.widths else None
    return tf.TensorSpec([num_images, *size, channels], family.compute_dtype)
