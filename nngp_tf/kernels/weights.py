"""Draws of a model's variables, stateless and without variables.

    weight = initialiser of the variable's own layer, seeded by (seed, initialisation, variable)

A variable is known by its layer's name and its own, a layer that Keras named by its class and its
place among the layers of that class. The numbers depend on nothing else, so a replica can draw what
it needs where it needs it. They come from TensorFlow's stateless generators: Philox on CPU and GPU,
Threefry on TPU, except that there Keras' own random functions get XLA's default. Another kind of
device therefore gives other draws of the same distribution.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import copy
import dataclasses
import hashlib
import math
import re
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

MAX_INITIALISATIONS = 2**31 - 2**16

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
        names = _names(model, owners)

        def rules(variables):
            return [(_draw_rule(v, owners), variable_key(names[id(v)])) for v in variables]

        self._trainable = rules(model.trainable_variables)
        self._non_trainable = rules(model.non_trainable_variables)

    def draw(self, seed: int | tf.Tensor, initialisation: int | tf.Tensor) -> Weights:
        """Draws one initialisation.

        Args:
          seed: 0 <= seed < 2**31, an integer or an int32 scalar.
          initialisation: Its index, 0 <= index < `MAX_INITIALISATIONS`.

        Returns:
          The drawn tensors, each with the shape and the dtype of its variable.
        """
        return Weights(
            [draw(stream(seed, initialisation, key)) for draw, key in self._trainable],
            [draw(stream(seed, initialisation, key)) for draw, key in self._non_trainable],
        )


def variable_key(name: str) -> int:
    """Return the int32 that stands for a variable in its seeds."""
    digest = hashlib.md5(name.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:4], "little", signed=True)


CALIBRATION_KEY = variable_key("calibration")


def stream(
    seed: int | tf.Tensor, initialisation: int | tf.Tensor, key: int | tf.Tensor
) -> tf.Tensor:
    """Return the seed [2] of one random stream: a variable's, or the calibration batch's."""
    # Seeds are spread over the words by the golden ratio, so that seed + 1 is far from key + 1.
    word = tf.cast(seed, tf.int32) * tf.constant(-1640531527, tf.int32) + key
    return tf.stack([word, tf.cast(initialisation, tf.int32)])


_device_type = contextvars.ContextVar("device_type", default="CPU")


@contextlib.contextmanager
def drawn_on(device_type: str) -> Iterator[None]:
    """Draw, in this block, by the generator of a kind of device: "CPU", "GPU" or "TPU"."""
    token = _device_type.set(device_type)
    try:
        yield
    finally:
        _device_type.reset(token)


def draws_are_nested() -> bool:
    """Whether a smaller shape draws the first values of a larger one: Philox does, Threefry not."""
    return _device_type.get() != "TPU"


def uniform(
    shape: Sequence[int],
    seed: tf.Tensor,
    low: float = 0.0,
    high: float = 1.0,
    dtype: str = "float32",
) -> tf.Tensor:
    """Draw uniformly from [low, high).

    Args:
      shape: Static shape.
      seed: [2], int32.
      low: Least value.
      high: What all values stay below.
      dtype: "float32" or "float64".
    """
    # What TensorFlow selects on TPU is left to XLA, and may change with its version. Its kernels
    # for CPU and GPU know Philox only.
    algorithm = "auto_select" if draws_are_nested() else "threefry"
    return tf.random.stateless_uniform(shape, seed, low, high, dtype, algorithm)


def truncated_normal(shape: Sequence[int], seed: tf.Tensor, dtype: str = "float32") -> tf.Tensor:
    """Draw from the standard normal distribution cut off at two standard deviations.

    By inverting its distribution function, for a fraction of what rejection costs.

    Args:
      shape: Static shape.
      seed: [2], int32.
      dtype: "float32" or "float64".
    """
    # erf(2 / sqrt 2): the probability within two standard deviations.
    bound = 0.9544997361036416
    return tf.math.erfinv(uniform(shape, seed, -bound, bound, dtype)) * math.sqrt(2.0)


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
    """Map the id of each variable to its layer, the one that no sublayer shares it with."""
    owners = {}
    for layer in [model, *model._flatten_layers(include_self=False)]:
        nested = {id(v) for x in layer._flatten_layers(include_self=False) for v in x.variables}
        owners |= {id(v): layer for v in layer.variables if id(v) not in nested}
    return owners


def _names(model, owners):
    """Map the id of each variable to a name that is the same whenever the model is built anew."""
    seen = collections.Counter()
    layer_names = {}
    for layer in {id(layer): layer for layer in _in_order(model)}.values():
        kind = type(layer).__name__.lower()
        # Keras' own names: the class in snake case, numbered by what was made before.
        if re.sub(r"_\d+$", "", layer.name).replace("_", "") == kind:
            layer_names[id(layer)] = f"{kind}#{seen[kind]}"
            seen[kind] += 1
        else:
            layer_names[id(layer)] = layer.name
    names = {}
    for variable in [*model.trainable_variables, *model.non_trainable_variables]:
        owner = owners.get(id(variable))
        name = f"{layer_names.get(id(owner))}/{variable.name}"
        seen[name] += 1
        # Names repeat within nested models only.
        names[id(variable)] = name if seen[name] == 1 else f"{name}#{seen[name] - 1}"
    return names


def _in_order(layer):
    """Yield a layer and those within, which Keras' own list has backwards in nested models."""
    yield layer
    for inner in layer._layers:
        yield from _in_order(inner)


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

    if (stddev := _truncated_normal_stddev(initialiser, shape)) is not None:
        draw_dtype = "float64" if dtype == "float64" else "float32"
        return lambda seed: tf.cast(stddev * truncated_normal(shape, seed, draw_dtype), dtype)

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


