"""What initialises each variable of a model, which Keras does not store with the variable.

A layer is made anew from its configuration and built for the shapes that it was built for, without
values. Its variables, the same by name and shape, still hold their initialisers then. A layer that
cannot be made anew tells by an attribute: "kernel_initializer" for "kernel".
"""

from __future__ import annotations

import collections
import dataclasses
import math
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from nngp_tf.kernels import layer_copies

SEED_STATE = "seed_generator_state"


@dataclasses.dataclass(frozen=True)
class Source:
    """What a variable starts as.

    Attributes:
      initialiser: From (shape, dtype=...) to a value.
      is_state: Whether its layer makes it untrainable, whatever is frozen later.
    """

    initialiser: Callable
    is_state: bool = False


def own_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Return the variables of a layer that none of its sublayers has."""
    nested = {id(v) for x in layer._flatten_layers(include_self=False) for v in x.variables}
    return [v for v in layer.variables if id(v) not in nested]


def sources(layer: keras.layers.Layer) -> dict[int, Source]:
    """Map the ids of a layer's own variables to their sources, as far as they can be found."""
    own = [v for v in own_variables(layer) if v.name != SEED_STATE]
    if not own:
        return {}
    found = {}
    twins, untrainable = _built_anew(layer)
    anew = _numbered(twins)
    for key, variable in _numbered(own).items():
        initialiser = getattr(layer, f"{variable.name}_initializer", None)
        if key in anew:
            twin = anew[key]
            found[id(variable)] = Source(twin._initializer, id(twin) in untrainable)
        elif isinstance(initialiser, keras.initializers.Initializer):
            found[id(variable)] = Source(initialiser)
    return found


def constant(initialiser: Callable, shape: tuple[int, ...], dtype: str) -> np.ndarray | None:
    """Return the value of an initialiser that draws no random numbers, None of one that does."""
    # Random functions of TensorFlow repeat themselves under a fixed seed: the graph tells.
    traced = tf.function(lambda: initialiser(shape, dtype=dtype), autograph=False)
    graph = traced.get_concrete_function().graph
    random = ("Random", "TruncatedNormal", "Multinomial")
    if any(word in operation.type for operation in graph.get_operations() for word in random):
        return None
    one, two = (keras.ops.convert_to_numpy(initialiser(shape, dtype=dtype)) for _ in range(2))
    return one if one.shape == tuple(shape) and np.array_equal(one, two) else None


def fan(initialiser: Callable, shape: tuple[int, ...]) -> float | None:
    """Return the fan that Keras' `VarianceScaling` divides by; None for another initialiser."""
    # A subclass with a `call` of its own is not taken for what it inherits from.
    kind = keras.initializers.VarianceScaling
    if not isinstance(initialiser, kind) or type(initialiser).__call__ is not kind.__call__:
        return None
    if len(shape) < 2:
        return None
    if getattr(initialiser, "input_axes", None) or getattr(initialiser, "output_axes", None):
        return None
    receptive_field = math.prod(shape[:-2])
    fan_in, fan_out = shape[-2] * receptive_field, shape[-1] * receptive_field
    return {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[
        initialiser.mode
    ]


def truncated_stddev(scale: float, fan: float) -> float:
    """Return the deviation before truncation that leaves the variance scale / fan after it."""
    return math.sqrt(scale / max(1.0, fan)) / 0.87962566103423978


def _numbered(variables):
    """Map (name, shape, how many of these came before) to variables."""
    seen = collections.Counter()
    numbered = {}
    for variable in variables:
        key = layer_copies.plain_name(variable), tuple(variable.shape)
        numbered[(*key, seen[key])] = variable
        seen[key] += 1
    return numbered


def _built_anew(layer):
    """Return the own variables of a layer's copy without values, and the ids of the untrainable.

    None if it cannot be made.
    """
    for kind in type(layer).__mro__:
        # A class whose configuration says too little is its parent, if it builds like it.
        if kind is keras.layers.Layer or kind.build is not type(layer).build:
            break
        try:
            # Variables get no values in this scope.
            with keras.StatelessScope(), warnings.catch_warnings():
                # Keras warns of functions in a configuration, which is not stored here.
                warnings.simplefilter("ignore")
                twin = layer_copies.made_anew(layer, kind)
                if not twin.built:
                    twin.build_from_config(layer.get_build_config())
                for variable in twin.variables:
                    # Nor do they need any when it ends.
                    variable._deferred_initialize = lambda: None
                # Those of a frozen layer too are kept by what it made them.
                return own_variables(twin), {id(v) for v in twin._non_trainable_variables}
        # The code of other people's layers may raise anything.
        except Exception:
            continue
    return [], set()
