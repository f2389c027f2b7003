"""Modules as attributes of their package, imported on first use (PEP 562).

So `import nngp_tf` reaches every module, and TensorFlow waits until one of them needs it.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable


def modules(
    package: str, path: Iterable[str], elsewhere: Iterable[str] = ()
) -> tuple[Callable, Callable]:
    """Return the functions `__getattr__` and `__dir__` of a package.

    Args:
      package: Its name.
      path: Its `__path__`.
      elsewhere: Names of modules that lie in other directories.
    """

    def names():
        return {*elsewhere, *(module.name for module in pkgutil.iter_modules(path))}

    def attribute(name):
        if not name.startswith("_") and name in names():
            return importlib.import_module(f"{package}.{name}")
        message = f"module {package!r} has no attribute {name!r}"
        for near in difflib.get_close_matches(name, directory(), n=1):
            message += f", the nearest is {near!r}"
        # With `obj` besides, the interpreter would say the nearest name again.
        raise AttributeError(message, name=name)

    def directory():
        return sorted({*vars(sys.modules[package]), *names()})

    return attribute, directory
