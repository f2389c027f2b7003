"""One process of a sharded kernel computation, for the tests of sharding.

python -m tests.kernels.sharding_worker OUT STRATEGY LOGICAL_CPUS NUM_INITS BATCH_SIZE

Writes the kernel to OUT, if the process is the chief.
"""

import sys

import numpy as np
import tensorflow as tf

from nngp_tf.kernels import monte_carlo_kernel, placement
from nngp_tf.kernels.strategy import build_strategy, is_chief
from nngp_tf.models import build_nasbench101
from tests.golden import INCEPTION

# Neither divides by 2 or 4, nor by the batch sizes.
NUM_TRAIN, NUM_TEST = 23, 10


def data():
    """Training and test images of the sharding tests."""
    rng = np.random.default_rng(5)
    images = rng.normal(size=(NUM_TRAIN + NUM_TEST, 16, 16, 3)).astype("float32")
    return images[:NUM_TRAIN], images[NUM_TRAIN:]


def network():
    """The network of the sharding tests."""
    return build_nasbench101(
        INCEPTION, (16, 16, 3), stem_filters=8, num_stacks=2, modules_per_stack=1
    )


def kernel(strategy, num_inits, batch_size, **options):
    """The kernel of the sharding tests."""
    return monte_carlo_kernel(
        network(),
        *data(),
        num_inits,
        seed=3,
        compute_dtype="float32",
        strategy=strategy,
        batch_size=batch_size,
        calibration_size=17,
        keep_features=True,
        **options,
    )


def main(out, strategy_name, logical_cpus, num_inits, batch_size):
    """Compute and write the kernel."""
    logical = int(logical_cpus) or None
    strategy = build_strategy(strategy_name, logical_cpus=logical)
    computed = kernel(strategy, int(num_inits), int(batch_size))
    # Sent once to each device, where it stays.
    (value,) = placement._placed.values()
    copies = strategy.experimental_local_results(value)
    devices = [tf.DeviceSpec.from_string(copy.device).device_index for copy in copies]
    assert devices == list(range(len(strategy.extended.worker_devices))), devices
    if is_chief(strategy):
        computed.save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
