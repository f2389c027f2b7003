"""Draws of a model's variables, stateless and without variables.

    weight = initialiser of the variable's own layer, seeded by (seed, initialisation, variable)

The numbers depend on nothing else, so a replica can draw what it needs where it needs it. They come
from TensorFlow's stateless generators: Philox on CPU and GPU, XLA's default on TPU. Another kind of
device therefore gives other draws of the same distribution.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

# One 32-bit word holds the initialisation and the variable, so no two of them share a stream.
_VARIABLE_SLOTS = 4096
MAX_INITIALISATIONS = 2**31 // _VARIABLE_SLOTS
CALIBRATION_SLOT = _VARIABLE_SLOTS - 1

# Keras names most initialisers after their variable; these layers depart from that.
_INITIALISER_ATTRIBUTES = {
    "depthwise_kernel": ("depthwise_initializer",),
    "pointwise_kernel": ("pointwise_initializer",),
    "recurrent_kernel": ("recurrent_initializer",),
    "kernel": ("kernel_initializer", "depthwise_initializer"),
}
_CONSTANT_INITIALISERS = (
    keras.initializers.Zeros,
    keras.initializers.Ones,
    keras.initializers.Constant,
    keras.initializers.Identity,
    keras.initializers.STFT,
)


@dataclasses.dataclass(frozen=True)
class Weights:
    """One initialisation of a model, in the order that `keras.Model.stateless_call` takes."""

    trainable: list[tf.Tensor]
    non_trainable: list[tf.Tensor]


class WeightSampler:
    """Draws the variables of a model after each one's own Keras initialiser.

    Every random and constant initialiser of Keras is followed exactly, by Keras' own code. A fixed
    seed inside an initialiser is overridden, or all initialisations would be the same.
    """

    def __init__(self, model: keras.Model):
        """Find the initialiser of every variable.

        Args:
          model: A built model.

        Raises:
          ValueError: Naming the layer and the variable, if one has no initialiser to draw it from.
        """
        owners = _owners(model)
        self._trainable = [_draw_rule(v, owners) for v in model.trainable_variables]
        self._non_trainable = [_draw_rule(v, owners) for v in model.non_trainable_variables]
        if len(self._trainable) + len(self._non_trainable) > CALIBRATION_SLOT:
            raise ValueError(
                f"model {model.name!r} has more than {CALIBRATION_SLOT} variables, which is what "
                "the seeds tell apart"
            )

    def draw(self, seed: int | tf.Tensor, initialisation: int | tf.Tensor) -> Weights:
        """Draws one initialisation.

        Args:
          seed: 0 <= seed < 2**31, an integer or an int32 scalar.
          initialisation: Its index, 0 <= index < `MAX_INITIALISATIONS`.

        Returns:
          The drawn tensors, each with the shape and the dtype of its variable.
        """
        first_non_trainable = len(self._trainable)
        return Weights(
            [d(stream(seed, initialisation, i)) for i, d in enumerate(self._trainable)],
            [
                d(stream(seed, initialisation, first_non_trainable + i))
                for i, d in enumerate(self._non_trainable)
            ],
        )


def stream(seed: int | tf.Tensor, initialisation: int | tf.Tensor, slot: int) -> tf.Tensor:
    """Return the seed [2] of one random stream: a variable's, or the calibration batch's."""
    index = tf.cast(initialisation, tf.int32) * _VARIABLE_SLOTS + slot
    return tf.stack([tf.cast(seed, tf.int32), index])


class _StreamSeed(keras.random.SeedGenerator):
    """Hands a given seed tensor to Keras' random functions, where they expect a state."""

    def __init__(self, seed):
        # The parent's constructor would make the state variable that is avoided here.
        self._seed = seed
        self._num_drawn = 0

    def next(self, ordered=True):
        del ordered
        drawn = self._seed + tf.constant([self._num_drawn << 20, 0])
        self._num_drawn += 1
        return drawn


def _owners(model):
    """Map the id of each variable to its layer, the innermost of those that contain it."""
    layers = [model, *model._flatten_layers(include_self=False)]
    # Parents precede children among equals, so the last to claim a variable is the innermost.
    layers.sort(key=lambda layer: -len(layer.variables))
    return {id(variable): layer for layer in layers for variable in layer.variables}


def _draw_rule(variable, owners) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the function from a seed [2] to a draw of the variable."""
    layer = owners.get(id(variable))
    shape, dtype = tuple(variable.shape), variable.dtype
    if variable.name == "seed_generator_state":
        return lambda seed: tf.cast(
            tf.random.stateless_uniform(shape, seed, maxval=2**31 - 1, dtype=tf.int32), dtype
        )
    if layer is None:
        raise ValueError(
            f"variable {variable.path!r} belongs to no layer of the model, so there is no "
            "initialiser to draw it from; make it a weight of a layer"
        )
    initialiser = _initialiser(layer, variable)
    if isinstance(initialiser, _CONSTANT_INITIALISERS):
        return lambda seed: tf.cast(initialiser(shape, dtype=dtype), dtype)
    if not hasattr(initialiser, "seed"):
        raise ValueError(
            f"{_where(layer, variable)} has the initialiser {initialiser!r}, which takes no seed: "
            "use one of Keras' initialisers, or a subclass of one that draws with keras.random "
            "from its `seed`"
        )

    def draw(seed):
        seeded = copy.copy(initialiser)
        seeded.seed = _StreamSeed(seed)
        try:
            return tf.ensure_shape(seeded(shape, dtype=dtype), shape)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{_where(layer, variable)} cannot be drawn by its initialiser "
                f"{type(initialiser).__name__}: {error}"
            ) from error

    return draw


def _initialiser(layer, variable):
    if getattr(layer, "unit_forget_bias", False) and variable.name == "bias":
        raise ValueError(
            f"{_where(layer, variable)} is made by a function of its own under "
            "unit_forget_bias=True: build the layer with unit_forget_bias=False"
        )
    if isinstance(layer, keras.layers.RMSNormalization) and variable.name == "scale":
        return keras.initializers.Ones()
    names = _INITIALISER_ATTRIBUTES.get(variable.name, (f"{variable.name}_initializer",))
    for name in names:
        if isinstance(initialiser := getattr(layer, name, None), keras.initializers.Initializer):
            return initialiser
    raise ValueError(
        f"{_where(layer, variable)} has no Keras initialiser in the attribute {names[0]!r}, "
        "so its value at initialisation is not known; replace the layer, or give it that attribute"
    )


def _where(layer, variable):
    return f"variable {variable.name!r} of layer {layer.name!r} ({type(layer).__name__})"
