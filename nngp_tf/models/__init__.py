"""Keras builders: architecture -> keras.Model."""

from nngp_tf.models.feature_model import FEATURE_LAYER, features
from nngp_tf.models.nasbench101 import build_nasbench101

__all__ = ["FEATURE_LAYER", "build_nasbench101", "features"]
