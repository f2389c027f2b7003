"""A recipe as what Keras compiles: learning rates, optimiser, weight decay, loss.

loss = cross-entropy + weight_decay * sum over variables of sum(v**2) / 2
s <- rho s + (1 - rho) g**2;  m <- momentum m + rate g / sqrt(s + epsilon);  v <- v - m
"""

from __future__ import annotations

import keras
import tensorflow as tf

from nngp_tf.training.recipes import Recipe

# The share of a run that warming up, and the window of the average of the weights, may take.
_WARMUP_SHARE = 1 / 5
_AVERAGE_SHARE = 1 / 10


def learning_rate(
    recipe: Recipe, steps_per_epoch: int, num_epochs: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate by step, for a run of `num_epochs` epochs.

    The schedule spans the run: a longer run is another training from its first step on, as the
    budgets of NAS-Bench-101 are.
    """
    steps = steps_per_epoch * num_epochs
    if recipe.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(recipe.peak_learning_rate, steps)
    staircase = keras.optimizers.schedules.ExponentialDecay(
        recipe.peak_learning_rate,
        decay_steps=recipe.decay_epochs * steps_per_epoch,
        decay_rate=recipe.decay_rate,
        staircase=True,
    )
    warmup = min(recipe.warmup_epochs * steps_per_epoch, _WARMUP_SHARE * steps)
    return WarmUp(staircase, warmup) if warmup else staircase


@keras.saving.register_keras_serializable(package="nngp_tf")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A line from 0 to the first rate of a schedule, and then the schedule, counted from step 0."""

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule, warmup_steps: float
    ):
        """Store the schedule and the steps, above 0, over which the rate rises."""
        super().__init__()
        self.schedule = schedule
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        """Return the rate at a step."""
        share = keras.ops.cast(step, "float32") / self.warmup_steps
        return keras.ops.where(share < 1, share * self.schedule(0), self.schedule(step))

    def get_config(self):
        """Return the arguments, the schedule serialised."""
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "warmup_steps": self.warmup_steps,
        }

    @classmethod
    def from_config(cls, config):
        """Return a schedule from its arguments."""
        return cls(
            keras.saving.deserialize_keras_object(config["schedule"]), config["warmup_steps"]
        )


@keras.saving.register_keras_serializable(package="nngp_tf")
class RMSprop(keras.optimizers.RMSprop):
    """Keras' RMSProp with mean squares that start from a number other than 0."""

    def __init__(self, *args, initial_mean_square: float = 1.0, **kwargs):
        """As `keras.optimizers.RMSprop`; TensorFlow 1 starts the mean squares from 1."""
        super().__init__(*args, **kwargs)
        self.initial_mean_square = initial_mean_square

    def build(self, var_list):
        """Make the optimiser's variables."""
        if self.built:
            return
        super().build(var_list)
        for mean_square in self._velocities:
            mean_square.assign(keras.ops.full(mean_square.shape, self.initial_mean_square))

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """Sum gradients over the replicas, without what `ReplicaContext.all_reduce` leaves behind.

        That registers a gradient of its own for each call, which keeps the graph of every model
        that was ever trained.
        """
        pairs = [pair for pair in grads_and_vars if pair[0] is not None]
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return pairs
        sums = context.merge_call(
            lambda strategy, pairs: strategy.extended.batch_reduce_to(
                tf.distribute.ReduceOp.SUM, pairs
            ),
            args=(pairs,),
        )
        return [(total, variable) for total, (_, variable) in zip(sums, pairs, strict=True)]

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"initial_mean_square": self.initial_mean_square}


def build_optimizer(
    recipe: Recipe, steps_per_epoch: int, num_epochs: int, compute_dtype: str = "float32"
) -> keras.optimizers.Optimizer:
    """Return the optimiser of a run; float16 scales the loss to keep small gradients."""
    steps = steps_per_epoch * num_epochs
    average = {}
    if recipe.ema_momentum is not None:
        longest = max(0.0, 1 - 1 / (_AVERAGE_SHARE * steps))
        average = {"use_ema": True, "ema_momentum": min(recipe.ema_momentum, longest)}
    optimizer = RMSprop(
        learning_rate(recipe, steps_per_epoch, num_epochs),
        rho=recipe.rho,
        momentum=recipe.momentum,
        epsilon=recipe.epsilon,
        initial_mean_square=recipe.initial_mean_square,
        **average,
    )
    if compute_dtype == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Return the layers of batch normalisation, those of inner models included."""
    layers = model._flatten_layers(include_self=False)
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


def add_weight_decay(model: keras.Model, recipe: Recipe) -> None:
    """Add the recipe's weight decay to the losses of a model, as regularisers of its variables."""
    spared = set()
    if not recipe.decays_batch_norm:
        spared = {id(v) for layer in batch_norms(model) for v in layer.trainable_variables}
    # Keras' own L2 lacks the factor of one half.
    regularizer = keras.regularizers.L2(recipe.weight_decay / 2)
    for variable in model.trainable_variables:
        if id(variable) not in spared:
            variable.regularizer = regularizer


def compile_model(
    model: keras.Model,
    recipe: Recipe,
    steps_per_epoch: int,
    num_epochs: int,
    compute_dtype: str = "float32",
    jit_compile: bool | str = "auto",
    steps_per_execution: int = 1,
) -> None:
    """Compile a classifier for `fit` by a recipe.

    Call it under the scope of the strategy that the model was built under.

    Args:
      model: From images [B, H, W, C] to logits [B, num_classes], not trained yet. Its variables get
        regularisers, and its batch normalisation the recipe's momentum if there is one.
      recipe: What is compiled.
      steps_per_epoch: Batches an epoch.
      num_epochs: Epochs of the run, which the learning rate spans.
      compute_dtype: In which the model computes.
      jit_compile: See `keras.Model.compile`, as is the next.
      steps_per_execution: Steps in one call of the device's program.
    """
    if recipe.batch_norm_momentum is not None:
        for layer in batch_norms(model):
            layer.momentum = recipe.batch_norm_momentum
    add_weight_decay(model, recipe)
    optimizer = build_optimizer(recipe, steps_per_epoch, num_epochs, compute_dtype)
    # A backup can be restored only into variables that are there.
    optimizer.build(model.trainable_variables)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        ),
        # Weighted, so that images that only fill up the last batch do not count.
        weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )
