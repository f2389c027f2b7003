"""Gaussian-process regression with a given kernel."""

from nngp_tf.gaussian_process.profile import profile
from nngp_tf.gaussian_process.regression import DIAG_REGS, Regression, scan_diag_reg
from nngp_tf.gaussian_process.scan import Best, Scan

__all__ = ["DIAG_REGS", "Best", "Regression", "Scan", "profile", "scan_diag_reg"]
