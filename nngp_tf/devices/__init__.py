"""Devices: which a machine has, and what TensorFlow must know of them before it is imported.

Nothing here imports TensorFlow.
"""

from nngp_tf import lazy

__getattr__, __dir__ = lazy.modules(__name__, __path__)
