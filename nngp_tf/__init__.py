"""NNGP-guided neural architecture search in TensorFlow and Keras (arXiv 2011.06006)."""

import importlib

from nngp_tf.devices import machine as _machine
from nngp_tf.version import __version__

_SUBPACKAGES = (
    "analysis",
    "data",
    "devices",
    "gaussian_process",
    "kernels",
    "models",
    "runs",
    "search_spaces",
    "training",
)

# Before a subpackage imports TensorFlow.
_machine.skip_metadata_server()

__all__ = ["__version__", *_SUBPACKAGES]


def __getattr__(name: str):
    # On first use, so that search spaces and tables stay free of TensorFlow.
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
