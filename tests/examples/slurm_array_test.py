"""The job file for Slurm: which shard a task computes, also one that is submitted alone."""

import os
import pathlib
import subprocess
import sys

import pytest

from nngp_tf.runs import table

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = [
    f"--gin_param=nngp_inference.{binding}"
    for binding in (
        "architectures = 'range:0:5'",
        "num_architectures = None",
        "num_train = 30",
        "num_test = 20",
        "num_inits = 2",
        "stem_filters = 4",
        "compute_dtype = 'float32'",
    )
]


def submit(*arguments, **variables):
    """Run the file as Slurm would."""
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", ROOT / "examples" / "slurm_array.sh", *arguments],
        cwd=ROOT,
        env=os.environ | {"PATH": path, "CUDA_VISIBLE_DEVICES": "-1"} | variables,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_a_task_computes_its_shard(tmp_path):
    # As Slurm says it for `sbatch --array=1`.
    array = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "1"}
    ran = submit("3", f"--run_dir={tmp_path}/run", *FLAGS, SLURM_CPUS_PER_TASK="1", **array)
    assert ran.returncode == 0, ran.stderr[-3000:]
    read = table.read_table(tmp_path / "run")
    assert len(read.rows) == 2
    assert [f.name for f in tmp_path.glob("run/results*")] == ["results-00001-of-00003-00000.jsonl"]


@pytest.mark.parametrize("arguments", [(), ("0",), ("--run_dir=x",), ("3x",)])
def test_without_the_number_of_shards(arguments):
    ran = submit(*arguments, SLURM_ARRAY_TASK_ID="1")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("usage: sbatch --array=")


def test_out_of_an_array():
    assert submit("3", "--run_dir=x", SLURM_ARRAY_TASK_ID="").returncode == 2
