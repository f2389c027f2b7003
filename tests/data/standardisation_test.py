import numpy as np
import pytest

from nngp_tf.data import standardisation

pytestmark = pytest.mark.fast


def test_statistics_agree_with_numpy_over_several_chunks():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, size=(200, 6, 5, 3)).astype(np.float32)
    mean, std = standardisation.channel_statistics(images)
    assert mean.dtype == std.dtype == np.float64
    np.testing.assert_allclose(mean, images.astype(np.float64).mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, images.astype(np.float64).std(axis=(0, 1, 2)), rtol=1e-12)


def test_constant_channel_has_exactly_no_deviation():
    images = np.random.default_rng(0).uniform(0, 255, size=(3, 7, 7, 2)).astype(np.float32)
    images[..., 1] = 0.1
    _, std = standardisation.channel_statistics(images)
    assert std[0] > 0
    assert std[1] == 0


def test_standardising_is_in_place():
    images = np.array([[[[10.0, 20.0]], [[30.0, 60.0]]]], np.float32)
    standardisation.standardise_in_place(images, np.array([10.0, 20.0]), np.array([20.0, 10.0]))
    np.testing.assert_allclose(images, [[[[0.0, 0.0]], [[1.0, 4.0]]]])


def test_scalar_statistic_is_repeated():
    scalar = standardisation.parse_statistic("channel_mean", 127)
    np.testing.assert_array_equal(
        standardisation.per_channel("channel_mean", scalar, 3), [127.0, 127.0, 127.0]
    )


@pytest.mark.parametrize("values", [np.nan, np.inf, [1.0, np.nan], [], [[1.0]], "grey", [None, 1]])
def test_statistic_that_is_none_is_refused(values):
    with pytest.raises(ValueError, match=r"channel_mean=.*expected a finite number"):
        standardisation.parse_statistic("channel_mean", values)


@pytest.mark.parametrize("values", [0.0, -1, [1.0, 0.0, 2.0]])
def test_deviation_must_be_above_zero(values):
    with pytest.raises(ValueError, match=r"channel_std=.*expected values above zero"):
        standardisation.parse_standard_deviation("channel_std", values)


def test_wrong_length_is_refused():
    with pytest.raises(ValueError, match="channel_std has 2 values, but the images have 3"):
        standardisation.per_channel("channel_std", np.array([1.0, 2.0]), 3)
