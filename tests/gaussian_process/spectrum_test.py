"""What is read off a spectrum."""

import json
import math

import numpy as np
import pytest

from nngp_tf.gaussian_process.spectrum import Spectrum

pytestmark = pytest.mark.fast


def test_by_hand():
    targets = np.array([[1.0, -1.0], [-1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    spectrum = Spectrum.of(np.full(4, 2.0), targets, targets)
    assert math.isclose(spectrum.effective_rank, 4.0)
    assert math.isclose(spectrum.participation_ratio, 4.0)
    assert math.isclose(spectrum.log_mean, math.log(2.0))
    # <2 I, Y Y^T> = 2 * 4; the norms are 2 * 2 and 4.
    assert math.isclose(spectrum.alignment, 8 / 16)


def test_of_a_kernel_that_is_the_labels():
    targets = np.random.default_rng(0).normal(size=(6, 3))
    eigenvalues, vectors = np.linalg.eigh(targets @ targets.T)
    spectrum = Spectrum.of(eigenvalues, vectors.T @ targets, targets)
    assert math.isclose(spectrum.alignment, 1.0)
    assert 1.0 < spectrum.participation_ratio < spectrum.effective_rank < 3.0


def test_one_direction():
    spectrum = Spectrum.of(np.array([-1e-18, 0.0, 3.0]), np.zeros((3, 2)), np.ones((3, 2)))
    assert math.isclose(spectrum.effective_rank, 1.0)
    assert math.isclose(spectrum.participation_ratio, 1.0)
    assert spectrum.alignment == 0.0


@pytest.mark.parametrize("eigenvalues", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], []])
def test_undefined(eigenvalues):
    size = len(eigenvalues)
    spectrum = Spectrum.of(np.array(eigenvalues), np.ones((size, 2)), np.ones((2, 2)))
    assert all(math.isnan(value) for value in vars(spectrum).values())
    assert set(json.loads(json.dumps(spectrum.to_json(), allow_nan=False)).values()) == {None}
