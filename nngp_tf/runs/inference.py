"""NNGP inference over a list of architectures, into a run directory.

for each network without a row: Monte-Carlo kernel -> scan of regularisers -> row
"""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from nngp_tf import version
from nngp_tf.data.images import ImageData
from nngp_tf.gaussian_process import Scan, scan_diag_reg
from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.models import Nasbench101Network
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
    network: Nasbench101Network,
    images: ImageData,
    settings: KernelSettings,
    strategy: tf.distribute.Strategy | None = None,
) -> dict[str, Any]:
    """Return the row of one architecture.

    Args:
      network: What the kernel is of.
      images: Training and test images.
      settings: Of the kernel.
      strategy: Where to compute; None for the current one.

    Returns:
      A dictionary of JSON's types: key, architecture, status, error, seconds, seconds_by_phase,
      parameters, num_inits, batch_norm, compute_dtype, kernel_spread, scan.
    """
    start = time.perf_counter()
    kernel = monte_carlo_kernel(
        network,
        images.x_train,
        images.x_test,
        strategy=strategy,
        # With features, a kernel of low rank is factorised in the smaller space.
        keep_features=settings.num_inits * network.num_features < len(images.x_train),
        **dataclasses.asdict(settings),
    )
    estimated = time.perf_counter()
    scan = scan_diag_reg(kernel, images.y_train, images.y_test, images.num_classes)
    solved = time.perf_counter()
    all_failed = bool(scan.failed.all())
    return {
        "key": network.key,
        "architecture": network.text,
        "status": "failed" if all_failed else "ok",
        "error": "the kernel fails at every regulariser" if all_failed else None,
        "seconds": solved - start,
        "seconds_by_phase": {
            "kernel": estimated - start,
            "solve": solved - estimated,
        },
        "parameters": network.trainable_parameters,
        "num_inits": settings.num_inits,
        "batch_norm": settings.batch_norm,
        "compute_dtype": settings.compute_dtype,
        # Undefined for one initialisation; sums of squares may overflow where the kernel does not.
        "kernel_spread": kernel.spread if np.isfinite(kernel.spread) else None,
        "scan": scan.to_json(),
    }


def run_inference(
    networks: Iterable[Nasbench101Network],
    images: ImageData,
    settings: KernelSettings,
    directory: RunDirectory,
    strategy: tf.distribute.Strategy | None = None,
) -> list[dict[str, Any]]:
    """Evaluate the networks that have no row yet, and append their rows.

    Args:
      networks: Each key once.
      images: See `infer`.
      settings: See `infer`.
      directory: Where the rows go.
      strategy: See `infer`.

    Returns:
      The rows of all the networks, in their order.
    """
    networks = list(networks)
    todo = [network for network in networks if network.key not in directory.rows]
    done = len(networks) - len(todo)
    if done:
        logging.info("%s holds %d of %d architectures", directory.path, done, len(networks))
    with progress.bar(len(networks), done, "NNGP") as bar:
        for network in todo:
            row = infer(network, images, settings, strategy)
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
    return [directory.rows[network.key] for network in networks]


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
