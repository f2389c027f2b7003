"""NNGP inference over a list of architectures, into a run directory.

for each architecture without a row: build -> Monte-Carlo kernel -> scan of regularisers -> row
"""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from nngp_tf import version
from nngp_tf.data.images import ImageData
from nngp_tf.gaussian_process import Scan, scan_diag_reg
from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.runs import progress
from nngp_tf.runs.store import RunDirectory


@dataclasses.dataclass(frozen=True)
class KernelSettings:
    """How kernels are estimated; see `nngp_tf.kernels.running_kernels`."""

    num_inits: int
    seed: int
    batch_norm: str
    compute_dtype: str
    batch_size: int | None = None
    calibration_size: int | None = None


def infer(
    architecture: Any,
    build: Callable[[Any], keras.Model],
    images: ImageData,
    settings: KernelSettings,
    strategy: tf.distribute.Strategy | None = None,
) -> dict[str, Any]:
    """Return the row of one architecture.

    Args:
      architecture: A value with `key` and `text`.
      build: Makes its model, with a layer named "features".
      images: Training and test images.
      settings: Of the kernel.
      strategy: Where to compute; None for the current one.

    Returns:
      A dictionary of JSON's types: key, architecture, status, error, seconds, seconds_by_phase,
      parameters, num_inits, batch_norm, compute_dtype, kernel_spread, scan.
    """
    start = time.perf_counter()
    model = build(architecture)
    parameters = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    built = time.perf_counter()
    width = model.get_layer("features").output.shape[-1]
    kernel = monte_carlo_kernel(
        model,
        images.x_train,
        images.x_test,
        strategy=strategy,
        # With features, a kernel of low rank is factorised in the smaller space.
        keep_features=settings.num_inits * width < len(images.x_train),
        **dataclasses.asdict(settings),
    )
    estimated = time.perf_counter()
    scan = scan_diag_reg(kernel, images.y_train, images.y_test, images.num_classes)
    solved = time.perf_counter()
    all_failed = bool(scan.failed.all())
    return {
        "key": architecture.key,
        "architecture": architecture.text,
        "status": "failed" if all_failed else "ok",
        "error": "the kernel fails at every regulariser" if all_failed else None,
        "seconds": solved - start,
        "seconds_by_phase": {
            "build": built - start,
            "kernel": estimated - built,
            "solve": solved - estimated,
        },
        "parameters": parameters,
        "num_inits": settings.num_inits,
        "batch_norm": settings.batch_norm,
        "compute_dtype": settings.compute_dtype,
        "kernel_spread": None if np.isnan(kernel.spread) else kernel.spread,
        "scan": scan.to_json(),
    }


def run_inference(
    architectures: Iterable[Any],
    build: Callable[[Any], keras.Model],
    images: ImageData,
    settings: KernelSettings,
    directory: RunDirectory,
    strategy: tf.distribute.Strategy | None = None,
) -> list[dict[str, Any]]:
    """Evaluate the architectures that have no row yet, and append their rows.

    Args:
      architectures: Values with `key` and `text`, each key once.
      build: See `infer`.
      images: See `infer`.
      settings: See `infer`.
      directory: Where the rows go.
      strategy: See `infer`.

    Returns:
      The rows of all the architectures, in their order.
    """
    architectures = list(architectures)
    todo = [a for a in architectures if a.key not in directory.rows]
    done = len(architectures) - len(todo)
    if done:
        logging.info("%s holds %d of %d architectures", directory.path, done, len(architectures))
    with progress.bar(len(architectures), done, "NNGP") as bar:
        for architecture in todo:
            row = infer(architecture, build, images, settings, strategy)
            directory.append(row)
            bar.update()
            logging.info(
                "%s: accuracy %.4f, leave-one-out %.4f, %d parameters, %.2f s",
                row["key"],
                score(row, "test_accuracy"),
                score(row, "loo_accuracy"),
                row["parameters"],
                row["seconds"],
            )
    return [directory.rows[a.key] for a in architectures]


def score(row: Mapping[str, Any], criterion: str) -> float:
    """Return the best value of a criterion in the row's scan; NaN where all of it failed."""
    return float(Scan.from_json(row["scan"]).best(criterion))


def about(strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """Versions and devices, recorded with a run."""
    return {
        "versions": {
            "nngp_tf": version.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
        "replicas": strategy.num_replicas_in_sync,
        "devices": [device.name for device in tf.config.list_logical_devices()],
    }
