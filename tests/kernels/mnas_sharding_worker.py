"""One process of a mobile network's sharded kernel, for the tests of its step.

python -m tests.kernels.mnas_sharding_worker OUT STRATEGY LOGICAL_CPUS NUM_INITS BATCH_NORM

Writes the kernel to OUT, if the process is the chief.
"""

import sys

import numpy as np

from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.kernels.strategy import build_strategy, is_chief
from tests.kernels.mnas_examples import mixed

# Neither divides by 2, nor by the batch size.
NUM_TRAIN, NUM_TEST = 13, 6


def kernel(strategy, num_inits, batch_norm, **options):
    """The kernel of the tests of the step."""
    images = np.random.default_rng(5).normal(size=(NUM_TRAIN + NUM_TEST, 16, 16, 3))
    options = {"batch_size": 5, "calibration_size": 11, "keep_features": True} | options
    return monte_carlo_kernel(
        mixed((16, 16, 3)),
        images[:NUM_TRAIN].astype("float32"),
        images[NUM_TRAIN:].astype("float32"),
        num_inits,
        seed=3,
        batch_norm=batch_norm,
        compute_dtype="float32",
        strategy=strategy,
        **options,
    )


def main(out, strategy_name, logical_cpus, num_inits, batch_norm):
    """Compute and write the kernel."""
    strategy = build_strategy(strategy_name, logical_cpus=int(logical_cpus) or None)
    computed = kernel(strategy, int(num_inits), batch_norm)
    if is_chief(strategy):
        computed.save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
