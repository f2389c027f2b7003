"""One initialisation of a network: draw, calibrate batch normalisation, run the images."""

from __future__ import annotations

import collections

import keras
import tensorflow as tf

from nngp_tf.kernels import weights as weights_lib

BATCH_NORM_MODES = ("one_update", "batch_statistics", "initial")


def check_batch_norm(mode: str) -> None:
    """Raise ValueError unless the mode is one of `BATCH_NORM_MODES`."""
    if mode not in BATCH_NORM_MODES:
        raise ValueError(f"batch_norm must be one of {', '.join(BATCH_NORM_MODES)}, got {mode!r}")


class FeatureProgram:
    """The features of a Keras model under stateless weights.

    The three modes of batch normalisation at initialisation, after which a network is in inference
    mode throughout:

    - "one_update" moves the averages once by each layer's momentum, on one batch in training mode:
      what the authors' code does. With the benchmark's momentum of 0.997 it leaves the network
      almost unnormalised.
    - "batch_statistics" sets the averages to the statistics of that batch.
    - "initial" leaves them as the layers initialise them: mean 0 and variance 1.

    Methods are for use inside a `tf.function`, on the replica that needs their result.
    """

    def __init__(
        self, model: keras.Model, batch_norm: str = "one_update", output_dtype: str = "float32"
    ):
        """Construct the program of a model whose output is the feature vector.

        Args:
          model: From images [B, H, W, channels] to features [B, C].
          batch_norm: One of `BATCH_NORM_MODES`.
          output_dtype: Of the features, whatever the model computes in.

        Raises:
          ValueError: If the mode is unknown, a variable cannot be drawn, or a layer synchronises
            batch statistics over replicas, which here hold different initialisations.
        """
        check_batch_norm(batch_norm)
        self._model = model
        self._sampler = weights_lib.WeightSampler(model)
        self._averages = [] if batch_norm == "initial" else _moving_averages(model)
        self._batch_norm = batch_norm
        self.output_dtype = output_dtype

    def program(self, inputs: tuple[()]) -> FeatureProgram:
        """Return itself: a model is the only one of its family, and takes no inputs."""
        del inputs
        return self

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
        """Draws the weights and calibrates batch normalisation.

        Args:
          seed: See `WeightSampler.draw`.
          initialisation: See `WeightSampler.draw`.
          calibration_images: The batch [S, H, W, channels]; unused where `calibrates` is false.

        Returns:
          The weights for `features`.
        """
        drawn = self._sampler.draw(seed, initialisation)
        if not self.calibrates:
            return drawn
        # From averages of zero, the update is (1 - momentum) * statistic, without the rounding that
        # would come from taking an initial variance of 1 off again.
        emptied = list(drawn.non_trainable)
        for index, _ in self._averages:
            emptied[index] = tf.zeros_like(emptied[index])
        _, updated = self._call(drawn.trainable, emptied, calibration_images, training=True)
        calibrated = list(drawn.non_trainable)
        for index, momentum in self._averages:
            # Where training mode did not reach the layer, its averages stay.
            if updated[index] is emptied[index]:
                continue
            if self._batch_norm == "one_update":
                calibrated[index] = momentum * calibrated[index] + updated[index]
            else:
                calibrated[index] = updated[index] / (1.0 - momentum)
        return weights_lib.Weights(drawn.trainable, calibrated)

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
        """Return outputs and the non-trainable variables after the call.

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
        return outputs, [scope.get_current_value(v) for v in model.non_trainable_variables]


class _CountingScope(keras.StatelessScope):
    """A stateless scope that knows how often each variable was updated."""

    def __init__(self, values):
        super().__init__(values)
        self.updates = collections.Counter()

    def add_update(self, update):
        self.updates[id(update[0])] += 1
        super().add_update(update)


def _moving_averages(model):
    """List (position among the non-trainable variables, momentum) of what calibration sets."""
    positions = {id(v): i for i, v in enumerate(model.non_trainable_variables)}
    averages = []
    for layer in model._flatten_layers(include_self=False):
        if not isinstance(layer, keras.layers.BatchNormalization) or not layer.built:
            continue
        if layer.synchronized:
            raise ValueError(
                f"layer {layer.name!r} synchronises batch statistics over replicas, which hold "
                "different initialisations here: build it with synchronized=False"
            )
        # A frozen layer keeps its averages in training mode too.
        if layer.trainable:
            for variable in (layer.moving_mean, layer.moving_variance):
                averages.append((positions[id(variable)], layer.momentum))
    if averages and max(momentum for _, momentum in averages) >= 1.0:
        raise ValueError("a batch normalisation layer has momentum 1, so no batch can calibrate it")
    return averages
