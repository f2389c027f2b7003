"""Accuracy is not traded for speed: bfloat16 ranks cells as float32 does, within what seeds do."""

import numpy as np
import pytest

from nngp_tf.analysis import metrics
from nngp_tf.data.images import load_images
from nngp_tf.gaussian_process import scan_diag_reg
from nngp_tf.kernels import cell_layout, monte_carlo_kernel
from nngp_tf.models import Nasbench101Network
from nngp_tf.search_spaces import nasbench101

pytestmark = pytest.mark.slow

NUM_CELLS = 30


def cells():
    """Random cells of one family, so that one program is made a dtype."""
    rng = np.random.default_rng(0)
    found = {}
    while len(found) < NUM_CELLS:
        cell = nasbench101.sample(rng)
        network = Nasbench101Network(cell, stem_filters=16, modules_per_stack=1)
        if cell_layout.num_feeders(network) == 2:
            found.setdefault(cell.key, network)
    return list(found.values())


def scores(networks, images, dtype, seed):
    """Leave-one-out and test log densities of each network: what ties least."""
    found = []
    for network in networks:
        kernel = monte_carlo_kernel(
            network, images.x_train, images.x_test, 2, seed=seed, compute_dtype=dtype
        )
        scan = scan_diag_reg(kernel, images.y_train, images.y_test, images.num_classes)
        found.append([-scan.best("loo_nll"), -scan.best("test_nll")])
    return np.array(found).T


def test_ranks_agree_within_what_another_seed_changes():
    images = load_images("digits", 100, 60)
    networks = cells()
    exact = scores(networks, images, "float32", 0)
    rounded = scores(networks, images, "bfloat16", 0)
    reseeded = scores(networks, images, "float32", 1)
    for one, two, other in zip(exact, rounded, reseeded, strict=True):
        by_rounding = float(metrics.kendall_tau(one, two))
        by_seed = float(metrics.kendall_tau(one, other))
        assert by_rounding > by_seed
        assert by_rounding > 0.9
