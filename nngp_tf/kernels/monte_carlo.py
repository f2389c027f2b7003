"""Monte-Carlo kernels over many initialisations, sharded by tf.distribute.

    for each round, on each replica:
      init    = the replica's initialisation of this round
      weights = draw(seed, init), batch normalisation calibrated
      z       = features of the replica's share of the images
      z       = all-reduce into place, where replicas share an initialisation or features are kept
      sum    += z z_train^T
    one all-reduce of the sum ends the round

The images run once, never in pairs; the round is one `tf.function` with static shapes.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from nngp_tf.data import checks
from nngp_tf.kernels import gram, precision, weights, work
from nngp_tf.kernels.features import FeatureProgram
from nngp_tf.kernels.kernel import MonteCarloKernel
from nngp_tf.models.feature_model import FEATURE_LAYER, features

DEFAULT_BATCH_SIZE = 100
DEFAULT_CALIBRATION_SIZE = 100


def monte_carlo_kernel(
    model: keras.Model,
    x_train: np.ndarray,
    x_test: np.ndarray | None = None,
    num_inits: int = 8,
    **options,
) -> MonteCarloKernel:
    """Estimates the NNGP kernel of a network over `num_inits` initialisations.

    Takes the options of `running_kernels`, and raises what it raises.
    """
    (kernel,) = running_kernels(model, x_train, x_test, (num_inits,), **options)
    return kernel


def running_kernels(
    model: keras.Model,
    x_train: np.ndarray,
    x_test: np.ndarray | None = None,
    num_inits: Sequence[int] = (1, 2, 4, 8),
    *,
    seed: int = 0,
    batch_norm: str = "one_update",
    compute_dtype: str | None = None,
    strategy: tf.distribute.Strategy | None = None,
    feature_layer: str | None = FEATURE_LAYER,
    batch_size: int | None = None,
    calibration_size: int | None = None,
    first_init: int = 0,
    keep_features: bool = False,
) -> Iterator[MonteCarloKernel]:
    """Yield the running estimate at each count of initialisations.

    Args:
      model: Any Keras model of images; its variables' values are not used.
      x_train: Training images [N, H, W, channels], float.
      x_test: Test images [T, H, W, channels], float; None for none.
      num_inits: Increasing counts at which to yield.
      seed: Of the draws, 0 <= seed < 2**31. With the index of an initialisation it fixes weights
        and calibration batch, however the work is divided.
      batch_norm: "one_update", "batch_statistics" or "initial"; see `FeatureProgram`.
      compute_dtype: "float32", "bfloat16", ...; None lets the device decide.
      strategy: Any tf.distribute strategy; None for the current one.
      feature_layer: Layer whose output is the feature vector; None for the model's own output.
      batch_size: The most images in a batch; None for 100, or all images if there are fewer. It
        changes speed and memory, not the estimate.
      calibration_size: Training images, drawn without replacement for each initialisation, that
        calibrate batch normalisation; None for 100, or all of them if there are fewer.
      first_init: Index of the first initialisation: 4 to continue an estimate over four.
      keep_features: Whether kernels carry `features`.

    Yields:
      A `MonteCarloKernel` for each count.

    Raises:
      ValueError: At once, before any network runs, for images that are not finite float arrays of
        the model's shape or all alike, sizes out of range, an unknown mode or dtype, or a model
        that has no such layer or cannot be drawn.
    """
    x_test = np.zeros((0, *np.shape(x_train)[1:]), np.float32) if x_test is None else x_test
    images = _check_images(x_train, x_test)
    counts = _check_counts(num_inits, first_init, seed)
    batch_size = _check_size("batch_size", batch_size, DEFAULT_BATCH_SIZE, len(images))
    calibration_size = _check_size(
        "calibration_size", calibration_size, DEFAULT_CALIBRATION_SIZE, len(x_train)
    )
    strategy = strategy or tf.distribute.get_strategy()
    if compute_dtype is None:
        compute_dtype = precision.default_compute_dtype(strategy)
    precision.check_compute_dtype(compute_dtype)
    model = precision.in_compute_dtype(features(model, feature_layer), compute_dtype)
    _check_input_shape(model, images)
    output_dtype = "float64" if compute_dtype == "float64" else "float32"
    program = FeatureProgram(model, batch_norm, output_dtype)
    rounds = _Rounds(program, strategy, images, len(x_train), calibration_size, keep_features)
    return _run(rounds, counts, seed, first_init, batch_size)


def _run(rounds, counts, seed, first_init, batch_size):
    """Yield the kernels; apart from `running_kernels` so that bad input fails at its call."""
    kernel = None
    done = 0
    for count in counts:
        part = rounds.run(seed, first_init + done, first_init + count, batch_size)
        kernel = part if kernel is None else kernel.join(part)
        done = count
        yield kernel


class _Rounds:
    """Runs ranges of initialisations of one network, keeping a program for each division."""

    def __init__(self, program, strategy, images, num_train, calibration_size, keep_features):
        self._program = program
        self._strategy = strategy
        self._device = precision.device_type(strategy)
        self._images = images
        self._num_train = num_train
        self._calibration_size = calibration_size if program.calibrates else 0
        self._keep_features = keep_features
        self._steps = {}

    def run(self, seed, first, end, batch_size):
        """Return the kernel over the initialisations from `first` up to `end`."""
        division = work.divide(
            end - first,
            len(self._images),
            self._strategy.num_replicas_in_sync,
            batch_size,
            self._calibration_size,
        )
        # Rounds do not shape the program.
        layout = dataclasses.replace(division, rounds=1)
        if layout not in self._steps:
            self._steps[layout] = self._make_step(layout)
        padding = division.padded_images - len(self._images)
        images = np.pad(self._images, [(0, padding), (0, 0), (0, 0), (0, 0)])
        images = tf.constant(images)
        sums = None
        kept = []
        for start in range(first, end, division.init_groups):
            result = self._steps[layout](*map(tf.constant, (seed, start, end)), images)
            # Every replica holds the reduced values.
            result = [self._strategy.experimental_local_results(r)[0].numpy() for r in result]
            products, diagonal, norm = (r.astype(np.float64) for r in result[:3])
            sums = (
                (products, diagonal, norm)
                if sums is None
                else (sums[0] + products, sums[1] + diagonal, sums[2] + norm)
            )
            if self._keep_features:
                kept.append(result[3][: end - start])
        products, diagonal, norm = (s / (end - first) for s in sums)
        return MonteCarloKernel(
            train_train=products[: self._num_train],
            test_train=products[self._num_train :],
            test_test_diag=diagonal,
            num_inits=end - first,
            first_init=first,
            mean_square_norm=float(norm),
            features=np.concatenate(kept) if kept else None,
        )

    def _make_step(self, layout):
        @tf.function(autograph=False)
        def step(seed, start, end, images):
            replica = lambda *args: self._replica_step(layout, *args)  # noqa: E731
            return self._strategy.run(replica, args=(seed, start, end, images))

        return step

    def _replica_step(self, layout, seed, start, end, images):
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
        init = start + replica // layout.image_groups
        # A surplus initialisation is computed, as shapes are static, and masked.
        active = init < end

        calibration = self._calibration_images(seed, init, images)
        drawn = self._program.initialise(seed, init, calibration)
        share = self._share(layout, images, replica % layout.image_groups)
        z = tf.map_fn(
            lambda batch: self._program.features(drawn, batch),
            share,
            fn_output_signature=self._program.output_dtype,
            parallel_iterations=1,
        )
        z = tf.reshape(z, [layout.batches * layout.batch_size, -1])
        z = tf.where(active, z, tf.zeros_like(z))

        gathered = None
        if self._keep_features or layout.image_groups > 1:
            gathered = self._gather(context, layout, replica, z)
            z = gathered[replica // layout.image_groups]
            # Those that share an initialisation hold the same features now; one of them counts.
            z = tf.where(replica % layout.image_groups == 0, z, tf.zeros_like(z))
        z = z[: len(self._images)]
        products = gram.inner_products(z, z[: self._num_train], self._device)
        diagonal = tf.reduce_sum(tf.square(tf.cast(z[self._num_train :], products.dtype)), axis=1)
        norm = tf.reduce_sum(tf.square(products[: self._num_train]))
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, [products, diagonal, norm])
        return [*sums, gathered[:, : len(self._images)]] if self._keep_features else sums

    def _calibration_images(self, seed, init, images):
        if not self._program.calibrates:
            return None
        stream = weights.stream(seed, init, weights.CALIBRATION_SLOT)
        order = tf.random.stateless_uniform([self._num_train], stream)
        chosen = tf.math.top_k(order, self._calibration_size, sorted=False).indices
        return tf.gather(images, chosen)

    @staticmethod
    def _share(layout, images, image_group):
        shape = [layout.image_groups, layout.batches, layout.batch_size, *images.shape[1:]]
        return tf.reshape(images, shape)[image_group]

    @staticmethod
    def _gather(context, layout, replica, z):
        """All replicas' features [init_groups, padded images, C], by a sum over disjoint places."""
        num_replicas = layout.init_groups * layout.image_groups
        place = tf.one_hot(replica, num_replicas, dtype=z.dtype)
        placed = tf.reshape(place, [-1, 1, 1]) * z
        placed = tf.reshape(placed, [layout.init_groups, layout.padded_images, z.shape[-1]])
        return context.all_reduce(tf.distribute.ReduceOp.SUM, placed)


