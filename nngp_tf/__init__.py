"""NNGP-guided neural architecture search in TensorFlow and Keras (arXiv 2011.06006)."""

from nngp_tf import lazy
from nngp_tf.devices import machine as _machine
from nngp_tf.version import __version__

__all__ = ["__version__"]

# Before a subpackage imports TensorFlow.
_machine.skip_metadata_server()

# The gin files and the launchers lie at the top of the tree, and here where they are installed.
__getattr__, __dir__ = lazy.modules(__name__, __path__, elsewhere=("configs", "launchers"))
