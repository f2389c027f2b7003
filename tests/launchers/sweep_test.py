"""The sweep launcher with Beam's worker processes, of which one is killed."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from nngp_tf.runs import table
from tests import environments

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
NUMBER = 12
PARAMETERS = {
    "architectures": f'"range:0:{NUMBER}"',
    "num_architectures": None,
    "num_train": 30,
    "num_test": 20,
    "num_inits": 2,
    "stem_filters": 4,
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


def start(python, launcher, run_dir, *more):
    """Starts a launcher, its output in RUN_DIR.log."""
    bindings = [f"--gin_param=nngp_inference.{n} = {value}" for n, value in PARAMETERS.items()]
    with open(f"{run_dir}.log", "w") as log:
        return subprocess.Popen(
            [python, "-m", f"launchers.{launcher}", f"--run_dir={run_dir}", *bindings, *more],
            cwd=ROOT,
            env=os.environ | VARIABLES,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def scans(run_dir):
    return {key: row["scan"] for key, row in table.read_table(run_dir).rows.items()}


def workers(process):
    """Beam's worker processes, which are Pythons below the launcher."""
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "apache_beam.runners.worker.sdk_worker_main" in child.cmdline()
    ]


def test_a_worker_is_killed(beam_python, tmp_path):
    run_dir = tmp_path / "run"
    process = start(beam_python, "sweep", run_dir, "--direct_num_workers=2", "--share_size=2")
    try:
        while sum(len(f.read_text().splitlines()) for f in run_dir.glob("results*.jsonl")) < 3:
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
    read = table.read_table(run_dir)
    read.check()
    assert (len(read.rows), read.duplicates) == (NUMBER, 0)
    # Without Beam, the same directory is complete, and one of its own gets the same rows.
    for name in ("run", "alone"):
        code = start(sys.executable, "nngp_inference", tmp_path / name).wait(timeout=200)
        assert code == 0, pathlib.Path(f"{tmp_path / name}.log").read_text()[-3000:]
    assert scans(tmp_path / "alone") == scans(run_dir)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
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
