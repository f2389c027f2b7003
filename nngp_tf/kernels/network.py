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
from nngp_tf.kernels.features import FeatureProgram, check_batch_norm
from nngp_tf.kernels.mnas_layer import MnasFamily
from nngp_tf.kernels.mnas_programs import has_static_shapes
from nngp_tf.kernels.mnas_step import MnasStep
from nngp_tf.kernels.step import make_step, shared_step
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


def resolve(
    model: keras.Model | Nasbench101Network | MnasNetwork,
    images: np.ndarray,
    feature_layer: str | None,
    batch_norm: str,
    compute_dtype: str,
    strategy: tf.distribute.Strategy,
    is_strict: bool = True,
) -> Network:
    """Find the program of a model or network; arguments as of `monte_carlo.running_kernels`.

    Where not `is_strict`, a model that cannot be copied to compute in `compute_dtype` computes in
    its own precision.

    Raises:
      ValueError: If the model does not take the images, has no such layer, or cannot be drawn.
    """
    check_batch_norm(batch_norm)
    if isinstance(model, Nasbench101Network | MnasNetwork):
        if feature_layer != FEATURE_LAYER:
            raise ValueError(
                f"feature_layer of a {type(model).__name__} must be {FEATURE_LAYER!r}, got "
                f"{feature_layer!r}: build() its model to take another layer"
            )
        arguments.check_input_shape(model.input_shape, images)
        if compute_dtype != "float64":
            return _shared(model, batch_norm, compute_dtype, strategy)
        model = model.build(compute_dtype)
    model = features(model, feature_layer)
    _check_inputs(model, images)
    try:
        model = precision.in_compute_dtype(model, compute_dtype)
    except ValueError as error:
        if is_strict:
            raise
        compute_dtype = precision.coarsest(model)
        logging.warning("features in the model's own precision: %s", error)
    output_dtype = "float64" if compute_dtype == "float64" else "float32"
    program = FeatureProgram(model, batch_norm, output_dtype)
    # Counts of one layout share a step; it ends with the estimate, as nothing else can use it.
    return Network(program, (), functools.cache(make_step), compute_dtype)


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
