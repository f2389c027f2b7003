"""Layers made anew from their configuration, and what such a copy has lost."""

from __future__ import annotations

import copy
import inspect
import re
from typing import Any

import keras
import numpy as np

_ANY_LAYER = frozenset(vars(keras.layers.Layer()))


def made_anew(layer: keras.layers.Layer, kind: type | None = None, **changes: Any):
    """Return an unbuilt layer of the same configuration.

    Initialisers and functions that a configuration can only name, or not even that, are handed over
    as they are.

    Args:
      layer: What to copy.
      kind: A class that it inherits from, to be made instead of its own.
      **changes: Entries of the configuration to replace.

    Raises:
      Exception: Whatever the class raises that cannot be made from its configuration.
    """
    kind = kind or type(layer)
    parameters = inspect.signature(kind.__init__).parameters
    config = kind.get_config(layer)
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        # Keras names them whether or not the constructor takes them.
        for name in {"name", "trainable", "dtype"} - parameters.keys():
            config.pop(name, None)
    config |= changes
    for name, parameter in parameters.items():
        # What the configuration forgets is often an attribute all the same.
        if parameter.default is parameter.empty and name not in config and name in vars(layer):
            config[name] = vars(layer)[name]
    own = {name: value for name, value in vars(layer).items() if name in config}
    own = {name: _detached(value) for name, value in own.items() if _is_function(value)}
    with keras.saving.custom_object_scope(_classes(layer)):
        try:
            return kind.from_config(copy.copy(config) | own)
        except Exception:
            # A `from_config` of its own may ask for the serialised form.
            if not own:
                raise
            return kind.from_config(config)


def quantisation(model: keras.layers.Layer) -> str | None:
    """Return the name and the mode of the first quantised layer of a model, None if none is."""
    for layer in model._flatten_layers():
        mode = getattr(layer.dtype_policy, "quantization_mode", None)
        if mode is not None and not isinstance(layer, keras.Model):
            return f"layer {layer.name!r} is quantised to {mode}"
    return None


def complete(model: keras.Model, twin: keras.Model) -> None:
    """Give a copy the values of a model's variables, and check that it lacks nothing but the dtype.

    What is compared: name, shape and trainability of all variables, which two layers may share, the
    classes of all layers, and their attributes that are numbers, texts, arrays, functions or
    collections of those.

    Raises:
      ValueError: Naming the layer and what it lost.
    """
    ours, theirs = (
        [(plain_name(v), v.shape, v.trainable) for v in m.variables] for m in (model, twin)
    )
    layers, copies = model._flatten_layers(), twin._flatten_layers()
    if ours != theirs or len(layers) != len(copies):
        raise ValueError("it shares variables or has layers that no configuration tells of")
    for variable, value in zip(twin.variables, model.variables, strict=True):
        variable.assign(keras.ops.convert_to_numpy(value))
    for layer, other in zip(layers, copies, strict=True):
        # It computes with constants made of its variables.
        if isinstance(other, keras.layers.Normalization):
            other.finalize_state()
        if (lost := _loss(layer, other)) is not None:
            raise ValueError(f"layer {layer.name!r} would lose its {lost}")


def plain_name(variable: keras.Variable) -> str:
    """Return a variable's name, without the number that Keras gives one that was not named."""
    return re.sub(r"^variable_\d+$", "variable", variable.name)


def _is_function(value):
    return callable(value) and not isinstance(value, keras.layers.Layer | type)


def _detached(value):
    return copy.copy(value) if isinstance(value, keras.initializers.Initializer) else value


def _classes(layer):
    """Map the names of the classes that the configuration names to the classes."""
    layers = layer._flatten_layers()
    values = [value for each in layers for value in vars(each).values()]
    parts = (keras.initializers.Initializer, keras.regularizers.Regularizer)
    return {
        type(x).__name__: type(x) for x in [*layers, *(v for v in values if isinstance(v, parts))]
    }


def _loss(layer, other):
    """Return what a layer has and its copy has not, in words, None for nothing."""
    if isinstance(layer, keras.Model):
        # A functional model of a class of its own becomes a plain one, without its methods.
        return None if type(layer).call is type(other).call else "own `call`"
    if type(layer) is not type(other):
        return f"class {type(layer).__name__}"
    for name in vars(layer).keys() - _ANY_LAYER:
        # What it was built for may tell of a number of images.
        if "shape" not in name and not _alike(vars(layer)[name], vars(other).get(name)):
            return f"attribute {name!r}, which its configuration does not tell of"
    # Methods that were replaced on the object.
    for name in ("call", "__call__"):
        if name in vars(layer):
            return f"own `{name}`"
    return None


def _alike(value, other):
    """Whether two attributes are equal, as far as they can be told apart by their value."""
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(_alike(value[k], other[k]) for k in value)
    if isinstance(value, list | tuple) and isinstance(other, list | tuple):
        return len(value) == len(other) and all(map(_alike, value, other))
    if value is None:
        return other is None
    if isinstance(value, bool | int | float | complex | str | bytes):
        return (_is_dtype(value) and _is_dtype(other)) or bool(np.all(value == other))
    if isinstance(value, np.ndarray | np.generic) or keras.ops.is_tensor(value):
        # Constants made for the dtype.
        if other is None or np.shape(value) != np.shape(other):
            return False
        value, other = (np.asarray(keras.ops.cast(x, "float32")) for x in (value, other))
        return np.allclose(value, other, rtol=0.02, equal_nan=True)
    code = getattr(value, "__code__", None)
    return code is None or code is getattr(other, "__code__", None)


def _is_dtype(value):
    return value in ("float16", "bfloat16", "float32", "float64")
