"""Keras builders: architecture -> keras.Model."""

import nngp_tf.frameworks  # noqa: F401
from nngp_tf import lazy
from nngp_tf.models.feature_model import FEATURE_LAYER, features
from nngp_tf.models.mnas import build_mnas
from nngp_tf.models.mnas_network import MnasNetwork
from nngp_tf.models.nasbench101 import build_nasbench101
from nngp_tf.models.nasbench101_network import Nasbench101Network

__all__ = [
    "FEATURE_LAYER",
    "MnasNetwork",
    "Nasbench101Network",
    "build_mnas",
    "build_nasbench101",
    "features",
]

__getattr__, __dir__ = lazy.modules(__name__, __path__)
