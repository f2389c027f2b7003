"""Kernels of features other than the plain one."""

import numpy as np
import pytest

from nngp_tf.kernels import transforms

pytestmark = pytest.mark.fast

NUM_INITS, NUM_IMAGES, WIDTH = 3, 7, 5


@pytest.fixture
def features():
    return np.random.default_rng(0).gamma(1.0, size=(NUM_INITS, NUM_IMAGES, WIDTH))


def test_plain(features):
    kernel = transforms.transformed(features, "plain")
    expected = np.einsum("mic,mjc->ij", features, features) / NUM_INITS
    np.testing.assert_allclose(kernel.train_train, expected, rtol=1e-12)
    assert kernel.num_train == NUM_IMAGES
    assert kernel.test_train.shape == (0, NUM_IMAGES)


def test_standardised(features):
    mean, deviation = features.mean(1, keepdims=True), features.std(1, keepdims=True)
    standard = (features - mean) / deviation
    expected = np.einsum("mic,mjc->ij", standard, standard) / (NUM_INITS * WIDTH)
    kernel = transforms.transformed(features, "standardised").train_train
    np.testing.assert_allclose(kernel, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(kernel.sum(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.trace(kernel), NUM_IMAGES, rtol=1e-12)


def test_standardised_is_blind_to_scale_and_offset(features):
    scale = np.random.default_rng(1).uniform(0.1, 10.0, (NUM_INITS, 1, WIDTH))
    np.testing.assert_allclose(
        transforms.transformed(features * scale + 3.0, "standardised").train_train,
        transforms.transformed(features, "standardised").train_train,
        rtol=1e-9,
        atol=1e-12,
    )


def test_constant_features_say_nothing(features):
    without = features.copy()
    without[:, :, 0] = 2.0
    # Rounding in float32 is not variation.
    without[:, 0, 0] += 1e-7
    kernel = transforms.transformed(without, "standardised").train_train
    rest = transforms.transformed(features[:, :, 1:], "standardised").train_train
    np.testing.assert_allclose(kernel, rest * (WIDTH - 1) / WIDTH, rtol=1e-9, atol=1e-12)
    zero = transforms.transformed(np.zeros((1, 3, 2)), "arc_cosine").train_train
    assert np.isfinite(zero).all()


def test_cosine(features):
    plain = transforms.transformed(features, "plain").train_train
    kernel = transforms.transformed(features, "cosine").train_train
    for i, j in np.ndindex(kernel.shape):
        expected = plain[i, j] / np.sqrt(plain[i, i] * plain[j, j])
        np.testing.assert_allclose(kernel[i, j], expected, rtol=1e-12)


def test_centred(features):
    kernel = transforms.transformed(features, "centred").train_train
    moved = transforms.transformed(features + 3.0, "centred").train_train
    np.testing.assert_allclose(moved, kernel, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(kernel.sum(axis=0), 0.0, atol=1e-12)
    # Of one initialisation, it is the plain one of features whose mean is 0.
    one = features[:1]
    np.testing.assert_allclose(
        transforms.transformed(one, "centred").train_train,
        transforms.transformed(one - one.mean(1, keepdims=True), "plain").train_train,
        rtol=1e-12,
    )


def test_arc_cosine_is_a_wide_layer_of_relu_units(features):
    standard = transforms.transformed(features, "standardised").train_train
    length = np.sqrt(np.diag(standard))
    root = np.linalg.cholesky(standard / np.outer(length, length) + 1e-9 * np.eye(NUM_IMAGES))
    drawn = root @ np.random.default_rng(2).normal(size=(NUM_IMAGES, 400_000))
    # The mean of relu(u) relu(v), scaled to a diagonal of 1.
    monte_carlo = 2 * np.maximum(drawn, 0) @ np.maximum(drawn, 0).T / drawn.shape[1]
    kernel = transforms.transformed(features, "arc_cosine").train_train
    np.testing.assert_allclose(kernel, monte_carlo, atol=0.01)
    np.testing.assert_allclose(np.diag(kernel), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(kernel, kernel.T)


def test_all_are_positive_semidefinite(features):
    for name in transforms.KERNELS:
        kernel = transforms.transformed(features, name).train_train
        assert np.linalg.eigvalsh(kernel)[0] > -1e-9 * np.trace(kernel)


def test_unknown():
    with pytest.raises(ValueError, match=r"one of plain, .*, centred, got 'rbf'"):
        transforms.transformed(np.ones((1, 2, 2)), "rbf")
