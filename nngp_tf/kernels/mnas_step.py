"""One round of a mobile network's kernel: the programs of its layers, one after the other.

    begin    seed, start, images -> each replica's initialisation, and its calibration images
    prepare  layer by layer, through the calibration images
    for each batch of the replica's share of the images
      forward  layer by layer, then pool
    end      features -> sums over the replicas

What passes from one to the next, each replica has its own of. The images stream in batches: memory
is that of one batch through one layer and one initialisation's weights; see `mnas_costs`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from nngp_tf.kernels import precision, weights
from nngp_tf.kernels.mnas_layout import LayerKind
from nngp_tf.kernels.mnas_programs import shared_programs
from nngp_tf.kernels.step import Round, StepSpec, all_reduce


class MnasStep:
    """A step as `step.make_step` makes it, of programs that other networks share.

    Its inputs are those of the network's layers.
    """

    def __init__(self, kinds: Sequence[LayerKind], spec: StepSpec):
        """Construct the step of a network with layers of these kinds."""
        self._kinds = kinds
        self._spec = spec
        self._programs = shared_programs(spec.family, spec.strategy)

    def get_concrete_function(self, *arguments: Any) -> None:
        """Trace the programs of the layers, as far as they have not been met.

        Args:
          *arguments: Unused: the kinds tell all.
        """
        del arguments
        self._layers()

    def __call__(self, inputs, seed, start, end, images) -> list[tf.Tensor]:
        """Run the round; arguments and result are those of `step.make_step`."""
        begin, batch_of, finish = _round_programs(self._spec)
        layers = self._layers()
        init, x = begin(seed, start, images)
        folded = []
        for (prepare, _), layer in zip(layers, inputs, strict=True):
            calibration = [x] if self._spec.family.calibrates else []
            drawn, x = prepare(layer, seed, init, *calibration)
            folded.append(drawn)
        z = []
        for batch in range(self._spec.division.batches):
            x = batch_of(images, tf.constant(batch))
            for (_, forward), layer, drawn in zip(layers, inputs, folded, strict=True):
                x = forward(layer, drawn, x)
            z.append(self._pool()(x))
        return finish(start, end, z)

    def _layers(self):
        """Return prepare and forward of each layer."""
        size, batch = self._spec.calibration_size, self._spec.division.batch_size
        programs = self._programs
        return [
            (programs.prepare(kind, size), programs.forward(kind, batch)) for kind in self._kinds
        ]

    def _pool(self):
        return self._programs.pool(self._kinds[-1], self._spec.division.batch_size)


def replica_programs(
    spec: StepSpec, device_type: str, reduce: Callable[[Any], Any] = lambda values: values
) -> tuple[Callable, Callable, Callable]:
    """Return begin, batch and end as one replica computes them, on a device that need not be there.

    Args:
      spec: Of the step; its strategy plays no part.
      device_type: "CPU", "GPU" or "TPU".
      reduce: Sums over the replicas.

    Returns:
      Functions of the replica's number, an int32 scalar, and of seed, start and images; images and
      number of the batch; start, end and the features of each batch.
    """
    round_ = Round(spec, device_type)
    dtype = spec.family.compute_dtype

    def begin(replica, seed, start, images):
        init = round_.initialisation(replica, start)
        with weights.drawn_on(device_type):
            x = round_.calibration_images(seed, init, images)
        return init, x if x is None else tf.cast(x, dtype)

    def batch(replica, images, number):
        return tf.cast(round_.batch(replica, images, number), dtype)

    def end(replica, start, end, z):
        active = round_.initialisation(replica, start) < end
        return round_.sums(replica, reduce, active, tf.concat(z, axis=0))

    return begin, batch, end


# As `step.shared_step`.
@functools.lru_cache(maxsize=64)
def _round_programs(spec: StepSpec) -> tuple[Callable, Callable, Callable]:
    """Return begin, batch and end; traced once for each shape of the images."""

    def reduce(values):
        return all_reduce(tf.distribute.get_replica_context(), values)

    programs = replica_programs(spec, precision.device_type(spec.strategy), reduce)
    return tuple(_on_replicas(spec.strategy, program) for program in programs)


def _on_replicas(strategy, program):
    def on_replica(*arguments):
        context = tf.distribute.get_replica_context()
        return program(tf.cast(context.replica_id_in_sync_group, tf.int32), *arguments)

    @tf.function(autograph=False)
    def on_replicas(*arguments):
        return strategy.run(on_replica, args=arguments)

    return on_replicas