def _truncated_normal_stddev(initialiser, shape):
    """Return the standard deviation before truncation of what Keras draws most often, else None."""
    if not isinstance(initialiser, keras.initializers.VarianceScaling):
        return None
    # A subclass with a `call` of its own is not taken for what it inherits from.
    if type(initialiser).__call__ is not keras.initializers.VarianceScaling.__call__:
        return None
    if initialiser.distribution != "truncated_normal" or len(shape) < 2:
        return None
    if getattr(initialiser, "input_axes", None) or getattr(initialiser, "output_axes", None):
        return None
    receptive_field = math.prod(shape[:-2])
    fan_in, fan_out = shape[-2] * receptive_field, shape[-1] * receptive_field
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    return variance_scaling_stddev(initialiser.scale, fan[initialiser.mode])


def variance_scaling_stddev(scale: float, fan: float) -> float:
    """Return the deviation before truncation that leaves the variance scale / fan after it."""
    return math.sqrt(scale / max(1.0, fan)) / 0.87962566103423978


def _initialiser(layer, variable):
    if getattr(layer, "unit_forget_bias", False) and variable.name == "bias":
        raise ValueError(
            f"{_where(layer, variable)} is made by a function of its own under "
            "unit_forget_bias=True: build the layer with unit_forget_bias=False"
        )
    if (fixed := _fixed_initialiser(layer, variable)) is not None:
        return fixed
    names = _INITIALISER_ATTRIBUTES.get(variable.name, (f"{variable.name}_initializer",))
    for name in names:
        if isinstance(initialiser := getattr(layer, name, None), keras.initializers.Initializer):
            if isinstance(layer, keras.layers.EinsumDense) and variable.name == "kernel":
                return _with_einsum_axes(initialiser, layer.equation)
            return initialiser
    raise ValueError(
        f"{_where(layer, variable)} has no Keras initialiser in the attribute {names[0]!r}, "
        "so its value at initialisation is not known; replace the layer, or give it that attribute"
    )


def _fixed_initialiser(layer, variable):
    """Return the initialiser of a variable whose layer has no attribute for it, else None."""
    kind = type(layer).__name__
    if kind == "RMSNormalization" and variable.name == "scale":
        return keras.initializers.Ones()
    # Of ConvNeXt, in keras.applications.
    if kind == "LayerScale" and hasattr(layer, "init_values"):
        return keras.initializers.Constant(layer.init_values)
    if isinstance(layer, keras.layers.Normalization):
        start = {"mean": 0, "variance": 1, "count": 0}
        # Adapted to data, it has a state that no initialiser gives.
        if variable.name in start and np.all(variable.numpy() == start[variable.name]):
            return keras.initializers.Constant(start[variable.name])
    return None


def _with_einsum_axes(initialiser, equation):
    """Return the initialiser that `EinsumDense` makes of its own, with fans by the equation."""
    axes = [getattr(initialiser, name, ()) for name in ("input_axes", "output_axes")]
    if None not in axes:
        return initialiser
    kernel, outputs = equation.split(",")[1].split("->")
    initialiser = copy.copy(initialiser)
    initialiser.input_axes = [i for i, axis in enumerate(kernel) if axis not in outputs]
    initialiser.output_axes = [i for i, axis in enumerate(kernel) if axis in outputs]
    return initialiser


def _where(layer, variable):
    return f"variable {variable.name!r} of layer {layer.name!r} ({type(layer).__name__})"
