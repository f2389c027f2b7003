"""Short training of one network: build, compile by a recipe, fit, row of results.

    build under the strategy -> compile -> [restore the backup] -> fit, validated by epoch -> row

The learning rate spans the epochs of the run, so accuracies on the way to `num_epochs` are those of
an unfinished run, not those of a shorter one; NAS-Bench-101's budgets are runs of their own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib.util
from collections.abc import Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf
from absl import logging

from nngp_tf.data.images import ImageData
from nngp_tf.kernels import precision
from nngp_tf.kernels.strategy import is_chief
from nngp_tf.models.feature_model import check_is_keras
from nngp_tf.training import input as input_lib
from nngp_tf.training import optimisation, workers
from nngp_tf.training.curve import Backup, Curve
from nngp_tf.training.recipes import Recipe

COMPUTE_DTYPES = ("float32", "bfloat16", "float16")
_LONGEST_EXECUTION = 64
# A larger share of the first moving statistics spoils validation.
_INITIAL_STATISTICS = 0.2


class Network(Protocol):
    """What can be trained: a value that builds a classifier."""

    key: str
    text: str
    trainable_parameters: int
    multiply_adds: int

    def build(self, dtype_policy: str) -> keras.Model:
        """Build a model from images [B, H, W, C] to logits [B, num_classes]."""


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How networks are trained.

    Attributes:
      recipe: Optimiser, learning rates, augmentation and the rest.
      num_epochs: Epochs of the run.
      seed: 0..2**31 - 1, of the weights, the order of the images and their augmentation.
      compute_dtype: One of `COMPUTE_DTYPES`; variables are float32. None for the device's: see
        `resolve`.
      report_epochs: The epochs, from 1, after which the network is validated; None for all.
      jit_compile: Whether XLA compiles the step; "auto" leaves it to Keras: on a GPU without a
        strategy, and not on a CPU. A TPU compiles anyway.
      steps_per_execution: Steps in one call of the device's program; None takes one, and on a TPU
        as many as divide an epoch, at most 64.
    """

    recipe: Recipe
    num_epochs: int
    seed: int = 0
    compute_dtype: str | None = None
    report_epochs: Sequence[int] | None = None
    jit_compile: bool | str = "auto"
    steps_per_execution: int | None = None

    def __post_init__(self):
        if self.num_epochs < 1:
            raise ValueError(f"num_epochs must be at least 1, got {self.num_epochs!r}")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must be at least 0 and below 2**31, got {self.seed!r}")
        if self.compute_dtype not in (None, *COMPUTE_DTYPES):
            raise ValueError(
                f"compute_dtype must be one of {', '.join(COMPUTE_DTYPES)} or None, got "
                f"{self.compute_dtype!r}"
            )
        epochs = range(1, self.num_epochs + 1)
        if self.report_epochs is not None and (
            not self.report_epochs or any(epoch not in epochs for epoch in self.report_epochs)
        ):
            raise ValueError(
                f"report_epochs must be some of the epochs 1 to {self.num_epochs}, got "
                f"{self.report_epochs!r}"
            )
        if self.jit_compile not in (True, False, "auto"):
            raise ValueError(f"jit_compile must be True, False or 'auto', got {self.jit_compile!r}")
        if self.steps_per_execution is not None and self.steps_per_execution < 1:
            raise ValueError(
                f"steps_per_execution must be at least 1 or None, got {self.steps_per_execution!r}"
            )


def resolve(
    settings: TrainingSettings, strategy: tf.distribute.Strategy | None = None
) -> TrainingSettings:
    """Return the settings with a precision: unless given, bfloat16 on TPU, else float32."""
    is_tpu = precision.device_type(strategy) == "TPU"
    compute_dtype = settings.compute_dtype or ("bfloat16" if is_tpu else "float32")
    return dataclasses.replace(settings, compute_dtype=compute_dtype)


