"""Monte-Carlo NNGP kernels of Keras models."""

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
