"""Monte-Carlo kernels over many initialisations, sharded by tf.distribute.

    for each round, on each replica:
      init    = the replica's initialisation of this round
      weights = draw(seed, init), batch normalisation calibrated
      z       = features of the replica's share of the images and probes of rounding
      z       = all-reduce into place, where replicas share an initialisation or features are kept
      sum    += z z_train^T
    one all-reduce of the sum ends the round

The images run once, never in pairs; the round is one `tf.function` with static shapes.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from nngp_tf.kernels import arguments, placement, precision, rounding, work
from nngp_tf.kernels.kernel import MonteCarloKernel
from nngp_tf.kernels.network import model_input, resolve
from nngp_tf.kernels.step import StepSpec, trace_step
from nngp_tf.models.feature_model import FEATURE_LAYER
from nngp_tf.models.mnas_network import MnasNetwork
from nngp_tf.models.nasbench101_network import Nasbench101Network

DEFAULT_BATCH_SIZE = 100
DEFAULT_CALIBRATION_SIZE = 100


class UnresolvedKernelWarning(UserWarning):
    """A kernel is all rounding: see `MonteCarloKernel.is_resolved`."""


def monte_carlo_kernel(
    model: keras.Model | Nasbench101Network | MnasNetwork,
    x_train: np.ndarray,
    x_test: np.ndarray | None = None,
    num_inits: int | None = None,
    **options,
) -> MonteCarloKernel:
    """Estimates the NNGP kernel of a network over `num_inits` initialisations.

    None stands for 8 of them, and for the only one under `weights="as_given"`.

    Takes the options of `running_kernels`, and raises what it raises.
    """
    if num_inits is None:
        num_inits = 1 if options.get("weights") == "as_given" else 8
    (kernel,) = running_kernels(model, x_train, x_test, (num_inits,), **options)
    return kernel


def running_kernels(
    model: keras.Model | Nasbench101Network | MnasNetwork,
    x_train: np.ndarray,
    x_test: np.ndarray | None = None,
    num_inits: Sequence[int] | None = None,
    *,
    seed: int = 0,
    batch_norm: str | None = None,
    weights: str = "drawn",
    compute_dtype: str | Sequence[str] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    feature_layer: str | None = FEATURE_LAYER,
    batch_size: int | None = None,
    calibration_size: int | None = None,
    first_init: int = 0,
    keep_features: bool = False,
) -> Iterator[MonteCarloKernel]:
    """Yield the running estimate at each count of initialisations.

    Args:
      model: Any Keras model of one input. Or a `Nasbench101Network` or `MnasNetwork`, which gives
        the kernel of its model by programs that all networks of the space share, and without
        building it.
      x_train: Training inputs [N, ...], such as images [N, H, W, channels], vectors [N, D] or
        series [N, time, channels]; float, or integers for a model that takes them. Those of half
        precision are widened batch by batch, or at once if `compute_dtype` has more digits.
      x_test: Test inputs [T, ...]; None for none.
      num_inits: Increasing counts at which to yield; None for 1, 2, 4, 8, and for 1 alone under
        `weights="as_given"`, which takes no other.
      seed: Of the draws, 0 <= seed < 2**31. With the index of an initialisation it fixes weights
        and calibration batch, however the work is divided.
      batch_norm: "one_update", "batch_statistics" or "initial", and under given weights also
        "as_given": the model's own statistics as they are; see `FeatureProgram`. None for
        "one_update", and for "as_given" under given weights.
      weights: "drawn" anew for each initialisation, whatever values the model's variables have, of
        which a warning tells if they are no fresh draw. Or "as_given": the values that they have, a
        trained network's say, as one deterministic initialisation.
      compute_dtype: "float32", "bfloat16", ..., or several, of which a later one is taken where the
        ones before do not tell the images apart (`MonteCarloKernel.is_resolved`). None lets the
        device decide: `precision.compute_dtypes`.
      strategy: Any tf.distribute strategy; None for the current one.
      feature_layer: Layer whose output is the feature vector, "model/layer" within a nested model
        and "layer:1" for the second call of a layer; None for the model's own output.
      batch_size: The most images in a batch; None for 100, or all images if there are fewer. It
        changes speed and memory, not the estimate.
      calibration_size: Training images, drawn without replacement for each initialisation, that
        calibrate batch normalisation; None for 100, or all of them if there are fewer.
      first_init: Index of the first initialisation: 4 to continue an estimate over four.
      keep_features: Whether kernels carry `features`.

    Yields:
      A `MonteCarloKernel` for each count.

    Warns:
      UnresolvedKernelWarning: If no precision tells the images apart, so that scores of the kernel
        are noise.

    Raises:
      ValueError: At once, before any network runs, for inputs that are not finite arrays of the
        model's shape and kind of number or all alike, sizes out of range, an unknown mode or dtype,
        or a model that has no such layer, reads images in another format or cannot be drawn.
    """
    taken = model_input(model)
    x_train, x_test = arguments.check_inputs(x_train, x_test, taken)
    seed = arguments.check_integer("seed", seed)
    first_init = arguments.check_integer("first_init", first_init)
    if num_inits is None:
        num_inits = (1,) if weights == "as_given" else (1, 2, 4, 8)
    counts = arguments.check_counts(num_inits, first_init, seed)
    if weights == "as_given" and (counts != [1] or first_init):
        raise ValueError(
            'weights="as_given" is one initialisation: leave num_inits and first_init out, got '
            f"num_inits {counts} from {first_init}"
        )
    batch_size = arguments.check_size(
        "batch_size", batch_size, DEFAULT_BATCH_SIZE, len(x_train) + len(x_test)
    )
    calibration_size = arguments.check_size(
        "calibration_size", calibration_size, DEFAULT_CALIBRATION_SIZE, len(x_train)
    )
    strategy = strategy or tf.distribute.get_strategy()
    dtypes = precision.compute_dtypes(compute_dtype, strategy)

    def make_rounds(dtype):
        network = resolve(
            model,
            x_train,
            feature_layer,
            batch_norm,
            dtype,
            strategy,
            weights,
            is_strict=compute_dtype is not None and len(dtypes) == 1,
            warns=dtype == dtypes[0],
        )
        return _Rounds(network, strategy, (x_train, x_test), calibration_size, keep_features)

    rounds = make_rounds(dtypes[0])
    # A model that does not fit is found out by tracing, here rather than at the first iteration.
    rounds.trace(counts[0], batch_size)
    return _run(rounds, make_rounds, dtypes[1:], counts, seed, first_init, batch_size)


def _run(rounds, make_rounds, later_dtypes, counts, seed, first_init, batch_size):
    """Yield the kernels; apart from `running_kernels` so that bad input fails at its call."""
    kernel = rounds.run(seed, first_init, first_init + counts[0], batch_size)
    for dtype in later_dtypes:
        if kernel.is_resolved or dtype == kernel.compute_dtype:
            continue
        logging.warning(
            "features in %s, as %s does not tell the images apart", dtype, kernel.compute_dtype
        )
        rounds = make_rounds(dtype)
        kernel = rounds.run(seed, first_init, first_init + counts[0], batch_size)
    for done, count in zip([counts[0], *counts], counts, strict=False):
        if count > done:
            part = rounds.run(seed, first_init + done, first_init + count, batch_size)
            kernel = kernel.join(part)
        if not kernel.is_resolved:
            warnings.warn(kernel.unresolved_reason, UnresolvedKernelWarning, stacklevel=3)
        yield kernel


class _Rounds:
    """Runs ranges of initialisations of one network."""

    def __init__(self, network, strategy, images, calibration_size, keep_features):
        self._network = network
        self._strategy = strategy
        x_train, x_test = images
        device_type = precision.device_type(strategy)
        self._spacing = precision.spacing(network.compute_dtype, device_type)
        # A program of a model can move its weights in place of images that may be tokens.
        probed = rounding.probed(x_train, len(x_train))
        self._moves_weights = hasattr(network.family, "moved") and rounding.are_whole(probed)
        if self._moves_weights:
            self._probes = x_train[:0]
        else:
            if precision.SPACING[x_train.dtype.name] > self._spacing:
                # The probes differ in digits that such images lack.
                wide = np.float64 if network.compute_dtype == "float64" else np.float32
                x_train, x_test, probed = (x.astype(wide) for x in (x_train, x_test, probed))
            self._probes = rounding.probes(probed, self._spacing)
        self._images = x_train, x_test
        self._num_train = len(x_train)
        self._num_images = len(x_train) + len(x_test)
        self._calibration_size = calibration_size if network.family.calibrates else 0
        self._keep_features = keep_features

    def trace(self, num_inits, batch_size):
        """Trace the step that `num_inits` initialisations take."""
        step, _ = self._step(num_inits, batch_size)
        x_train, _ = self._images
        shape = [self._num_images + len(self._probes), *x_train.shape[1:]]
        images = placement.replicated(tf.TensorSpec(shape, x_train.dtype), self._strategy)
        scalars = [tf.TensorSpec([], tf.int32)] * 3
        trace_step(step, self._network.inputs, *scalars, images)

    def run(self, seed, first, end, batch_size):
        """Return the kernel over the initialisations from `first` up to `end`."""
        step, division = self._step(end - first, batch_size)
        images = placement.placed([*self._images, self._probes], self._strategy)
        seed, last = tf.constant(seed), tf.constant(end)
        sums = [np.float64(0.0)] * 4
        kept = []
        for start in range(first, end, division.init_groups):
            result = step(self._network.inputs, seed, tf.constant(start), last, images)
            # Every replica holds the reduced values.
            result = [self._strategy.experimental_local_results(r)[0].numpy() for r in result]
            sums = [total + part for total, part in zip(sums, result[:4], strict=True)]
            if self._keep_features:
                kept.append(result[4][: end - start])
        products, diagonal, norm, rounded = (total / (end - first) for total in sums)
        unseen = rounding.unseen_share(self._spacing)
        if result[0].dtype != np.float64:
            # On TPU the products are rounded as well.
            unseen += np.finfo(result[0].dtype).eps
        rounded += unseen * np.trace(products[: self._num_train]) / self._num_train
        return MonteCarloKernel(
            train_train=products[: self._num_train],
            test_train=products[self._num_train :],
            test_test_diag=diagonal,
            num_inits=end - first,
            first_init=first,
            mean_square_norm=float(norm),
            features=np.concatenate(kept) if kept else None,
            rounding_variance=float(rounded),
            compute_dtype=self._network.compute_dtype,
        )

    def _step(self, num_inits, batch_size):
        division = work.divide(
            num_inits,
            self._num_images + len(self._probes),
            self._strategy.num_replicas_in_sync,
            batch_size,
            self._calibration_size,
        )
        spec = StepSpec(
            family=self._network.family,
            strategy=self._strategy,
            # The number of rounds does not shape a step.
            division=dataclasses.replace(division, rounds=1),
            num_train=self._num_train,
            num_images=self._num_images,
            num_probes=min(rounding.NUM_PROBES, self._num_train),
            weights_move=self._spacing if self._moves_weights else None,
            calibration_size=self._calibration_size,
            keep_features=self._keep_features,
        )
        return self._network.make_step(spec), division
