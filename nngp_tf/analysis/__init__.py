"""Measures of how well a score predicts the truth."""

from nngp_tf import lazy

__getattr__, __dir__ = lazy.modules(__name__, __path__)