def check(
    images: ImageData,
    settings: TrainingSettings,
    strategy: tf.distribute.Strategy | None = None,
    tensorboard: bool = False,
) -> None:
    """Check before long work that images, settings, strategy and packages go together.

    Raises:
      ValueError: If Keras' floatx is not float32, there are no validation images, fewer training
        images than a batch, a batch that the replicas cannot share evenly, or an epoch that calls
        of the device's program cannot make up, which under "multi_worker" take one step; or
        TensorBoard is asked for but not installed.
    """
    strategy = strategy or tf.distribute.get_strategy()
    if keras.config.floatx() != "float32":
        raise ValueError(
            f"Keras is configured with floatx {keras.config.floatx()!r}, but training computes its "
            "loss in float32: set it to 'float32', and the precision by compute_dtype"
        )
    batch_size = settings.recipe.batch_size
    replicas = strategy.num_replicas_in_sync
    if not len(images.x_test):
        raise ValueError("training is validated on the test images, got none: ask for num_test")
    if batch_size > len(images.x_train):
        raise ValueError(
            f"batch_size must be at most the {len(images.x_train)} training images, got "
            f"{batch_size}: give a smaller batch_size, or a larger num_train"
        )
    if batch_size % replicas:
        raise ValueError(
            f"batch_size must be a multiple of the {replicas} replicas, got {batch_size}"
        )
    steps = len(images.x_train) // batch_size
    if settings.steps_per_execution and steps % settings.steps_per_execution:
        raise ValueError(
            f"steps_per_execution must divide the {steps} steps of an epoch, got "
            f"{settings.steps_per_execution}"
        )
    # TensorFlow fails at sums over processes inside of Keras' loop.
    if (settings.steps_per_execution or 1) > 1 and workers.is_multi_worker(strategy):
        raise ValueError(
            "steps_per_execution must be 1 or None under strategy 'multi_worker', got "
            f"{settings.steps_per_execution}"
        )
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError(
            "TensorBoard logs need its package: pip install 'nngp_tf[tensorboard]', or turn off"
        )


def train(
    network: Network,
    images: ImageData,
    settings: TrainingSettings,
    strategy: tf.distribute.Strategy | None = None,
    backup_dir: str | None = None,
    tensorboard_dir: str | None = None,
) -> dict[str, Any]:
    """Train a network and return its row.

    Keras' random seed is set, so that the weights start from `settings.seed`. Under a multi-worker
    strategy all processes call this alike, with a backup that all can read, and the chief writes;
    see `workers`.

    Args:
      network: What is trained.
      images: Training images, and the test images for validation.
      settings: See `TrainingSettings`.
      strategy: Where to compute; None for the current one.
      backup_dir: Where a backup is written after each epoch; a backup found there is gone on with.
        It is left there. None writes none.
      tensorboard_dir: Where TensorBoard's logs go; None writes none.

    Returns:
      A dictionary of JSON's types: key, architecture, status, error, seconds, parameters,
      multiply_adds (of one image), epochs, recipe, batch_size, learning_rate (the peak),
      compute_dtype, and under "1", "2", ... for the epochs validation_accuracy, train_accuracy,
      train_loss (both while training, on augmented images; the loss with weight decay),
      seconds_by_epoch (with validation, the first with compilation).
      Training that diverges has status "failed" and what it got to.

    Raises:
      ValueError: As `check`.
    """
    strategy = strategy or tf.distribute.get_strategy()
    settings = resolve(settings, strategy)
    check(images, settings, strategy, tensorboard_dir is not None)
    curve = _fit(network, images, settings, strategy, backup_dir, tensorboard_dir)
    # Models are cycles of references, which would stay for long beside the next network.
    gc.collect()
    return row_of(network, settings, curve)


