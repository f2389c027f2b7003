"""One initialisation of a network: draw, calibrate batch normalisation, run the images."""

from __future__ import annotations

import collections
import copy
from typing import Any

import keras
import tensorflow as tf

from nngp_tf.kernels import rounding
from nngp_tf.kernels import weights as weights_lib

BATCH_NORM_MODES = ("one_update", "batch_statistics", "initial")
WEIGHTS = ("drawn", "as_given")


def resolve_batch_norm(mode: str | None, weights: str = "drawn") -> str:
    """Return the mode of batch normalisation that goes with a kind of weights.

    Args:
      mode: One of `BATCH_NORM_MODES`, or "as_given" under given weights; None for "one_update", and
        "as_given" under given weights.
      weights: One of `WEIGHTS`.

    Raises:
      ValueError: If it is another mode.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
    if mode is None:
        return "one_update" if weights == "drawn" else "as_given"
    if mode == "as_given" and weights == "drawn":
        raise ValueError(
            "batch_norm='as_given' takes the model's own statistics, which belong to its own "
            "weights: pass weights='as_given' too, or another mode"
        )
    if mode not in (*BATCH_NORM_MODES, "as_given"):
        raise ValueError(f"batch_norm must be one of {', '.join(BATCH_NORM_MODES)}, got {mode!r}")
    return mode


def check_batch_norm(mode: str) -> None:
    """Raise ValueError unless the mode is one of `BATCH_NORM_MODES`."""
    resolve_batch_norm(mode)


class FeatureProgram:
    """The features of a Keras model under stateless weights.

    The three modes of batch normalisation at initialisation, after which a network is in inference
    mode throughout:

    - "one_update" moves the averages once by each layer's momentum, on one batch in training mode:
      what the authors' code does. With the benchmark's momentum of 0.997 it leaves the network
      almost unnormalised.
    - "batch_statistics" sets the averages to the statistics of that batch.
    - "initial" leaves them as the layers initialise them: mean 0 and variance 1.

    With given weights, "one_update" starts from the model's own averages, "initial" sets them back,
    and "as_given" takes them as they are. A frozen layer keeps its averages in every mode.

    What else a layer assigns in training mode, as `SpectralNormalization` does its kernel, it has
    assigned after the calibration, and not without one.

    Methods are for use inside a `tf.function`, on the replica that needs their result.
    """

    def __init__(
        self,
        model: keras.Model,
        batch_norm: str | None = None,
        compute_dtype: str = "float32",
        weights: str = "drawn",
    ):
        """Construct the program of a model whose output is the feature vector.

        Args:
          model: From images [B, H, W, channels] to features [B, C].
          batch_norm: See `resolve_batch_norm`.
          compute_dtype: The coarsest precision in which the model computes. Features are float32
            all the same, or float64.
          weights: "drawn", anew for each initialisation, or "as_given", the model's own.

        Raises:
          ValueError: If the mode is unknown, a variable cannot be drawn, or a layer synchronises
            batch statistics over replicas, which here hold different initialisations.
        """
        self._model = model
        self._batch_norm = resolve_batch_norm(batch_norm, weights)
        self._averages = []
        if self._batch_norm in ("one_update", "batch_statistics"):
            self._averages = _moving_averages(model)
        self.output_dtype = "float64" if compute_dtype == "float64" else "float32"
        self.inputs = ()
        if weights == "drawn":
            self._source = weights_lib.WeightSampler(model)
        else:
            self.inputs = _given(model, self._batch_norm)
            self._source = weights_lib.GivenWeights(weights_lib.Weights(*self.inputs))

    def program(self, inputs: Any) -> FeatureProgram:
        """Return the program of a model's `inputs`: of drawn weights there are none."""
        if not inputs:
            return self
        program = copy.copy(self)
        program._source = weights_lib.GivenWeights(weights_lib.Weights(*inputs))
        return program

    @property
    def calibrates(self) -> bool:
        """Whether `initialise` runs the calibration images."""
        return bool(self._averages)

    def initialise(
        self,
        seed: int | tf.Tensor,
        initialisation: int | tf.Tensor,
        calibration_images: tf.Tensor | None,
    ) -> weights_lib.Weights:
        """Draws the weights, or takes those given, and calibrates batch normalisation.

        Args:
          seed: See `WeightSampler.draw`.
          initialisation: See `WeightSampler.draw`.
          calibration_images: The batch [S, H, W, channels]; unused where `calibrates` is false.

        Returns:
          The weights for `features`.
        """
        drawn = self._source.draw(seed, initialisation)
        if not self.calibrates:
            return drawn
        # From averages of zero, the update is (1 - momentum) * statistic, without the rounding that
        # would come from taking an initial variance of 1 off again.
        emptied = list(drawn.non_trainable)
        for index, _ in self._averages:
            emptied[index] = tf.zeros_like(emptied[index])
        _, updated = self._call(drawn.trainable, emptied, calibration_images, training=True)
        calibrated = list(updated.non_trainable)
        for index, momentum in self._averages:
            initial, update = drawn.non_trainable[index], calibrated[index]
            # Where training mode did not reach the layer, its averages stay.
            if update is emptied[index]:
                calibrated[index] = initial
            elif self._batch_norm == "one_update":
                calibrated[index] = momentum * initial + update
            else:
                calibrated[index] = update / (1.0 - momentum)
        return weights_lib.Weights(updated.trainable, calibrated)

    def moved(self, weights: weights_lib.Weights, spacing: float) -> weights_lib.Weights:
        """Return the weights of `initialise` moved within their rounding error."""
        return weights_lib.Weights(
            rounding.moved(weights.trainable, spacing, "trainable"),
            rounding.moved(weights.non_trainable, spacing, "non_trainable"),
        )

    def features(self, weights: weights_lib.Weights, images: tf.Tensor) -> tf.Tensor:
        """Return the features [B, C], in `output_dtype`, of images [B, H, W, channels]."""
        outputs, _ = self._call(weights.trainable, weights.non_trainable, images, training=False)
        if not isinstance(outputs, tf.Tensor) or outputs.shape.rank != 2:
            raise ValueError(
                f"features must be one tensor [N, C], but model {self._model.name!r} returns "
                f"{outputs!r}: name the layer whose output is the feature vector"
            )
        return tf.cast(outputs, self.output_dtype)

    def _call(self, trainable, non_trainable, images, training):
        """Return outputs and the weights after the call.

        As `stateless_call`, but through `__call__`, which hands `training` on to layers.
        """
        model = self._model
        values = [
            *zip(model.trainable_variables, trainable, strict=True),
            *zip(model.non_trainable_variables, non_trainable, strict=True),
        ]
        with _CountingScope(values) as scope:
            outputs = model(images, training=training)
        for index, _ in self._averages:
            variable = model.non_trainable_variables[index]
            if scope.updates[id(variable)] > 1:
                raise ValueError(
                    f"variable {variable.path!r} is updated more than once in a pass, so a batch "
                    "has no one statistic to set it to: give each call a batch normalisation layer "
                    "of its own"
                )
        after = [
            [scope.get_current_value(v) for v in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        ]
        return outputs, weights_lib.Weights(*after)


class _CountingScope(keras.StatelessScope):
    """A stateless scope that knows how often each variable was updated."""

    def __init__(self, values):
        super().__init__(values)
        self.updates = collections.Counter()

    def add_update(self, update):
        self.updates[id(update[0])] += 1
        super().add_update(update)


def _given(model, batch_norm):
    """Return the values of trainable and of non-trainable variables, as `Weights` takes them."""
    values = {id(v): tf.constant(keras.ops.convert_to_numpy(v), v.dtype) for v in model.variables}
    for variable in model.variables:
        value = values[id(variable)]
        if value.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(value)):
            raise ValueError(
                f"variable {variable.path!r} holds a NaN or an infinity, as of a training that "
                "diverged: load finite weights"
            )
    if batch_norm == "initial":
        for layer in _free_norms(model):
            mean, variance = layer.moving_mean, layer.moving_variance
            for variable, initialiser in (
                (mean, layer.moving_mean_initializer),
                (variance, layer.moving_variance_initializer),
            ):
                values[id(variable)] = initialiser(variable.shape, dtype=variable.dtype)
    return (
        [values[id(v)] for v in model.trainable_variables],
        [values[id(v)] for v in model.non_trainable_variables],
    )


def _free_norms(model):
    """List the batch normalisation layers that are not frozen; those keep their averages always."""
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.built and layer.trainable
    ]


def _moving_averages(model):
    """List (position among the non-trainable variables, momentum) of what calibration sets."""
    positions = {id(v): i for i, v in enumerate(model.non_trainable_variables)}
    averages = []
    for layer in _free_norms(model):
        if layer.synchronized:
            raise ValueError(
                f"layer {layer.name!r} synchronises batch statistics over replicas, which hold "
                "different initialisations here: build it with synchronized=False"
            )
        if getattr(layer, "renorm", False):
            raise ValueError(
                f"layer {layer.name!r} renormalises by averages of its own, which one batch cannot "
                "calibrate: build it with renorm=False"
            )
        for variable in (layer.moving_mean, layer.moving_variance):
            averages.append((positions[id(variable)], layer.momentum))
    if averages and max(momentum for _, momentum in averages) >= 1.0:
        raise ValueError("a batch normalisation layer has momentum 1, so no batch can calibrate it")
    return averages
