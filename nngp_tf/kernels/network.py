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
from nngp_tf.kernels.step import make_step, shared_step
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
    """

    family: Any
    inputs: Any
    make_step: Callable


def resolve(
    model: keras.Model | Nasbench101Network | MnasNetwork,
    images: np.ndarray,
    feature_layer: str | None,
    batch_norm: str | None,
    compute_dtype: str | None,
    strategy: tf.distribute.Strategy,
    weights: str = "drawn",
) -> Network:
    """Find the program of a model or network; arguments as of `monte_carlo.running_kernels`.

    Raises:
      ValueError: If the model does not take the images, has no such layer, or cannot be drawn.
    """
    batch_norm = resolve_batch_norm(batch_norm, weights)
    dtype = compute_dtype or precision.default_compute_dtype(strategy)
    precision.check_compute_dtype(dtype)
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
        arguments.check_input_shape(model.input_shape, images)
        if dtype != "float64":
            return _shared(model, batch_norm, dtype, strategy)
        model = model.build(dtype)
    model = features(model, feature_layer)
    _check_inputs(model, images)
    if weights == "drawn":
        _warn_of_trained_weights(model)
    try:
        model = precision.in_compute_dtype(model, dtype)
    except ValueError as error:
        if compute_dtype is not None:
            raise
        logging.warning("features in the model's own precision: %s", error)
    output_dtype = "float64" if dtype == "float64" else "float32"
    program = FeatureProgram(model, batch_norm, output_dtype, weights)
    # Counts of one layout share a step; it ends with the estimate, as nothing else can use it.
    return Network(program, program.inputs, functools.cache(make_step))


def _shared(network, batch_norm, dtype, strategy):
    """Return a network of a search space, on the programs that all of them share."""
    if isinstance(network, Nasbench101Network):
        inputs = tf.nest.map_structure(tf.constant, cell_layout.encode(network))
        return Network(CellFamily.of(network, batch_norm, dtype), inputs, shared_step)
    static = has_static_shapes(precision.device_type(strategy))
    kinds, inputs = zip(*mnas_layout.encode(network, static), strict=True)
    inputs = tf.nest.map_structure(tf.constant, inputs)
    return Network(MnasFamily(batch_norm, dtype), inputs, functools.partial(MnasStep, kinds))


def _warn_of_trained_weights(model):
    path = WeightSampler(model).trained_variable()
    if path is not None:
        logging.warning(
            "the weights of model %r are trained or loaded (%s is no fresh draw), but the kernel "
            'is of weights drawn anew: pass weights="as_given" for that of the weights it has',
            model.name,
            path,
        )


def _check_inputs(model, images):
    if not model.built:
        raise ValueError(
            f"model {model.name!r} is not built, so it has no variables to draw: call it once on a "
            "batch of images"
        )
    inputs = getattr(model, "inputs", None) or [None]
    if len(inputs) > 1:
        raise ValueError(
            f"model {model.name!r} has {len(inputs)} inputs, expected one, the images: wrap it in "
            "a model of one"
        )
    if inputs[0] is not None:
        arguments.check_input_shape(tuple(inputs[0].shape), images)
