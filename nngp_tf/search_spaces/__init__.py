"""Architectures as frozen values; nothing here imports TensorFlow."""

from nngp_tf import lazy

__getattr__, __dir__ = lazy.modules(__name__, __path__)
