"""Keras builders: architecture -> keras.Model."""

from nngp_tf.models.feature_model import FEATURE_LAYER, features
from nngp_tf.models.nasbench101 import build_nasbench101
from nngp_tf.models.nasbench101_network import Nasbench101Network

__all__ = ["FEATURE_LAYER", "Nasbench101Network", "build_nasbench101", "features"]
