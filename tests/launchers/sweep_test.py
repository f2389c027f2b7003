"""The sweep launcher with workers of Beam and of Dask, one killed of each; a bad architecture."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from absl.testing import flagsaver

from launchers import sweep
from nngp_tf.devices import machine
from nngp_tf.runs import lock, table
from nngp_tf.search_spaces import mnas
from tests import environments
from tests.devices import fakes

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
NUMBER, BAD = 12, 7
PARAMETERS = {
    "space": '"mnas"',
    "num_architectures": None,
    "num_train": 30,
    "num_test": 20,
    "num_inits": 2,
    "compute_dtype": '"float32"',
}
# Sums over parts by one thread each differ in rounding from those by several.
VARIABLES = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_NUM_INTRAOP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="module")
def beam_python():
    """A Python that has Beam, which wants older versions of some packages."""
    return environments.python_with_extra("beam")


def networks():
    """Small networks, and a bad one that has more weights than any memory holds."""
    for index in range(NUMBER):
        blocks = [(1, "mbconv", 1, 3 + 2 * (index >> p & 1), 0, 8 * (p + 1)) for p in range(7)]
        if index == BAD:
            blocks[-1] = (1, "conv", 1, 999_999_999, 0, 56)
        yield mnas.Network.from_blocks(blocks, stem_filters=8)


def start(python, launcher, run_dir, *more):
    """Starts a launcher, its output in RUN_DIR.log."""
    file = run_dir.parent / "networks.txt"
    file.write_text("".join(f"{network}\n" for network in networks()))
    parameters = PARAMETERS | {"architectures": f'"file:{file}"'}
    bindings = [f"--gin_param=nngp_inference.{n} = {value}" for n, value in parameters.items()]
    with open(f"{run_dir}.log", "w") as log:
        return subprocess.Popen(
            [python, "-m", f"launchers.{launcher}", f"--run_dir={run_dir}", *bindings, *more],
            cwd=ROOT,
            env=os.environ | VARIABLES,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def servers(beam_python, directory, *commands):
    """Processes that work in another directory than the driver, their output in NUMBER.log."""
    bin_path = f"{pathlib.Path(beam_python).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | VARIABLES | {"PATH": bin_path, "PYTHONPATH": str(ROOT)}
    processes = []
    try:
        for number, command in enumerate(commands):
            with open(directory / f"{number}.log", "w") as log:
                processes.append(
                    subprocess.Popen(
                        [beam_python, "-m", *command],
                        cwd=directory,
                        env=environment,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.wait()


@pytest.fixture
def job_server(beam_python, tmp_path):
    """Flags for a server of Beam's that takes jobs as those of Flink and Spark do.

    Workers come from a pool beside it.
    """
    ports = [free_port(), free_port()]
    modules = ("portability.local_job_service_main", "worker.worker_pool_main")
    commands = [
        [f"apache_beam.runners.{module}", f"--{flag}={port}"]
        for module, flag, port in zip(modules, ("port", "service_port"), ports, strict=True)
    ]
    with servers(beam_python, tmp_path, *commands):
        for port in ports:
            answers(port)
        yield [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{ports[0]}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{ports[1]}",
        ]


def answers(port):
    """Waits until something listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture(scope="module")
def expected_scans(tmp_path_factory):
    """What nngp_inference computes without Beam."""
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    code = start(sys.executable, "nngp_inference", run_dir).wait(timeout=200)
    assert code == 0, pathlib.Path(f"{run_dir}.log").read_text()[-3000:]
    return scans(run_dir)


def scans(run_dir):
    return {key: row["scan"] for key, row in table.read_table(run_dir).rows.items()}


def workers(process):
    """Beam's worker processes, which are Pythons below the launcher."""
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "apache_beam.runners.worker.sdk_worker_main" in child.cmdline()
    ]


def num_rows(run_dir):
    return sum(len(file.read_text().splitlines()) for file in run_dir.glob("results*.jsonl"))


@pytest.mark.long  # A worker of Dask is killed in `make test`.
def test_a_worker_is_killed(beam_python, expected_scans, tmp_path):
    run_dir = tmp_path / "run"
    process = start(beam_python, "sweep", run_dir, "--direct_num_workers=2", "--share_size=2")
    try:
        while num_rows(run_dir) < 3:
            assert process.poll() is None, pathlib.Path(f"{run_dir}.log").read_text()
            time.sleep(0.02)
        both = workers(process)
        assert len(both) == 2
        both[0].send_signal(signal.SIGKILL)
        code = process.wait(timeout=200)
    finally:
        process.kill()
    log = pathlib.Path(f"{run_dir}.log").read_text()
    assert code == 0, log[-3000:]
    assert "a worker process ended with exit code " in log
    assert ": started again" in log
    assert log.splitlines()[-1] == f"wrote {run_dir}/results*.jsonl"
    assert f"{run_dir}: {NUMBER} of {NUMBER} architectures done, 1 failed\n" in log
    # Progress can be read: lines of this package come through, and those of Beam do not.
    assert len(re.findall(r"INFO:absl:share \d of 6: ", log)) >= 5
    assert "INFO:apache_beam" not in log
    read = table.read_table(run_dir)
    read.check()
    assert (len(read.rows), read.duplicates) == (NUMBER, 0)
    # A bad architecture is a row like others.
    *_, (key, bad) = [item for item in read.rows.items() if item[1]["status"] != "ok"]
    assert key == list(networks())[BAD].key
    assert [row["status"] for row in read.rows.values()].count("ok") == NUMBER - 1
    assert bad["traceback"].startswith("Traceback (most recent call last):\n")
    reason = "Shape [999999999,999999999,48,56] would have more than 2**63 - 1 elements"
    assert bad["error"] == f"InvalidArgumentError: {reason}"
    assert reason in bad["traceback"]
    assert scans(run_dir) == expected_scans
    # Without Beam, the directory is complete, too.
    assert start(sys.executable, "nngp_inference", run_dir).wait(timeout=200) == 0
    assert scans(run_dir) == expected_scans


