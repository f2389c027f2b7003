"""Architectures of either space become networks for the images at hand."""

import pytest

from nngp_tf.models import MnasNetwork, Nasbench101Network
from nngp_tf.runs.networks import build_networks
from nngp_tf.search_spaces import mnas
from tests import golden

pytestmark = pytest.mark.fast


def test_cells():
    assert build_networks([golden.RESNET, golden.INCEPTION], (16, 16, 3), 7, stem_filters=12) == [
        Nasbench101Network(golden.RESNET, (16, 16, 3), 7, 12),
        Nasbench101Network(golden.INCEPTION, (16, 16, 3), 7, 12),
    ]


def test_mobile_networks():
    built = build_networks([mnas.MNASNET_A1], (64, 64, 3), 7)
    assert built == [MnasNetwork(mnas.MNASNET_A1, (64, 64, 3), 7)]


def test_bad_sizes():
    with pytest.raises(ValueError, match="cannot be shared by"):
        build_networks([golden.INCEPTION], (16, 16, 3), 7, stem_filters=1)
    with pytest.raises(ValueError, match="8"):
        build_networks([mnas.MNASNET_A1], (8, 8, 3), 7)