def _fit(network, images, settings, strategy, backup_dir, tensorboard_dir):
    """Train, and return the curve alone."""
    curve = Curve()
    writes = is_chief(strategy)
    backup = Backup(backup_dir, curve, writes) if backup_dir else None
    model = _compiled(network, images, settings, strategy)
    if backup and not workers.agree(strategy, backup.restore(model)):
        curve.resume({"epochs": [], "seconds": curve.seconds})
        model = _compiled(network, images, settings, strategy)
    first_epoch = len(curve.epochs)
    if first_epoch:
        logging.info("%s goes on after epoch %d", network.key, first_epoch)

    callbacks = [keras.callbacks.TerminateOnNaN()]
    if settings.recipe.ema_momentum is not None:
        callbacks.append(keras.callbacks.SwapEMAWeights())
    callbacks.append(curve)
    if tensorboard_dir and writes:
        # The graph would take more place than all the scalars.
        callbacks.append(keras.callbacks.TensorBoard(tensorboard_dir, write_graph=False))
    # Last, so that what is in the backup has been recorded.
    callbacks += [backup] if backup and writes else []
    batch_size = settings.recipe.batch_size
    if not curve.diverged() and first_epoch < settings.num_epochs:
        model.fit(
            input_lib.training_batches(
                images,
                batch_size,
                settings.recipe.augmentation,
                settings.seed,
                settings.num_epochs,
                first_epoch,
            ),
            steps_per_epoch=len(images.x_train) // batch_size,
            epochs=settings.num_epochs,
            initial_epoch=first_epoch,
            validation_data=input_lib.validation_batches(images, batch_size),
            validation_freq=list(settings.report_epochs or range(1, settings.num_epochs + 1)),
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
    curve.set_model(None)
    return curve


def _compiled(network, images, settings, strategy):
    keras.utils.set_random_seed(settings.seed)
    steps = len(images.x_train) // settings.recipe.batch_size
    with _scope(strategy):
        model = network.build(precision.policy_name(settings.compute_dtype))
        check_is_keras(model)
        optimisation.compile_model(
            model,
            settings.recipe,
            steps,
            settings.num_epochs,
            settings.compute_dtype,
            settings.jit_compile,
            settings.steps_per_execution or _steps_per_execution(steps, strategy),
        )
        if workers.is_multi_worker(strategy):
            workers.adapt(model, images.x_train.shape[1:], images.num_classes)
    kept = max((x.momentum for x in optimisation.batch_norms(model)), default=0.0)
    kept **= steps * settings.num_epochs
    if kept > _INITIAL_STATISTICS:
        logging.warning(
            "the %d steps of training leave %.0f%% of the first moving statistics of batch "
            "normalisation, which spoils validation: give batch_norm_momentum, 0.9 say",
            steps * settings.num_epochs,
            100 * kept,
        )
    return model


def _scope(strategy):
    # Keras takes a model built under the default strategy's scope for a distributed one.
    if not tf.distribute.has_strategy() and strategy is tf.distribute.get_strategy():
        return contextlib.nullcontext()
    return strategy.scope()


def _steps_per_execution(steps, strategy):
    if precision.device_type(strategy) != "TPU":
        return 1
    return max(d for d in range(1, _LONGEST_EXECUTION + 1) if steps % d == 0)


def row_of(
    network: Network, settings: TrainingSettings, curve: Curve | None = None
) -> dict[str, Any]:
    """Return the row of a network, which `train` describes, by the curve of its training.

    The settings are those of `resolve`.
    """
    curve = curve or Curve()
    diverged = curve.diverged()
    return {
        "key": network.key,
        "architecture": network.text,
        "status": "failed" if diverged else "ok",
        "error": _divergence(curve) if diverged else None,
        "seconds": curve.seconds,
        "parameters": network.trainable_parameters,
        "multiply_adds": network.multiply_adds,
        "epochs": settings.num_epochs,
        "recipe": settings.recipe.name,
        "batch_size": settings.recipe.batch_size,
        "learning_rate": settings.recipe.peak_learning_rate,
        "compute_dtype": settings.compute_dtype,
        "validation_accuracy": curve.by_epoch("val_accuracy"),
        "train_accuracy": curve.by_epoch("accuracy"),
        "train_loss": curve.by_epoch("loss"),
        "seconds_by_epoch": curve.by_epoch("seconds"),
    }


def _divergence(curve):
    return (
        f"the loss became {curve.epochs[-1]['loss']} in epoch {len(curve.epochs)}: try a lower "
        "learning_rate"
    )