def _check_images(x_train, x_test):
    checks.check_images("x_train", x_train)
    if len(x_test):
        checks.check_images("x_test", x_test)
        if x_test.shape[1:] != x_train.shape[1:]:
            raise ValueError(
                f"x_test has images of shape {x_test.shape[1:]}, but x_train of "
                f"{x_train.shape[1:]}: resize one of them"
            )
    dtype = np.float64 if x_train.dtype == np.float64 else np.float32
    return np.concatenate([x_train, x_test]).astype(dtype, copy=False)


def _check_counts(num_inits, first_init, seed):
    counts = list(num_inits)
    if not counts or counts[0] < 1 or any(b <= a for a, b in itertools.pairwise(counts)):
        raise ValueError(f"num_inits must be positive and increasing, got {num_inits!r}")
    if first_init < 0 or first_init + counts[-1] > weights.MAX_INITIALISATIONS:
        raise ValueError(
            f"initialisations must lie in 0 to {weights.MAX_INITIALISATIONS}, got "
            f"{first_init} to {first_init + counts[-1]}"
        )
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed must lie in 0 to 2**31 - 1, got {seed!r}")
    return counts


def _check_size(name, size, default, available):
    if size is None:
        return min(default, available)
    if not 1 <= size <= available:
        raise ValueError(f"{name} must lie between 1 and the {available} images, got {size!r}")
    return size


def _check_input_shape(model, images):
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4:
        return
    if any(want not in (None, got) for want, got in zip(shape[1:], images.shape[1:], strict=True)):
        raise ValueError(
            f"model {model.name!r} takes images of shape {shape[1:]}, got {images.shape[1:]}: "
            "build it with that input_shape or resize the images"
        )
