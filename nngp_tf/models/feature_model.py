"""The part of a model whose output is the Gaussian process' feature vector."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import keras

FEATURE_LAYER = "features"


def features(model: keras.Model, layer: str | None = FEATURE_LAYER) -> keras.Model:
    """Cuts a model at the layer whose output is the feature vector, sharing its variables.

    The vector is what enters the classifier: the globally averaged pool of a convolutional network
    (arXiv 2011.06006, section 3).

    Args:
      model: A functional or sequential model of inputs [N, ...].
      layer: Name of the layer whose output [N, C] is the vector, "avg_pool" say for
        `keras.applications.ResNet50V2`. Within a nested model it is "model/layer", and of a layer
        that is called more than once "layer:0" is the first call, "layer:1" the second. None takes
        the model's own output, which serves a subclassed model too.

    Returns:
      A model from inputs [N, ...] to features [N, C].

    Raises:
      ValueError: If there is no such layer, it is called more than once and no call is named, the
        model cannot be cut, or the output is not [N, C].
    """
    check_is_keras(model)
    if layer is None:
        cut = model
    elif not isinstance(layer, str):
        raise ValueError(f"a feature layer is known by its name or None, got {layer!r}")
    elif _has_graph(model):
        inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
        cut = keras.Model(inputs, _output(model, layer), name=f"{model.name}_features")
    else:
        raise _without_graph(model, layer)
    shape = cut.output_shape if _has_graph(cut) else None
    if shape is not None and (not isinstance(shape, tuple) or len(shape) != 2 or shape[1] is None):
        where = "the model's output" if layer is None else f"the output of layer {layer!r}"
        raise ValueError(
            f"{where} has shape {shape}, but features must be [N, C]: name a layer whose output is "
            "one vector an input, after the global pooling say"
        )
    return cut


def check_is_keras(model: object) -> None:
    """Check that a model is one of Keras 3.

    Raises:
      ValueError: If it is of another library, such as Keras 2, which `tf.keras` is where
        TF_USE_LEGACY_KERAS is set.
    """
    if isinstance(model, keras.Model):
        return
    kind = type(model)
    where = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    message = f"expected a keras.Model, got {where}{kind.__qualname__}"
    if any(base.__module__.partition(".")[0] == "tf_keras" for base in kind.__mro__):
        message += (
            ": tf_keras, which tf.keras is where TF_USE_LEGACY_KERAS is set, is Keras 2, so build "
            "the model by `import keras`"
        )
    raise ValueError(message)


def _output(model, path, parents=""):
    """Return the symbolic output at a path within a model, whose own path is `parents`."""
    name, _, rest = path.partition("/")
    operation, number = _operation(model, name)
    if operation is None:
        raise _unknown(model, path, parents)
    calls = _calls(model, operation)
    if number is None and len(calls) == 1:
        number = 0
    if number is None or number >= len(calls):
        raise _ambiguous(operation, calls, parents, rest)
    call = calls[number]
    if not rest:
        return call.outputs[0] if len(call.outputs) == 1 else call.outputs
    inner = call.operation
    if not isinstance(inner, keras.Model) or not _has_graph(inner):
        raise _without_graph(inner, rest)
    output = _output(inner, rest, f"{parents}{name}/")
    cut = keras.Model(_graph(inner).input, output, name=f"{inner.name}_features")
    return cut(*call.arguments.args, **call.arguments.kwargs)


def _operation(model, name):
    """Return the layer, or other operation, of a name that may end in a call, and that call."""
    operations = {operation.name: operation for operation in _graph(model).operations}
    if name in operations:
        return operations[name], None
    layer, _, number = name.rpartition(":")
    return (operations.get(layer), int(number)) if number.isdecimal() else (None, None)


def _calls(model, operation):
    """List the calls of an operation in this model, in order; it may be shared with others."""
    nodes = {id(node) for nodes in _graph(model)._nodes_by_depth.values() for node in nodes}
    return [node for node in operation._inbound_nodes if id(node) in nodes]


def _paths(model) -> Iterator[str]:
    """Yield the names that `_output` takes."""
    for operation in _graph(model).operations:
        yield operation.name
        if isinstance(operation, keras.Model) and _has_graph(operation):
            yield from (f"{operation.name}/{path}" for path in _paths(operation))


def _unknown(model, path, parents):
    paths = list(_paths(model))
    name = path.rpartition("/")[2]
    near = [each for each in paths if each.rpartition("/")[2] == name]
    near = near or difflib.get_close_matches(path, paths)
    near = " or ".join(repr(parents + each) for each in near[:3])
    guess = f"did you mean {near}? Or " if near else ""
    return ValueError(
        f"model {model.name!r} has no layer named {path!r}: {guess}name the layer whose output is "
        f"the feature vector (its last layers are {', '.join(x.name for x in model.layers[-4:])})"
    )


def _ambiguous(operation, calls, parents, rest):
    def described(number, call):
        path = f"{parents}{operation.name}:{number}" + (f"/{rest}" if rest else "")
        sources = [x._keras_history.operation.name for x in call.input_tensors]
        shapes = [list(x.shape) for x in call.outputs]
        return f"{path!r} (of {', '.join(sources)}, {', '.join(map(str, shapes))})"

    names = " or ".join(described(*pair) for pair in enumerate(calls))
    times = "once" if len(calls) == 1 else f"{len(calls)} times"
    return ValueError(f"layer {operation.name!r} is called {times}: name the call, {names}")


def _without_graph(model: Any, layer: str) -> ValueError:
    if isinstance(model, keras.Sequential):
        return ValueError(
            f"model {model.name!r} is not built, so it cannot be cut at layer {layer!r}: begin it "
            "with a keras.Input, or call it once on a batch"
        )
    return ValueError(
        f"a model of class {type(model).__name__} has no graph to cut at layer {layer!r}: pass "
        "a model whose own output is the feature vector, and None as the layer"
    )


def _has_graph(model):
    # Subclassed models have no symbolic inputs; Keras exports no class to ask for.
    return bool(getattr(model, "inputs", None))


def _graph(model):
    # A sequential model keeps its graph in a functional one.
    return getattr(model, "_functional", None) or model
