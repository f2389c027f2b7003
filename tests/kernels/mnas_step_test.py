"""The estimate of a mobile network does not depend on how it was computed."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels import MonteCarloKernel, monte_carlo_kernel
from tests.kernels import mnas_sharding_worker
from tests.kernels.mnas_examples import mixed

pytestmark = pytest.mark.slow

NUM_INITS = 3
ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reference():
    """On one device, in one batch."""
    return mnas_sharding_worker.kernel(None, NUM_INITS, "one_update", batch_size=19)


def assert_same(kernel, reference):
    assert kernel.num_inits == reference.num_inits
    for name in ("train_train", "test_train", "test_test_diag", "features"):
        got, want = getattr(kernel, name), getattr(reference, name)
        assert got.shape == want.shape
        assert np.abs(got - want).max() < 1e-5 * np.abs(want).max(), name
    np.testing.assert_allclose(kernel.spread, reference.spread, rtol=1e-4)


def start(arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.kernels.mnas_sharding_worker", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes):
    for process in processes:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output[-4000:]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_batch_size(reference, batch_size):
    kernel = mnas_sharding_worker.kernel(None, NUM_INITS, "one_update", batch_size=batch_size)
    assert_same(kernel, reference)


def test_parts_join_on_a_named_device(reference):
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    first = mnas_sharding_worker.kernel(strategy, 1, "one_update")
    second = mnas_sharding_worker.kernel(strategy, 2, "one_update", first_init=1)
    assert_same(first.join(second), reference)


# Three initialisations on two devices leave one masked; a single one shares its images.
@pytest.mark.parametrize(("num_inits", "batch_norm"), [(NUM_INITS, "one_update"), (1, "initial")])
def test_logical_devices(reference, tmp_path, num_inits, batch_norm):
    out = tmp_path / "kernel.npz"
    finish(start([out, "mirrored", 2, num_inits, batch_norm]))
    if num_inits != NUM_INITS:
        reference = mnas_sharding_worker.kernel(None, num_inits, batch_norm)
    assert_same(MonteCarloKernel.load(str(out)), reference)


def test_worker_processes(reference, tmp_path):
    out = tmp_path / "kernel.npz"
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    workers = []
    for index in range(2):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        arguments = [out, "multi_worker", 0, NUM_INITS, "one_update"]
        workers.append(start(arguments, TF_CONFIG=json.dumps(config)))
    finish(*workers)
    assert_same(MonteCarloKernel.load(str(out)), reference)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_norm": "none"}, "batch_norm must be one of"),
        ({"compute_dtype": "int8"}, "compute_dtype must be one of"),
        ({"feature_layer": "head_relu"}, "feature_layer of a MnasNetwork must be 'features'"),
        ({"shape": (16, 16, 1)}, r"takes \[N, 16, 16, 3\]"),
        ({"shape": (16, 32, 3)}, r"takes \[N, 16, 16, 3\]"),
        ({"batch_size": 5}, "batch_size must lie between 1 and the 4 images"),
    ],
)
def test_bad_input(options, message):
    options = {"shape": (16, 16, 3)} | options
    images = np.random.default_rng(0).normal(size=(4, *options.pop("shape")))
    with pytest.raises(ValueError, match=message):
        monte_carlo_kernel(mixed((16, 16, 3)), images, **options)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
