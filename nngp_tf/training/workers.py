"""Training by several processes, each of which calls `short.train` alike: what Keras' `fit` lacks.

A replica takes its share of every batch, of B / replicas images, and batch normalisation that
share's statistics, as the benchmark's training on TPU did; moving averages are means over replicas.
So the numbers are those of one process with as many replicas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from absl import logging


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Whether each process that takes part runs `fit` on replicas of its own."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def adapt(model: keras.Model, image_shape: tuple[int, ...], num_classes: int) -> None:
    """Let Keras' `fit` and `evaluate` run a model under a multi-worker strategy.

    Args:
      model: Compiled, under the strategy's scope.
      image_shape: Height, width and channels.
      num_classes: Width of its output.
    """
    # To see shapes, `fit` takes the mean of a batch over the workers, which this strategy refuses
    # for more than one tensor.
    model._symbolic_build(
        data_batch=(
            keras.KerasTensor((None, *image_shape)),
            keras.KerasTensor((None, num_classes)),
        )
    )
    model._maybe_symbolic_build = lambda **_: None
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync > len(strategy.extended.worker_devices):
        # What a step returns is averaged over its first axis too, which scalars lack.
        model.train_step = _with_axis(model.train_step)
        model.test_step = _with_axis(model.test_step)


def agree(strategy: tf.distribute.Strategy, epochs: int | None) -> bool:
    """Whether all processes can go on after the same number of epochs.

    Args:
      strategy: Of the training.
      epochs: That this process has taken up; None if what it found is of no use.
    """
    if not is_multi_worker(strategy):
        return epochs is not None
    own = tf.constant([-1 if epochs is None else epochs])
    everyone = strategy.gather(strategy.run(tf.function(lambda: tf.identity(own))), axis=0).numpy()
    if everyone.min() < everyone.max():
        logging.warning("the workers do not find the same backup: training starts anew")
    return everyone.min() == everyone.max() >= 0


def _with_axis(step: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    return lambda data: {name: tf.reshape(value, [1]) for name, value in step(data).items()}
