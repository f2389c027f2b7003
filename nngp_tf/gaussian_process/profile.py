"""Everything that leave-one-out says of a network's features: the profile of the network.

for each kernel of the features: one factorisation -> scan of regularisers, spectrum

No image is held out, so all of them count twice: each is predicted, and helps to predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nngp_tf.data.labels import centred_one_hot, check_labels, count_classes
from nngp_tf.gaussian_process.regression import DIAG_REGS, Regression, scan_regression
from nngp_tf.gaussian_process.scan import Scan
from nngp_tf.gaussian_process.spectrum import Spectrum
from nngp_tf.kernels import transforms


def profile(
    features: np.ndarray,
    labels: np.ndarray,
    num_classes: int | None = None,
    kernels: Sequence[str] = transforms.DEFAULT_KERNELS,
) -> dict[str, dict[str, Any]]:
    """Scan leave-one-out of each kernel of the features.

    Args:
      features: z [M, N, C] of N images, such as `MonteCarloKernel.features`.
      labels: Integers [N], 0 <= label < num_classes.
      num_classes: Classes; one more than the largest label unless given.
      kernels: Names in `nngp_tf.kernels.transforms.KERNELS`.

    Returns:
      For each kernel {"scan": ..., "spectrum": ...} of JSON's types; all has failed where a feature
      is not finite.

    Raises:
      ValueError: For labels that do not fit, or an unknown kernel.
    """
    if num_classes is None:
        num_classes = count_classes(labels=labels)
    labels = check_labels("labels", labels, num_classes)
    if features.ndim != 3 or features.shape[1] != len(labels):
        raise ValueError(
            f"features must be [M, {len(labels)}, C] for {len(labels)} labels, got "
            f"{list(features.shape)}"
        )
    targets = centred_one_hot(labels, num_classes)
    return {name: _one(features, targets, name) for name in kernels}


def _one(features, targets, name):
    scan, spectrum = Scan.failing(DIAG_REGS), Spectrum.undefined()
    if np.isfinite(features).all():
        with np.errstate(over="ignore", invalid="ignore"):
            kernel = transforms.transformed(features, name)
        if np.isfinite(kernel.train_train).all():
            regression = Regression(kernel, targets)
            scan = scan_regression(regression, targets)
            spectrum = regression.spectrum()
    return {"scan": scan.to_json(), "spectrum": spectrum.to_json()}
