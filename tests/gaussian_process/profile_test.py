"""Leave-one-out of several kernels of the same features."""

import json

import numpy as np
import pytest

from nngp_tf.gaussian_process import Scan, profile, scan_diag_reg
from nngp_tf.kernels import transforms

pytestmark = pytest.mark.fast

LABELS = np.arange(30) % 3


@pytest.fixture
def features():
    """Features that tell the classes apart, more or less."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 8))
    return np.abs(centres[LABELS] + 0.5 * rng.normal(size=(2, 30, 8))) + 5.0


def test_each_kernel_is_scanned(features):
    assert list(profile(features, LABELS, 3)) == ["plain", "standardised", "arc_cosine"]
    found = profile(features, LABELS, 3, transforms.KERNELS)
    assert list(found) == list(transforms.KERNELS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for name, entry in found.items():
        kernel = transforms.transformed(features, name)
        expected = scan_diag_reg(kernel, LABELS, num_classes=3).to_json()
        assert entry["scan"] == expected
        assert Scan.from_json(entry["scan"]).best("loo_accuracy") > 0.8
        eigenvalues = np.linalg.eigvalsh(kernel.train_train)
        np.testing.assert_allclose(
            entry["spectrum"]["participation_ratio"],
            np.sum(eigenvalues) ** 2 / np.sum(np.square(eigenvalues)),
        )


def test_some_kernels(features):
    both = profile(features, LABELS, 3, ["arc_cosine", "plain"])
    assert list(both) == ["arc_cosine", "plain"]
    assert both["plain"] == profile(features, LABELS, 3)["plain"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_what_is_not_finite_fails(features, bad):
    features[1, 3] = bad
    found = profile(features, LABELS, 3, ["plain"])["plain"]
    assert all(found["scan"]["failed"])
    assert set(found["spectrum"].values()) == {None}


def test_bad_input(features):
    with pytest.raises(ValueError, match=r"must be \[M, 29, C\] for 29 labels, got \[2, 30, 8\]"):
        profile(features, LABELS[:29], 3)
    with pytest.raises(ValueError, match="kernel must be one of plain"):
        profile(features, LABELS, 3, ["polynomial"])
    with pytest.raises(ValueError, match="labels"):
        profile(features, LABELS, 2)
