"""Images as arrays, and tables of trained accuracies."""

from nngp_tf import lazy

__getattr__, __dir__ = lazy.modules(__name__, __path__)
