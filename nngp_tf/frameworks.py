"""TensorFlow, and Keras on it: what networks need, checked when this module is imported.

The packages that need them import it first, so that what is missing is said in a sentence, before
either is loaded.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from importlib import metadata

_INSTALL = "pip install 'nngp_tf[cpu]', or [gpu] or [tpu]"
# The oldest that are supported, as in setup.py, and the distributions that they come in.
OLDEST = {"tensorflow": (2, 19), "keras": (3, 10)}
_DISTRIBUTIONS = {
    "tensorflow": ("tensorflow-cpu", "tensorflow", "tensorflow-tpu"),
    "keras": ("keras",),
}


def check() -> None:
    """Check that TensorFlow and Keras are there, new enough, and that Keras runs on TensorFlow.

    Raises:
      ImportError: If not. Importing them under another backend would end in its absence or, later,
        among tensors of another kind.
    """
    for package, oldest in OLDEST.items():
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(
                f"networks need {package}, which is not installed: {_INSTALL}", name=package
            )
        version = _version(package)
        if version and tuple(map(int, version.split(".")[:2])) < oldest:
            wanted = ".".join(map(str, oldest))
            raise ImportError(
                f"networks need {package} {wanted} or newer, got {version}: {_INSTALL}",
                name=package,
            )
    if os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true"):
        raise ImportError(
            "networks need Keras 3, but TF_USE_LEGACY_KERAS asks for Keras 2: unset it before "
            "TensorFlow is imported, and build own models by `import keras`",
            name="keras",
        )
    backend, where = _keras_backend()
    if backend != "tensorflow":
        raise ImportError(
            f"networks need Keras on TensorFlow, but its backend is {backend!r} by {where}: set "
            "KERAS_BACKEND=tensorflow before Keras is imported",
            name="keras",
        )


def _version(package):
    """Return the installed version; None where it comes in a distribution of another name."""
    for distribution in _DISTRIBUTIONS[package]:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def _keras_backend():
    """Return the backend that Keras has or, once imported, would take, and where that is said."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend(), "what held when it was imported"
    if backend := os.environ.get("KERAS_BACKEND"):
        return backend, "the environment variable KERAS_BACKEND"
    path = os.path.expanduser(os.path.join(os.environ.get("KERAS_HOME", "~/.keras"), "keras.json"))
    try:
        with open(path) as file:
            config = json.load(file)
    except (OSError, ValueError):
        config = {}
    return config.get("backend", "tensorflow"), path


check()
