"""NNGP inference over a list of architectures, into a run directory.

for each network without a row: Monte-Carlo kernel -> scan of regularisers -> row
"""

from __future__ import annotations

import dataclasses
import platform
import time
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from nngp_tf import version
from nngp_tf.data.images import ImageData
from nngp_tf.gaussian_process import Scan, profile, scan_diag_reg
from nngp_tf.kernels import UnresolvedKernelWarning, running_kernels
from nngp_tf.runs import failures, files, progress, rescoring
from nngp_tf.runs.networks import Network
from nngp_tf.runs.store import RunDirectory


@dataclasses.dataclass(frozen=True)
class KernelSettings:
    """How kernels are estimated; see `nngp_tf.kernels.running_kernels`."""

    num_inits: int
    seed: int
    batch_norm: str
    compute_dtype: str | tuple[str, ...]
    batch_size: int | None = None
    calibration_size: int | None = None


@dataclasses.dataclass(frozen=True)
class Extras:
    """What a run reports besides the scan, to study scores by.

    Attributes:
      report_inits: Smaller numbers of initialisations, increasing, at which to scan as well.
      leave_one_out: Kernels of which leave-one-out is scanned over training and test images
        together; see `nngp_tf.gaussian_process.profile`.
      features_dir: Where features [M, N + T, C] are kept, float32, KEY.npy each; None for nowhere.
    """

    report_inits: tuple[int, ...] = ()
    leave_one_out: tuple[str, ...] = ()
    features_dir: str | None = None


def infer(
    network: Network,
    images: ImageData,
    settings: KernelSettings,
    strategy: tf.distribute.Strategy | None = None,
    extras: Extras = Extras(),
) -> dict[str, Any]:
    """Return the row of one architecture.

    Args:
      network: What the kernel is of.
      images: Training and test images.
      settings: Of the kernel.
      strategy: Where to compute; None for the current one.
      extras: What is reported besides.

    Returns:
      A dictionary of JSON's types: key, architecture, status, error, seconds, seconds_by_phase,
      parameters, multiply_adds (of one image), num_images, num_inits, batch_norm, compute_dtype,
      kernel_spread, varying_share, rounding_share, scan; and, as `extras` ask for them,
      scans_by_inits (from the number as text to a scan, where that kernel is resolved) and
      leave_one_out (from kernels to scan and spectrum). An unresolved kernel gives a failed row,
      without any score.
    """
    start = time.perf_counter()
    with warnings.catch_warnings():
        # The row says it.
        warnings.simplefilter("ignore", UnresolvedKernelWarning)
        *smaller, kernel = running_kernels(
            network,
            images.x_train,
            images.x_test,
            strategy=strategy,
            # With features, a kernel of low rank is factorised in the smaller space.
            keep_features=settings.num_inits * network.num_features < len(images.x_train)
            or bool(extras.leave_one_out)
            or extras.features_dir is not None,
            **dataclasses.asdict(settings)
            | {"num_inits": (*extras.report_inits, settings.num_inits)},
        )
    estimated = time.perf_counter()
    about_kernel = {
        "num_images": len(images.x_train) + len(images.x_test),
        "num_inits": settings.num_inits,
        "batch_norm": settings.batch_norm,
        "compute_dtype": kernel.compute_dtype,
        # Undefined for one initialisation; sums of squares may overflow where the kernel does not.
        "kernel_spread": _finite(kernel.spread),
        "varying_share": _finite(kernel.varying_share),
        "rounding_share": _finite(kernel.rounding_share),
    }
    if not kernel.is_resolved:
        return failures.row_without_score(
            network, about_kernel, kernel.unresolved_reason, estimated - start
        )

    def scan_of(kernel):
        return scan_diag_reg(kernel, images.y_train, images.y_test, images.num_classes)

    scan = scan_of(kernel)
    solved = time.perf_counter()
    all_failed = bool(scan.failed.all())
    row = {}
    if smaller:
        resolved = [k for k in smaller if k.is_resolved]
        row["scans_by_inits"] = {str(k.num_inits): scan_of(k).to_json() for k in resolved}
    if extras.leave_one_out:
        row["leave_one_out"] = profile(
            kernel.features,
            np.concatenate([images.y_train, images.y_test]),
            images.num_classes,
            extras.leave_one_out,
        )
    if extras.features_dir is not None:
        rescoring.save_features(extras.features_dir, network.key, kernel.features)
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
        "multiply_adds": network.multiply_adds,
        **about_kernel,
        "scan": scan.to_json(),
        **row,
    }


def run_inference(
    networks: Iterable[Network],
    images: ImageData,
    settings: KernelSettings,
    directory: RunDirectory,
    strategy: tf.distribute.Strategy | None = None,
    extras: Extras = Extras(),
    retry_failed: bool = False,
) -> list[dict[str, Any]]:
    """Evaluate the networks that have no row yet, and append their rows.

    An exception at one of them is recorded as a failed row, and the run goes on.

    Args:
      networks: Each key once.
      images: See `infer`.
      settings: See `infer`.
      directory: Where the rows go.
      strategy: See `infer`.
      extras: See `infer`.
      retry_failed: Whether networks that failed before are evaluated again.

    Returns:
      The rows of all the networks, in their order.

    Raises:
      ValueError: If the first network of a new run cannot be evaluated with these settings.
      RunEndedError: If rows cannot be written, another process has taken the directory over, a
        worker of the strategy is lost, or networks fail one after the other.
    """
    networks = list(networks)
    if retry_failed and (failed := directory.discard_failed()):
        logging.info("%s: %d failed architectures are tried again", directory.path, failed)
    directory.expect(len(networks))
    todo = [network for network in networks if network.key not in directory.rows]
    done = len(networks) - len(todo)
    if done:
        logging.info("%s holds %d of %d architectures", directory.path, done, len(networks))
    if extras.features_dir is not None:
        files.make_directory(extras.features_dir)
        labels = np.concatenate([images.y_train, images.y_test])
        rescoring.save_labels(extras.features_dir, labels, images.num_classes)
    series = failures.Series()
    with progress.bar(len(networks), done, "NNGP") as bar:
        for index, network in enumerate(todo):
            start = time.perf_counter()
            try:
                row = infer(network, images, settings, strategy, extras)
            except Exception as error:
                failures.check(error)
                # Settings that suit no network show at the first of a run.
                if index == done == 0 and isinstance(error, ValueError):
                    raise
                seconds = time.perf_counter() - start
                row = failures.failed_row(network, recorded(settings), error, seconds)
            if row["status"] == "failed":
                logging.warning("%s failed: %s", row["key"], row["error"])
            directory.append(row)
            series.add(row)
            bar.update()
            logging.info(
                "%s: accuracy %.4f, leave-one-out %.4f, %d parameters, %.2f s",
                row["key"],
                score(row, "test_accuracy"),
                score(row, "loo_accuracy"),
                row["parameters"],
                row["seconds"],
            )
    return directory.rows.of(network.key for network in networks)


def _finite(value):
    return value if np.isfinite(value) else None


def recorded(settings: KernelSettings) -> dict[str, Any]:
    """Return what the row of a network without a kernel says of the settings."""
    names = ("num_inits", "batch_norm", "compute_dtype")
    return {name: getattr(settings, name) for name in names}


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
