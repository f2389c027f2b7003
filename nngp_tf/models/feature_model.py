"""The part of a model whose output is the Gaussian process' feature vector."""

from __future__ import annotations

import keras

FEATURE_LAYER = "features"


def features(model: keras.Model, layer: str | None = FEATURE_LAYER) -> keras.Model:
    """Cuts a model at the layer whose output is the feature vector, sharing its variables.

    The vector is what enters the classifier: the globally averaged pool of a convolutional network
    (arXiv 2011.06006, section 3).

    Args:
      model: A functional or sequential model from images [N, H, W, channels].
      layer: Name of the layer whose output [N, C] is the vector, "avg_pool" say for
        `keras.applications.ResNet50V2`. None takes the model's own output, which serves a
        subclassed model too.

    Returns:
      A model from images [N, H, W, channels] to features [N, C].

    Raises:
      ValueError: If there is no such layer, the model cannot be cut, or the output is not [N, C].
    """
    check_is_keras(model)
    cut = model if layer is None else _cut(model, layer)
    shape = cut.output_shape if _has_graph(cut) else None
    if shape is not None and (not isinstance(shape, tuple) or len(shape) != 2 or shape[1] is None):
        where = "the model's output" if layer is None else f"the output of layer {layer!r}"
        raise ValueError(
            f"{where} has shape {shape}, but features must be [N, C]: name a layer after the "
            "global pooling"
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


def _cut(model, layer):
    if not _has_graph(model):
        raise ValueError(
            f"a model of class {type(model).__name__} has no graph to cut at layer {layer!r}: pass "
            "a model whose own output is the feature vector, and None as the layer"
        )
    names = [each.name for each in model.layers]
    if layer not in names:
        raise ValueError(
            f"model {model.name!r} has no layer named {layer!r}: name the layer whose output is "
            f"the feature vector (its last layers are {', '.join(names[-4:])})"
        )
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    return keras.Model(inputs, model.get_layer(layer).output, name=f"{model.name}_features")


def _has_graph(model):
    # Subclassed models have no symbolic inputs; Keras exports no class to ask for.
    return bool(getattr(model, "inputs", None))
