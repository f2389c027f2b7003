"""The memory of a mobile network's kernel follows from arithmetic."""

import pathlib
import subprocess
import sys

import pytest

from nngp_tf.kernels import mnas_costs, mnas_layout
from nngp_tf.models import MnasNetwork
from nngp_tf.search_spaces import mnas

pytestmark = pytest.mark.slow

MEBIBYTE = 2.0**20
ROOT = pathlib.Path(__file__).resolve().parents[2]

# The kernel of A1 at argv's size, images and batch; prints what the peak rises by, in bytes.
MEASURE = """
import sys
import numpy as np
from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.models import MnasNetwork
from nngp_tf.search_spaces import mnas

def status(field):
    with open("/proc/self/status") as file:
        return next(int(x.split()[1]) for x in file if x.startswith(field)) * 1024

def kernel(side, number, **options):
    x = np.random.default_rng(0).normal(size=(number, side, side, 3)).astype("float32")
    network = MnasNetwork(mnas.MNASNET_A1, (side, side, 3))
    before = status("VmRSS")
    monte_carlo_kernel(network, x, num_inits=1, compute_dtype="float32", **options)
    return status("VmHWM") - before

side, number, batch = map(int, sys.argv[1:])
kernel(32, 2)
print("bytes", kernel(side, number, batch_size=batch, calibration_size=batch))
"""


def predicted(side, number, batch):
    return mnas_costs.peak_memory(
        MnasNetwork(mnas.MNASNET_A1, (side, side, 3)),
        number,
        batch_size=batch,
        calibration_size=batch,
        compute_dtype="float32",
    )


def test_elements_of_the_largest_layer():
    # The second block's first: 16 channels, expanded to 96, from 112 x 112 to 56 x 56.
    network = MnasNetwork(mnas.MNASNET_A1, (224, 224, 3))
    kind = mnas_layout.encode(network, static=True)[2].kind
    assert mnas_costs.forward_elements(kind) == 112**2 * (16 + 96) + 56**2 * 96
    assert mnas_costs.calibration_elements(kind) == 112**2 * (16 + 3 * 96)


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="tells memory on Linux")
@pytest.mark.parametrize(
    "sizes",
    [
        (112, 60, 60),
        (112, 300, 10),
        *(pytest.param((224, *n), marks=pytest.mark.long) for n in [(60, 60), (60, 20), (120, 20)]),
    ],
)
def test_peak_memory_is_what_is_measured(sizes):
    command = [sys.executable, "-c", MEASURE, *map(str, sizes)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    measured = int(done.stdout.split("bytes")[1])
    # The allocator's slack, where little else is there.
    assert 0.5 * predicted(*sizes) < measured < 1.5 * predicted(*sizes) + 60 * MEBIBYTE


def test_batches_bound_what_images_take():
    few, many = predicted(224, 100, 10), predicted(224, 1000, 10)
    images = 4 * 900 * 224**2 * 3
    assert many - few < 3.2 * images
    assert predicted(224, 100, 100) > 4 * few
