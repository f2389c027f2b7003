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
import tensorflow as tf

from nngp_tf.kernels import freshness, initialisers, layer_copies

MAX_INITIALISATIONS = 2**31 - 2**16

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


@dataclasses.dataclass(frozen=True)
class GivenWeights:
    """The values that a model has, in place of draws."""

    values: Weights

    def draw(self, seed: int | tf.Tensor, initialisation: int | tf.Tensor) -> Weights:
        """Return the values, whatever the seed and the initialisation."""
        del seed, initialisation
        return self.values


class WeightSampler:
    """Draws the variables of a model after each one's own Keras initialiser.

    Every random and constant initialiser of Keras is followed exactly, by Keras' own code. A fixed
    seed inside an initialiser is overridden, or all initialisations would be the same. What a
    `Normalization` layer has learnt of data is kept.
    """

    def __init__(self, model: keras.Model):
        """Find the initialiser of every variable.

        Args:
          model: A built model.

        Raises:
          ValueError: Naming the layer and the variable, if one has no initialiser to draw it from,
            or a layer that is quantised.
        """
        if (quantised := layer_copies.quantisation(model)) is not None:
            raise ValueError(
                f"{quantised}, so its weights cannot be drawn: pass the model as it was before "
                'quantisation, or weights="as_given"'
            )
        owners = _owners(model)
        names = _names(model, owners)
        sources = {}
        for layer in model._flatten_layers():
            sources |= initialisers.sources(layer)

        def rules(variables):
            return [
                (_draw_rule(v, owners.get(id(v)), sources.get(id(v))), variable_key(names[id(v)]))
                for v in variables
            ]

        self._trainable = rules(model.trainable_variables)
        self._non_trainable = rules(model.non_trainable_variables)
        self._sources = [
            (v, sources[id(v)])
            for v in model.variables
            if id(v) in sources and not isinstance(owners[id(v)], keras.layers.Normalization)
        ]

    def trained_variable(self) -> str | None:
        """Return the path of a variable whose values are no fresh draw; None if none is found."""
        trained = freshness.first_trained(self._sources)
        return None if trained is None else trained.path

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
    for layer in model._flatten_layers():
        owners |= {id(v): layer for v in initialisers.own_variables(layer)}
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
        name = f"{layer_names.get(id(owner))}/{layer_copies.plain_name(variable)}"
        seen[name] += 1
        # Names repeat within nested models only.
        names[id(variable)] = name if seen[name] == 1 else f"{name}#{seen[name] - 1}"
    return names


def _in_order(layer):
    """Yield a layer and those within, which Keras' own list has backwards in nested models."""
    yield layer
    for inner in layer._layers:
        yield from _in_order(inner)


def _draw_rule(variable, layer, source) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the function from a seed [2] to a draw of the variable."""
    shape, dtype = tuple(variable.shape), variable.dtype
    if variable.name == initialisers.SEED_STATE:
        return lambda seed: tf.cast(
            tf.random.stateless_uniform(shape, seed, maxval=2**31 - 1, dtype=tf.int32), dtype
        )
    if layer is None:
        raise ValueError(
            f"variable {variable.path!r} belongs to no layer of the model, so there is no "
            "initialiser to draw it from; make it a weight of a layer"
        )
    if isinstance(layer, keras.layers.Normalization):
        kept = keras.ops.convert_to_numpy(variable)
        return lambda seed: tf.constant(kept, dtype)
    if source is None:
        raise ValueError(
            f"{_where(layer, variable)} is made without an initialiser that could be found, so its "
            "value at initialisation is not known; make it by `add_weight` in a layer that its "
            f"configuration tells all of, or give the layer a {variable.name}_initializer"
        )
    initialiser = source.initialiser
    constant = not hasattr(initialiser, "seed")
    averages = isinstance(layer, keras.layers.BatchNormalization)
    if source.is_state and constant and not averages and not freshness.is_fresh(variable, source):
        raise ValueError(
            f"{_where(layer, variable)} is no weight, but a state that differs from its initial "
            'one, as the mask of a pruned network does, and would be lost: pass weights="as_given"'
        )
    if isinstance(initialiser, _CONSTANT_INITIALISERS):
        return lambda seed: tf.cast(initialiser(shape, dtype=dtype), dtype)
    if constant:
        return _constant_rule(variable, layer, initialiser)

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


def _constant_rule(variable, layer, initialiser):
    """Return the rule of an initialiser without a seed, which may be any function."""
    try:
        value = initialisers.constant(initialiser, tuple(variable.shape), variable.dtype)
    except (AttributeError, TypeError, ValueError):
        value = None
    if value is None:
        raise ValueError(
            f"{_where(layer, variable)} has the initialiser {initialiser!r}, which takes no seed: "
            "use one of Keras' initialisers, or a subclass of one that draws with keras.random "
            "from its `seed`"
        )
    return lambda seed: tf.constant(value, variable.dtype)


def _truncated_normal_stddev(initialiser, shape):
    """Return the standard deviation before truncation of what Keras draws most often, else None."""
    if getattr(initialiser, "distribution", None) != "truncated_normal":
        return None
    fan = initialisers.fan(initialiser, shape)
    return None if fan is None else initialisers.truncated_stddev(initialiser.scale, fan)


def _where(layer, variable):
    return f"variable {variable.name!r} of layer {layer.name!r} ({type(layer).__name__})"
