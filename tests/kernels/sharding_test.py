"""The estimate does not depend on how it was computed: devices, processes, batches, parts."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from nngp_tf.kernels import MonteCarloKernel
from tests.kernels import sharding_worker

pytestmark = pytest.mark.slow

NUM_INITS = 3
ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reference():
    """On one device, in one batch."""
    return sharding_worker.kernel(None, NUM_INITS, 33)


def assert_same(kernel, reference):
    assert kernel.num_inits == reference.num_inits
    for name in ("train_train", "test_train", "test_test_diag", "features"):
        got, want = getattr(kernel, name), getattr(reference, name)
        assert got.shape == want.shape
        assert np.abs(got - want).max() < 1e-5 * np.abs(want).max(), name
    np.testing.assert_allclose(kernel.spread, reference.spread, rtol=1e-4)


def start(arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.kernels.sharding_worker", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes):
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output[-4000:]


def test_features_give_the_kernel(reference):
    z = reference.features.astype(np.float64)
    kernel = np.einsum("mic,mjc->ij", z, z[:, :23]) / NUM_INITS
    np.testing.assert_allclose(kernel[:23], reference.train_train, rtol=1e-12)
    np.testing.assert_allclose(kernel[23:], reference.test_train, rtol=1e-12)
    diagonal = np.einsum("mic,mic->i", z, z)[23:] / NUM_INITS
    np.testing.assert_allclose(diagonal, reference.test_test_diag, rtol=1e-12)
    squares = [np.sum(np.square(k[:23] @ k[:23].T)) for k in z]
    np.testing.assert_allclose(reference.mean_square_norm, np.mean(squares), rtol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 7, 20])
def test_batch_size(reference, batch_size):
    assert_same(sharding_worker.kernel(None, NUM_INITS, batch_size), reference)


def test_parts_join(reference):
    first = sharding_worker.kernel(None, 1, 7)
    second = sharding_worker.kernel(None, 2, 7, first_init=1)
    assert_same(first.join(second), reference)


# Three initialisations on two devices leave one masked or the images split; on four devices a
# single one shares its images among all of them.
@pytest.mark.parametrize(("logical_cpus", "num_inits"), [(2, NUM_INITS), (4, NUM_INITS), (4, 1)])
def test_logical_devices(reference, tmp_path, logical_cpus, num_inits):
    out = tmp_path / "kernel.npz"
    finish(start([out, "mirrored", logical_cpus, num_inits, 7]))
    if num_inits != NUM_INITS:
        reference = sharding_worker.kernel(None, num_inits, 33)
    kernel = MonteCarloKernel.load(str(out))
    assert_same(kernel, reference)


def test_worker_processes(reference, tmp_path):
    out = tmp_path / "kernel.npz"
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    workers = []
    for index in range(2):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        target = out if index == 0 else tmp_path / "written by another than the chief"
        workers.append(
            start([target, "multi_worker", 0, NUM_INITS, 7], TF_CONFIG=json.dumps(config))
        )
    finish(*workers)
    assert_same(MonteCarloKernel.load(str(out)), reference)
    assert list(tmp_path.iterdir()) == [out]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
