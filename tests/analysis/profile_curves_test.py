"""Tau of fitted scores by the number of networks that they are fitted to."""

import dataclasses

import numpy as np
import pytest

from nngp_tf.analysis.profile_curves import profile_curves
from tests.analysis.profile_test import comparison

pytestmark = pytest.mark.fast


def test_more_known_networks_predict_better():
    curves = profile_curves(comparison(), seed=0)
    assert [curve.name for curve in curves] == ["nngp/profile", "nngp/profile_and_size"]
    (profile, _) = curves
    # At most half of the 120.
    assert profile.num_known == (12, 25, 50)
    taus = [estimate.value for estimate in profile.estimates]
    assert taus[2] > 0.6
    assert taus[2] > taus[0]
    for estimate in profile.estimates:
        assert estimate.low < estimate.value < estimate.high
    widths = [estimate.high - estimate.low for estimate in profile.estimates]
    assert widths[0] > widths[2]


def test_networks_without_information_are_not_predicted():
    (profile, _) = profile_curves(comparison(informative=False), seed=0)
    assert abs(np.mean([estimate.value for estimate in profile.estimates])) < 0.15


def test_is_reproducible():
    first, again = (profile_curves(comparison(), seed=1) for _ in range(2))
    assert first == again != profile_curves(comparison(), seed=2)


def test_few_architectures_or_no_profile_have_no_curve():
    assert profile_curves(comparison(size=49), seed=0) == []
    whole = comparison()
    signals = tuple(s for s in whole.signals if not s.in_profile)
    assert profile_curves(dataclasses.replace(whole, signals=signals), seed=0) == []
