"""Images as arrays, and tables of trained accuracies."""

import importlib

_MODULES = ("benchmark_table", "images", "labels")

__all__ = list(_MODULES)


def __getattr__(name: str):
    # On first use, so that tables can be read without TensorFlow.
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
