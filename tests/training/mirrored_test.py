"""Training on two replicas is training on one, batch normalisation aside, and leaves nothing."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def printed():
    """What the worker prints."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.training.mirrored_worker"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-4000:]
    return json.loads(process.stdout.splitlines()[-1])


def test_two_replicas_give_the_weights_of_one(printed):
    assert printed["replicas"] == 2
    # Loss and weight decay are shared out among replicas, and their gradients summed.
    assert printed["difference"] < 1e-6


def test_two_replicas_give_the_curves_of_one(printed):
    one, two = printed["rows"]
    for name in ("train_loss", "train_accuracy", "validation_accuracy"):
        assert two[name] == pytest.approx(one[name], rel=1e-5)


def test_no_graph_outlives_training(printed):
    # Keras' own reduction of gradients would keep a graph of hundreds of operations each time.
    assert printed["left_behind"] == 0
