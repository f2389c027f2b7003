"""Gaussian-process regression with a given kernel."""

import nngp_tf.frameworks  # noqa: F401
from nngp_tf import lazy
from nngp_tf.gaussian_process.profile import profile
from nngp_tf.gaussian_process.regression import DIAG_REGS, Regression, scan_diag_reg
from nngp_tf.gaussian_process.scan import Best, Scan

__all__ = ["DIAG_REGS", "Best", "Regression", "Scan", "profile", "scan_diag_reg"]

__getattr__, __dir__ = lazy.modules(__name__, __path__)
