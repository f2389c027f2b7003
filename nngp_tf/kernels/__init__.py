"""Monte-Carlo NNGP kernels of Keras models."""

import nngp_tf.frameworks  # noqa: F401
from nngp_tf import lazy
from nngp_tf.kernels.kernel import MonteCarloKernel
from nngp_tf.kernels.monte_carlo import (
    UnresolvedKernelWarning,
    monte_carlo_kernel,
    running_kernels,
)

__all__ = [
    "MonteCarloKernel",
    "UnresolvedKernelWarning",
    "monte_carlo_kernel",
    "running_kernels",
]

__getattr__, __dir__ = lazy.modules(__name__, __path__)