def test_a_worker_of_dask_is_killed(beam_python, expected_scans, tmp_path):
    run_dir, port = tmp_path / "run", free_port()
    scheduler = ["dask", "scheduler", "--host=127.0.0.1", f"--port={port}", "--no-dashboard"]
    worker = ["dask", "worker", f"tcp://127.0.0.1:{port}", "--nthreads=1", "--no-nanny"]
    with servers(beam_python, tmp_path, scheduler, worker, worker) as (_, *workers):
        process = start(
            beam_python,
            "sweep",
            run_dir,
            "--runner=apache_beam.runners.dask.dask_runner.DaskRunner",
            f"--dask_client_address=tcp://127.0.0.1:{port}",
            "--share_size=2",
        )
        try:
            # One that is in the middle of a share, which the scheduler then gives to the other.
            while num_rows(run_dir) < 3 or not (claims := lock.read_claims(str(run_dir))):
                assert process.poll() is None, pathlib.Path(f"{run_dir}.log").read_text()
                time.sleep(0.02)
            (killed,) = (w for w in workers if w.pid == claims[0].holder.pid)
            killed.send_signal(signal.SIGKILL)
            code = process.wait(timeout=200)
        finally:
            process.kill()
        (other,) = (w for w in workers if w is not killed)
        assert other.poll() is None
    log = pathlib.Path(f"{run_dir}.log").read_text()
    assert code == 0, log[-3000:]
    assert f"{run_dir}: {NUMBER} of {NUMBER} architectures done, 1 failed\n" in log
    read = table.read_table(run_dir)
    read.check()
    assert (len(read.rows), read.duplicates) == (NUMBER, 0)
    assert num_rows(run_dir) == NUMBER
    assert scans(run_dir) == expected_scans


def test_workers_of_a_job_server(beam_python, job_server, tmp_path):
    run_dir = tmp_path / "run"
    relative = f"--run_dir={os.path.relpath(run_dir, ROOT)}"
    process = start(beam_python, "sweep", run_dir, relative, "--share_size=4", *job_server)
    code = process.wait(timeout=200)
    log = pathlib.Path(f"{run_dir}.log").read_text()
    assert code == 0, log[-3000:]
    assert f"{run_dir}: {NUMBER} of {NUMBER} architectures done, 1 failed\n" in log
    assert log.splitlines()[-1] == f"wrote {run_dir}/results*.jsonl"
    read = table.read_table(run_dir)
    read.check()
    assert (len(read.rows), read.duplicates) == (NUMBER, 0)
    assert set(read.rows) == {network.key for network in networks()}


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--runner=DataflowRunner", "Dataflow would write rows to '/.*' .*: name a bucket, gs://"),
        ("--run_dri=x", "neither nngp_sweep nor Beam's .* knows the flag --run_dri"),
        ("--share_size=0", "share_size"),
    ],
)
def test_refusals(beam_python, tmp_path, flag, message):
    run_dir = tmp_path / "run"
    assert start(beam_python, "sweep", run_dir, flag).wait(timeout=100) == 2
    last = pathlib.Path(f"{run_dir}.log").read_text().splitlines()[-1]
    assert last.startswith("sweep: ")
    assert re.search(message, last), last
    assert not run_dir.exists()


def test_workers_take_the_chips_that_the_driver_leaves(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setenv("TPU_LOAD_LIBRARY", "0")
    monkeypatch.setenv("TPU_LIBRARY_PATH", fakes.add_libtpu(tmp_path))
    monkeypatch.delenv("TF_PLUGGABLE_DEVICE_LIBRARY_PATH", raising=False)
    fakes.add_chips(tmp_path, "v5e")
    with flagsaver.as_parsed(tpu="local", strategy="tpu"):
        of_workers = sweep._worker_environment()
    assert of_workers["TF_PLUGGABLE_DEVICE_LIBRARY_PATH"] == os.environ["TPU_LIBRARY_PATH"]
    assert of_workers["TPU_LOAD_LIBRARY"] == ""
    assert "TF_PLUGGABLE_DEVICE_LIBRARY_PATH" not in os.environ
    with flagsaver.as_parsed(tpu="", strategy="cpu"):
        assert sweep._worker_environment() == {}
