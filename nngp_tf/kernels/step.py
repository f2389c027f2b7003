"""One round of a kernel's estimate: the program that every replica runs, with static shapes."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from nngp_tf.kernels import gram, precision, rounding, weights
from nngp_tf.kernels.work import Division

_KERAS_FRAME = re.compile(r"Exception encountered when calling .*\n\n")


@dataclasses.dataclass(frozen=True)
class StepSpec:
    """All that shapes a step; equal specs share one.

    Attributes:
      family: Makes the program of a network from its inputs; see `cell_program.CellFamily` and
        `features.FeatureProgram`.
      strategy: Where it runs.
      division: Grid of replicas and layout of the images.
      num_train: N.
      num_images: N + T, without probes and padding.
      calibration_size: Training images that calibrate an initialisation.
      keep_features: Whether the step returns them.
      num_probes: Images that measure rounding; see `rounding`.
      weights_move: Where they are training images under moved weights, which the family's program
        tells, in place of moved images after the N + T: the spacing by which they move.
    """

    family: Any
    strategy: tf.distribute.Strategy
    division: Division
    num_train: int
    num_images: int
    calibration_size: int
    keep_features: bool
    num_probes: int = 0
    weights_move: float | None = None

    @property
    def num_placed(self) -> int:
        """Images on each device: N + T and, where images move, the probes."""
        return self.num_images + (self.num_probes if self.weights_move is None else 0)


# More families, layouts and protocols than one process is likely to mix.
@functools.lru_cache(maxsize=64)
def shared_step(spec: StepSpec) -> Callable:
    """Return the step of a spec, the same one for equal specs."""
    return make_step(spec)


def make_step(spec: StepSpec) -> Callable:
    """Make a step: (inputs, seed, start, end, images) -> sums over a round's initialisations.

    Its arguments: what the family's `program` takes, int32 scalars, and the images, or other
    inputs, [spec.num_placed, ...], as `placement` has them: of training, of testing, probes.
    Initialisations `start` to `end` (excluded) are computed, at most `spec.division.init_groups` of
    them.

    It returns sums of z z_train^T [N + T, N], of the test images' z.z [T], of ||K_m||^2 [] and of
    `rounding.variance` [], and with `keep_features` z [init_groups, N + T, C]; the same on every
    replica.
    """
    round_ = Round(spec, precision.device_type(spec.strategy))

    def on_replica(*arguments):
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
        return round_(replica, functools.partial(all_reduce, context), *arguments)

    @tf.function(autograph=False)
    def step(inputs, seed, start, end, images):
        return spec.strategy.run(on_replica, args=(inputs, seed, start, end, images))

    return step


def replica_program(spec: StepSpec, device_type: str) -> Callable:
    """Return what one replica computes in a step, for a kind of device that need not be there.

    Args:
      spec: Of the step; its strategy plays no part.
      device_type: "CPU", "GPU" or "TPU".

    Returns:
      A function of the replica's number, an int32 scalar, and the arguments of the step. It sums
      over this replica only.
    """
    round_ = Round(spec, device_type)

    def program(replica, *arguments):
        return round_(replica, lambda values: values, *arguments)

    return program


def trace_step(step: Callable, *arguments: Any) -> None:
    """Trace a step for arguments that may be given as `tf.TensorSpec`s.

    Raises:
      ValueError: If the network does not run on such images.
    """
    try:
        step.get_concrete_function(*arguments)
    except (AttributeError, TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        if isinstance(error, ValueError) and not _KERAS_FRAME.match(str(error)):
            raise
        sentence = said_by_layer(error)
        raise ValueError(f"the network does not run on these inputs: {sentence}") from error


def said_by_layer(error: Exception) -> str:
    """Return the first line of an error without what Keras puts before it, and its bold type."""
    text = _KERAS_FRAME.sub("", str(error)).strip()
    return re.sub("\x1b\\[\\dm", "", text.partition("\n")[0])


class Round:
    """What a replica does, as a whole or part by part."""

    def __init__(self, spec, device_type):
        self._spec = spec
        self._device = device_type

    def __call__(self, replica, all_reduce, inputs, seed, start, end, images):
        """Return what the step does, with `all_reduce` to sum over the replicas."""
        init = self.initialisation(replica, start)
        program = self._spec.family.program(inputs)
        with weights.drawn_on(self._device):
            calibration_images = self.calibration_images(seed, init, images)
            drawn = program.initialise(seed, init, calibration_images)
            spacing = self._spec.weights_move
            moved = None if spacing is None else program.moved(drawn, spacing)
        z = self._features(program, drawn, functools.partial(self.batch, replica, images))
        probes = None
        if moved is not None:
            images = rounding.probed(images, self._spec.num_train)
            probes = program.features(moved, _widened(images))
        return self.sums(replica, all_reduce, init < end, z, probes)

    def initialisation(self, replica, start):
        """Return the index of the replica's initialisation; one past the round's end is surplus."""
        return start + replica // self._spec.division.image_groups

    def sums(self, replica, all_reduce, active, z, probes=None):
        """Return what the step does, of features [padded images / image_groups, C].

        Those of the probes [num_probes, C] are among them, where they are not given.

        A surplus initialisation, which is not `active`, is computed as shapes are static, and
        masked here.
        """
        spec, division = self._spec, self._spec.division
        z = tf.where(active, z, tf.zeros_like(z))

        gathered = None
        if spec.keep_features or division.image_groups > 1:
            gathered = self._gather(all_reduce, replica, z)
            z = gathered[replica // division.image_groups]
            # Those that share an initialisation hold the same features now; one of them counts.
            active = tf.logical_and(active, replica % division.image_groups == 0)
            z = tf.where(active, z, tf.zeros_like(z))
        if probes is None:
            probes = z[spec.num_images : spec.num_images + spec.num_probes]
        else:
            probes = tf.where(active, probes, tf.zeros_like(probes))
        z = z[: spec.num_images]
        products = gram.inner_products(z, z[: spec.num_train], self._device)
        diagonal = tf.reduce_sum(tf.square(tf.cast(z[spec.num_train :], products.dtype)), axis=1)
        norm = tf.reduce_sum(tf.square(products[: spec.num_train]))
        wide = tf.cast(rounding.probed(z, spec.num_train)[: spec.num_probes], products.dtype)
        rounded = rounding.variance(wide, tf.cast(probes, products.dtype))
        sums = all_reduce([products, diagonal, norm, rounded])
        return [*sums, gathered[:, : spec.num_images]] if spec.keep_features else sums

    def calibration_images(self, seed, init, images):
        """Return the training images [S, ...] that calibrate; None if none do."""
        if not self._spec.family.calibrates:
            return None
        stream = weights.stream(seed, init, weights.CALIBRATION_KEY)
        order = weights.uniform([self._spec.num_train], stream)
        chosen = tf.math.top_k(order, self._spec.calibration_size, sorted=False).indices
        return _widened(tf.gather(images, chosen))

    def _features(self, program, drawn, batch_of):
        """Run batch after batch; by `tf.map_fn` an error would leave TensorFlow's state spoilt."""
        division = self._spec.division

        def features_of(batch):
            return program.features(drawn, _widened(batch_of(batch)))

        features = tf.TensorArray(self._spec.family.output_dtype, size=division.batches)
        _, features = tf.while_loop(
            lambda batch, _: batch < division.batches,
            lambda batch, z: (batch + 1, z.write(batch, features_of(batch))),
            (tf.constant(0), features),
            # One at a time, or memory would grow with the number of batches.
            parallel_iterations=1,
            maximum_iterations=division.batches,
        )
        stacked = features.stack()
        return tf.reshape(stacked, [division.batches * division.batch_size, stacked.shape[-1]])

    def batch(self, replica, images, number):
        """Return a batch [B, ...] of the replica's share; past the end, the last image again."""
        division = self._spec.division
        first = (replica % division.image_groups * division.batches + number) * division.batch_size
        positions = tf.minimum(first + tf.range(division.batch_size), images.shape[0] - 1)
        return tf.gather(images, positions)

    def _gather(self, all_reduce, replica, z):
        """All replicas' features [init_groups, padded images, C], by a sum over disjoint places."""
        division = self._spec.division
        num_replicas = division.init_groups * division.image_groups
        place = tf.one_hot(replica, num_replicas, dtype=z.dtype)
        placed = tf.reshape(place, [-1, 1, 1]) * z
        placed = tf.reshape(placed, [division.init_groups, division.padded_images, z.shape[-1]])
        return all_reduce(placed)


def _widened(images):
    """Return images in float32, if they are of half precision."""
    is_half = images.dtype.is_floating and images.dtype.size < 4
    return tf.cast(images, tf.float32) if is_half else images


def all_reduce(context: tf.distribute.ReplicaContext, values: Any) -> Any:
    """Sum values over the replicas of a context."""
    # TensorFlow keeps the graph of every `all_reduce` for good, as it registers a gradient: a
    # process that runs many models should not pay for what one replica does not need.
    if context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)
