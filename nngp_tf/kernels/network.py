"""What a kernel is computed of: a network's program, and where its steps come from."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from nngp_tf.kernels import arguments, cell_layout, mnas_layout, precision
from nngp_tf.kernels.cell_program import CellFamily
from nngp_tf.kernels.features import FeatureProgram, resolve_batch_norm
from nngp_tf.kernels.mnas_layer import MnasFamily
from nngp_tf.kernels.mnas_programs import has_static_shapes
from nngp_tf.kernels.mnas_step import MnasStep
from nngp_tf.kernels.step import make_step, said_by_layer, shared_step
from nngp_tf.kernels.weights import WeightSampler
from nngp_tf.models.feature_model import FEATURE_LAYER, features
from nngp_tf.models.mnas_network import MnasNetwork
from nngp_tf.models.nasbench101_network import Nasbench101Network


@dataclasses.dataclass(frozen=True)
class Network:
    """A network as `step.make_step` takes it.

    Attributes:
      family: Makes its program.
      inputs: What tells it from the others of its family.
      make_step: From a `StepSpec` to a step.
      compute_dtype: The coarsest precision in which it computes.
    """

    family: Any
    inputs: Any
    make_step: Callable
    compute_dtype: str


def model_input(model: keras.Model | Nasbench101Network | MnasNetwork) -> arguments.ModelInput:
    """Return what a model or network takes, as far as it says.

    Raises:
      ValueError: If it takes several inputs.
    """
    if isinstance(model, Nasbench101Network | MnasNetwork):
        return arguments.ModelInput(model.input_shape, "float32")
    if not isinstance(model, keras.Model):
        return arguments.ModelInput()
    layers = model._flatten_layers(include_self=False)
    has_embedding = any(isinstance(layer, keras.layers.Embedding) for layer in layers)
    # Subclassed models have no symbolic inputs.
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return arguments.ModelInput(takes_tokens=has_embedding)
    if len(inputs) > 1:
        raise ValueError(
            f"model {model.name!r} has {len(inputs)} inputs, expected one: wrap it in a model of "
            "one"
        )
    shape = tuple(inputs[0].shape)[1:]
    # Keras takes tokens [N, T] as floating point too where nothing else is said.
    return arguments.ModelInput(shape, inputs[0].dtype, has_embedding and len(shape) == 1)


def resolve(
    model: keras.Model | Nasbench101Network | MnasNetwork,
    images: np.ndarray,
    feature_layer: str | None,
    batch_norm: str | None,
    compute_dtype: str,
    strategy: tf.distribute.Strategy,
    weights: str = "drawn",
    is_strict: bool = True,
    warns: bool = True,
) -> Network:
    """Find the program of a model or network; arguments as of `monte_carlo.running_kernels`.

    Where not `is_strict`, a model that cannot be copied to compute in `compute_dtype` computes in
    its own precision.

    Raises:
      ValueError: If the model does not take the images, has no such layer, or cannot be drawn.
    """
    batch_norm = resolve_batch_norm(batch_norm, weights)
    if isinstance(model, Nasbench101Network | MnasNetwork):
        if feature_layer != FEATURE_LAYER:
            raise ValueError(
                f"feature_layer of a {type(model).__name__} must be {FEATURE_LAYER!r}, got "
                f"{feature_layer!r}: build() its model to take another layer"
            )
        if weights == "as_given":
            raise ValueError(
                f"a {type(model).__name__} has no weights yet that could be taken as given: "
                "build() its model, load or train that, and pass it"
            )
        if compute_dtype != "float64":
            return _shared(model, batch_norm, compute_dtype, strategy)
        model = model.build(compute_dtype)
    model = features(model, feature_layer)
    _check_built(model)
    _check_data_format(model, images.shape[1:])
    if weights == "drawn" and warns:
        _warn_of_trained_weights(model)
    try:
        model = precision.in_compute_dtype(model, compute_dtype)
    except ValueError as error:
        if is_strict:
            raise
        compute_dtype = precision.coarsest(model)
        logging.warning("features in the model's own precision: %s", error)
    if precision.device_type(strategy) == "CPU":
        _check_runs_channels_first(model, images)
    program = FeatureProgram(model, batch_norm, compute_dtype, weights)
    # Counts of one layout share a step; it ends with the estimate, as nothing else can use it.
    return Network(program, program.inputs, functools.cache(make_step), compute_dtype)


def _shared(network, batch_norm, dtype, strategy):
    """Return a network of a search space, on the programs that all of them share."""
    if isinstance(network, Nasbench101Network):
        inputs = tf.nest.map_structure(tf.constant, cell_layout.encode(network))
        return Network(CellFamily.of(network, batch_norm, dtype), inputs, shared_step, dtype)
    static = has_static_shapes(precision.device_type(strategy))
    kinds, inputs = zip(*mnas_layout.encode(network, static), strict=True)
    inputs = tf.nest.map_structure(tf.constant, inputs)
    make_step = functools.partial(MnasStep, kinds)
    return Network(MnasFamily(batch_norm, dtype), inputs, make_step, dtype)


def _warn_of_trained_weights(model):
    path = WeightSampler(model).trained_variable()
    if path is not None:
        logging.warning(
            "the weights of model %r are trained or loaded (%s is no fresh draw), but the kernel "
            'is of weights drawn anew: pass weights="as_given" for that of the weights it has',
            model.name,
            path,
        )


def _check_built(model):
    if not model.built:
        raise ValueError(
            f"model {model.name!r} is not built, so it has no variables to draw: call it once on a "
            "batch"
        )


def _channels_first(model):
    """List the layers that take channels first."""
    layers = model._flatten_layers(include_self=False)
    return [x for x in layers if getattr(x, "data_format", None) == "channels_first"]


def _check_data_format(model, shape):
    """Refuse a model that takes images of a common kind, channels last, for channels first.

    It is what Keras builds without a word where its configuration says channels first. An image of
    more than four channels and at most four columns is not meant.
    """
    if len(shape) < 3 or shape[-1] not in (1, 3, 4) or min(shape[:-1]) <= 4:
        return
    for layer in _channels_first(model):
        if isinstance(layer, keras.layers.Flatten):
            # Another order of the same numbers.
            continue
        built = (layer.get_build_config() or {}).get("input_shape") or ()
        # Layers behind others that keep the shape read the images too.
        if tuple(built[1:]) == tuple(shape):
            raise ValueError(
                f"layer {layer.name!r} takes the images, {list(shape)}, channels first, as "
                f"{shape[0]} channels of {' x '.join(map(str, shape[1:]))}: build the model with "
                "data_format='channels_last', or in a Keras configured so"
            )


def _check_runs_channels_first(model, images):
    """Run one image where some CPUs lack the operations."""
    layers = _channels_first(model)
    if not layers:
        return
    try:
        # Where there is a GPU, it is not to stand in.
        with tf.device("/cpu:0"):
            model(np.asarray(images[:1], np.float32), training=False)
    except tf.errors.OpError as error:
        raise ValueError(
            f"layer {layers[0].name!r} takes channels first, which this CPU does not compute "
            f"({said_by_layer(error)}): build the model with data_format='channels_last'"
        ) from error
