"""Short training by two worker processes: the numbers of one process with two replicas."""

import json
import signal
import socket
import time

import pytest

from nngp_tf.runs import reading
from tests.launchers import launching

pytestmark = pytest.mark.slow

PARAMETERS = {
    "num_train": 64,
    "num_test": 40,
    "num_epochs": 2,
    "batch_size": 16,
    "batch_norm_momentum": 0.5,
    "stem_filters": 4,
    "num_stacks": 1,
    "modules_per_stack": 1,
}
CURVES = ("train_loss", "train_accuracy", "validation_accuracy")


OPERATIONS = ("conv3x3-bn-relu", "maxpool3x3")


def start(tmp_path, name, num_cells, *flags, **environment):
    cells = tmp_path / "cells.txt"
    cells.write_text("".join(f"010/001/000:input,{op},output\n" for op in OPERATIONS[:num_cells]))
    parameters = PARAMETERS | {"architectures": f'"file:{cells}"', "num_architectures": None}
    bindings = [f"--gin_param=short_training.{n} = {value}" for n, value in parameters.items()]
    run_dir = f"--run_dir={tmp_path / name}"
    return launching.start("short_training", run_dir, *bindings, *flags, **environment)


def start_workers(tmp_path, name, num_cells, *flags):
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, other)]
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [
        start(
            tmp_path,
            name,
            num_cells,
            "--strategy=multi_worker",
            *flags,
            TF_CONFIG=json.dumps({"cluster": {"worker": workers}, "task": task}),
        )
        for task in tasks
    ]


def finish(processes):
    """Wait for processes that must end well; return their stdout."""
    finished = [launching.finish(process) for process in processes]
    for code, _, error in finished:
        assert code == 0, error[-3000:]
    return [out for _, out, _ in finished]


def rows(run_dir):
    return list(reading.read_run(run_dir).rows)


def assert_same(got, expected):
    """Check that two runs have the same networks and curves."""
    assert [row["key"] for row in got] == [row["key"] for row in expected]
    assert {row["status"] for row in [*got, *expected]} == {"ok"}
    for a, b in zip(got, expected, strict=True):
        for name in CURVES:
            assert a[name] == pytest.approx(b[name], rel=1e-4), name


def test_the_numbers_of_two_replicas_of_one_process(tmp_path):
    finish([start(tmp_path, "one", 1, "--strategy=mirrored", "--logical_cpus=2")])
    chief, other = finish(start_workers(tmp_path, "two", 1))
    assert chief.splitlines()[-1].startswith("wrote ")
    assert other == "left the results to the chief\n"
    (one,), (two,) = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert_same([two], [one])
    assert not list((tmp_path / "two" / "backup").glob("*"))


@pytest.mark.long
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_worker_and_the_next_start(tmp_path, lost):
    # With an average of the weights, which the backup has to hold, too.
    parameters = {"num_epochs": 8, "recipe": '"mnasnet"', "augmentation": '"crop_and_flip"'}
    more = 2, *(f"--gin_param=short_training.{n} = {v}" for n, v in parameters.items())
    finish(start_workers(tmp_path, "whole", *more))
    run_dir = tmp_path / "run"
    both = start_workers(tmp_path, "run", *more)
    try:
        # In the middle of the second network.
        while not (
            any(run_dir.glob("results*.jsonl")) and any(run_dir.glob("backup/*/curve.json"))
        ):
            assert [process.poll() for process in both] == [None, None], both[0].communicate()
            time.sleep(0.01)
        both[lost].send_signal(signal.SIGKILL)
        _, error = both[1 - lost].communicate(timeout=60)
    finally:
        for process in both:
            process.kill()
            process.communicate()
    assert both[1 - lost].returncode == 1, error[-3000:]
    assert "a worker was lost" in error.splitlines()[-1]
    (curve,) = run_dir.glob("backup/*/curve.json")
    assert 0 < len(json.loads(curve.read_text())["epochs"]) < 8
    finish(start_workers(tmp_path, "run", *more))
    assert_same(rows(run_dir), rows(tmp_path / "whole"))
