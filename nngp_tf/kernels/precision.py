"""Which precision features are computed in, by device."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import keras
import tensorflow as tf
from absl import logging

from nngp_tf.kernels import layer_copies

COMPUTE_DTYPES = ("float32", "bfloat16", "float16", "float64")
# From 1 to the next larger number.
SPACING = {"float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10, "float64": 2.0**-52}
# The first of NVIDIA's that multiplies float32 as TF32.
_TF32_CAPABILITY = (8, 0)
_BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")


def default_compute_dtype(strategy: tf.distribute.Strategy | None = None) -> str:
    """Return the dtype in which the device runs convolutions best.

    "bfloat16" on TPU, and on a CPU whose flags name bfloat16 units (AMX, or AVX-512 with its
    bfloat16 extension), where oneDNN uses them; "float32" on everything else.
    """
    device = device_type(strategy)
    if device == "TPU":
        return "bfloat16"
    if device == "CPU":
        flags = [flag for flag in _BFLOAT16_FLAGS if flag in _cpu_flags()]
        dtype = "bfloat16" if flags else "float32"
        logging.info("features in %s: CPU bfloat16 units: %s", dtype, ", ".join(flags) or "none")
        return dtype
    return "float32"


def compute_dtypes(
    asked: str | Sequence[str] | None, strategy: tf.distribute.Strategy | None = None
) -> tuple[str, ...]:
    """Return the precisions to try in turn, until one tells the images apart.

    Args:
      asked: One or several; None for the device's default and then, where that is a half
        precision, "float32".
      strategy: Tells the device.

    Raises:
      ValueError: If one is not of `COMPUTE_DTYPES`, or there is none.
    """
    if asked is None:
        return tuple(dict.fromkeys((default_compute_dtype(strategy), "float32")))
    asked = tuple(asked) if isinstance(asked, list | tuple) else (asked,)
    if not asked:
        raise ValueError(f"compute_dtype must be one of {', '.join(COMPUTE_DTYPES)}, got none")
    return tuple(check_compute_dtype(dtype) for dtype in asked)


def spacing(compute_dtype: str, device_type: str) -> float:
    """Return from 1 to the next larger number among the factors of a device's products.

    They are those of the compute dtype, save where `tf.config.experimental` leaves "TensorFloat-32
    execution" enabled, as is the default: then a GPU from NVIDIA's Ampere on rounds factors in
    float32 to TF32, of float16's digits, and a TPU to bfloat16.

    Args:
      compute_dtype: One of `COMPUTE_DTYPES`.
      device_type: "CPU", "GPU" or "TPU".
    """
    if compute_dtype == "float32" and tf.config.experimental.tensor_float_32_execution_enabled():
        if device_type == "TPU":
            compute_dtype = "bfloat16"
        if device_type == "GPU" and all(map(_has_tf32, tf.config.list_physical_devices("GPU"))):
            compute_dtype = "float16"
    return SPACING[compute_dtype]


def device_type(strategy: tf.distribute.Strategy | None = None) -> str:
    """Where the replicas of a strategy run: "TPU", "GPU" or "CPU"."""
    strategy = strategy or tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return "TPU"
    try:
        first = strategy.extended.worker_devices[0]
    except RuntimeError:
        # The default strategy names no device: TensorFlow places operations on a GPU if it has one.
        return "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return tf.DeviceSpec.from_string(first).device_type


def check_compute_dtype(dtype: str) -> str:
    """Return a valid compute dtype's name.

    Raises:
      ValueError: If it is not one of `COMPUTE_DTYPES`.
    """
    if dtype not in COMPUTE_DTYPES:
        raise ValueError(f"compute_dtype must be one of {', '.join(COMPUTE_DTYPES)}, got {dtype!r}")
    return dtype


def policy_name(compute_dtype: str) -> str:
    """Return the Keras policy of a compute dtype, with variables in float32 or better."""
    low = check_compute_dtype(compute_dtype) in ("bfloat16", "float16")
    return f"mixed_{compute_dtype}" if low else compute_dtype


def coarsest(model: keras.Model) -> str:
    """Return the compute dtype of fewest digits among the layers with weights."""
    layers = model._flatten_layers(include_self=False)
    dtypes = [x.compute_dtype for x in layers if x.weights] or [model.compute_dtype]
    return max(dtypes, key=SPACING.get)


def in_compute_dtype(model: keras.Model, compute_dtype: str) -> keras.Model:
    """Return the model if its weights compute in this dtype, else a twin of the same values.

    Raises:
      ValueError: If the twin cannot be made, as for a subclassed or a quantised model, or would
        lack something of the model.
    """
    layers = model._flatten_layers(include_self=False)
    with_weights = [x for x in layers if x.weights and not isinstance(x, keras.Model)]
    if all(layer.compute_dtype == compute_dtype for layer in with_weights):
        return model
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"a model of class {type(model).__name__} cannot be copied to compute in "
            f"{compute_dtype}: build it under that dtype policy, or pass the compute_dtype it has"
        )

    if (quantised := layer_copies.quantisation(model)) is not None:
        raise ValueError(
            f"model {model.name!r} cannot be copied to compute in {compute_dtype} ({quantised}): "
            "pass the model as it was before quantisation, or the compute_dtype it has"
        )

    last = model.layers[-1]
    while isinstance(last, keras.Model) and last.layers:
        last = last.layers[-1]
    policy = policy_name(compute_dtype)
    compute_of_last = "float64" if compute_dtype == "float64" else "float32"

    copies = {}

    def copied(layer):
        if id(layer) not in copies:
            is_graph = isinstance(layer, keras.Model) and getattr(layer, "inputs", None)
            copies[id(layer)] = (twin_of if is_graph else with_policy)(layer)
        return copies[id(layer)]

    def twin_of(graph):
        # Not by Keras' own recursion, which leaves inputs, those between the models too, in
        # float32.
        given = (getattr(graph, "_functional", None) or graph).input
        inputs = keras.tree.map_structure(with_dtype, given)
        return keras.models.clone_model(graph, input_tensors=inputs, clone_function=copied)

    def with_dtype(given):
        is_wide = compute_dtype == "float64" and tf.as_dtype(given.dtype).is_floating
        dtype = "float64" if is_wide else given.dtype
        return keras.Input(batch_shape=given.shape, dtype=dtype, name=given.name)

    def with_policy(layer):
        if isinstance(layer, keras.layers.Lambda):
            # Without variables, and its function cannot be made anew from a configuration.
            return layer
        if not isinstance(layer, keras.layers.Layer):
            # One of `keras.ops`, which has no dtype.
            return type(layer).from_config(layer.get_config())
        # A pool that gives the features adds up many numbers: it keeps their digits.
        is_pool = layer is last and not layer.weights
        return layer_copies.made_anew(layer, dtype=compute_of_last if is_pool else policy)

    try:
        twin = twin_of(model)
        layer_copies.complete(model, twin)
        return twin
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"model {model.name!r} cannot be copied to compute in {compute_dtype} "
            f"({textwrap.shorten(str(error), 200)}): build it under that dtype policy, or pass the "
            "compute_dtype it has"
        ) from error


def _has_tf32(gpu):
    details = tf.config.experimental.get_device_details(gpu)
    return details.get("compute_capability", _TF32_CAPABILITY) >= _TF32_CAPABILITY


def _cpu_flags():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
            return next((line.split() for line in cpuinfo if line.startswith("flags")), [])
    except OSError:
        return []
