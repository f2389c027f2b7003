"""The launcher of short training: whole runs, runs killed within an architecture, and refusals."""

import functools
import json
import re
import signal
import time

import numpy as np
import pytest

from launchers import short_training
from nngp_tf.analysis import training_signals
from nngp_tf.runs import reading, training
from tests.launchers import launching

pytestmark = pytest.mark.slow

launch = functools.partial(launching.launch, short_training)
start = functools.partial(launching.start, "short_training")
assert_refused = functools.partial(launching.assert_refused, "short_training")
CONFIGS = sorted(
    str(p.relative_to(launching.ROOT)) for p in (launching.ROOT / "configs").glob("*_training.gin")
)
# The fewest layers, so that their program is made in seconds.
CELLS = "01/00:input,output\n010/001/000:input,maxpool3x3,output\n"
EPOCHS = 8
SMALL = {
    "num_train": 200,
    "num_test": 40,
    "num_epochs": EPOCHS,
    "stem_filters": 4,
    "modules_per_stack": 1,
    "batch_size": 20,
    "batch_norm_momentum": 0.9,
    "num_architectures": 1,
}
CURVES = ("validation_accuracy", "train_accuracy", "train_loss")


def arguments(run_dir, *more, **parameters):
    """The command line of a small run, changed by gin parameters."""
    bindings = SMALL | parameters
    return [
        f"--run_dir={run_dir}",
        *(f"--gin_param=short_training.{name} = {value}" for name, value in bindings.items()),
        *more,
    ]


def rows(run_dir):
    return list(reading.read_run(run_dir).rows)


def curves(row):
    return {name: row[name] for name in CURVES}


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The gin value of `architectures` that names two cells."""
    path = tmp_path_factory.mktemp("cells") / "cells.txt"
    path.write_text(CELLS)
    return f'"file:{path}"'


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cells):
    """The directory of an uninterrupted run, and what it printed."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    code, out, error = launching.finish(start(*arguments(run_dir, architectures=cells)))
    assert code == 0, error
    return run_dir, out, error


def test_a_run(whole):
    run_dir, out, error = whole
    header, best, seconds, last = out.splitlines()
    assert last == f"wrote {run_dir}/results*.jsonl"
    assert header.split() == ["validation_accuracy", "parameters", "trained", "architecture"]
    assert best.split()[-1] == "01/00:input,output"
    assert seconds.startswith("1 architectures (0 failed), ")
    # Nothing but the progress bar.
    assert all("training:" in line for line in launching.said(error)), error
    (row,) = rows(run_dir)
    assert (row["status"], list(row["validation_accuracy"])) == (
        "ok",
        [str(epoch) for epoch in range(1, EPOCHS + 1)],
    )
    assert float(best.split()[1]) == pytest.approx(row["validation_accuracy"]["8"], abs=1e-4)


def test_a_run_says_what_made_it(whole):
    run_dir, _, _ = whole
    record = reading.read_run(run_dir)
    assert (record.config["num_train"], record.config["batch_size"]) == (200, 20)
    assert (record.config["recipe"], record.config["dataset"]) == ("nasbench101", "digits")
    # These may change from one start to the next.
    assert not record.config.keys() & {"num_architectures", "jit_compile", "tensorboard", "backup"}
    operative = (run_dir / "short_training.gin").read_text()
    assert "short_training.num_epochs = 8" in operative
    assert "short_training.recipe = 'nasbench101'" in operative


def test_a_run_is_a_signal(whole):
    source = training_signals.training_source(reading.read_run(whole[0]), "short")
    names = [signal.name for signal in source.signals]
    expected = [f"short/validation_accuracy_{epoch}" for epoch in range(1, EPOCHS + 1)]
    assert names[:EPOCHS] == expected
    costs = [signal.cost_seconds[0] for signal in source.signals[:EPOCHS]]
    assert np.all(np.diff(costs) > 0)


def test_a_run_killed_within_an_architecture_goes_on_at_the_epoch(whole, cells, tmp_path):
    process = start(*arguments(tmp_path, architectures=cells))
    curve = tmp_path / "backup" / rows(whole[0])[0]["key"] / "curve.json"
    try:
        while not curve.exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert not list(tmp_path.glob("results*"))
    done = len(json.loads(curve.read_text())["epochs"])
    assert 1 <= done < EPOCHS

    code, out, error = launching.finish(start(*arguments(tmp_path, architectures=cells)))
    assert code == 0, error
    assert f"goes on after epoch {done}" in error or "dropped a half-written backup" in error
    assert out.splitlines()[-1] == f"wrote {tmp_path}/results*.jsonl"
    (row,) = rows(tmp_path)
    # Bit for bit.
    assert curves(row) == curves(rows(whole[0])[0])
    assert not curve.exists()


def test_two_devices(cells, tmp_path):
    more = ["--strategy=mirrored", "--logical_cpus=2"]
    run = arguments(tmp_path, *more, architectures=cells, num_epochs=1, compute_dtype='"bfloat16"')
    code, _, error = launching.finish(start(*run))
    assert code == 0, error
    record = reading.read_run(tmp_path)
    assert record.about["replicas"] == 2
    assert [row["status"] for row in record.rows] == ["ok"]


def test_training_that_diverges_is_a_row(cells, tmp_path):
    run = arguments(tmp_path, architectures=cells, learning_rate=1e30, num_epochs=1)
    code, out, _ = launch(*run)
    assert code == 0
    assert "1 architectures (1 failed)" in out
    # Keras says nothing on stdout.
    assert len(out.splitlines()) == 4
    (row,) = rows(tmp_path)
    assert row["status"] == "failed"
    assert "in epoch 1: try a lower learning_rate" in row["error"]
    launch(*run)
    assert rows(tmp_path) == [row]
    launch(*run, "--retry_failed")
    (again,) = rows(tmp_path)
    assert again["error"] == row["error"]
    assert again["seconds"] != row["seconds"]


def test_a_finished_run_prints_its_results_again(whole, cells):
    run_dir, out, _ = whole
    code, again, _ = launch(*arguments(run_dir, architectures=cells))
    assert (code, again) == (0, out)
    refused = launch(*arguments(run_dir, "--noresume", architectures=cells))
    assert_refused(refused, "holds a run already")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_epochs": 4}, "num_epochs is 4 here and 8 there"),
        ({"batch_size": 25}, "batch_size is 25 here and 20 there"),
        ({"learning_rate": 0.1}, "learning_rate is 0.1 here and None there"),
    ],
)
def test_a_directory_of_another_configuration(whole, cells, changes, message):
    refused = launch(*arguments(whole[0], **{"architectures": cells} | changes))
    assert_refused(refused, f"run directory {whole[0]} was made with another .*{message}")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"recipe": '"resnet"'}, "recipe must be one of nasbench101, mnasnet, got 'resnet'"),
        ({"num_epochs": 0}, "num_epochs must be at least 1, got 0"),
        ({"num_epochs": 1.5}, "num_epochs must be an integer, got 1.5"),
        ({"report_epochs": "(4, 12)"}, r"report_epochs must hold increasing .* got \(4, 12\)"),
        ({"batch_size": 201}, "batch_size must be at most the 200 training images, got 201"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"learning_rate": -1}, "learning_rate must be a finite number above 0, got -1"),
        ({"augmentation": '"flip"'}, "augmentation must be one of .* got 'flip'"),
        ({"batch_norm_momentum": 2}, "batch_norm_momentum must be at least 0 and below 1"),
        ({"compute_dtype": '"int8"'}, "compute_dtype must be one of float32, .* got 'int8'"),
        ({"num_test": 0}, "validated on the test images, got none: ask for num_test"),
        ({"steps_per_execution": 3}, "steps_per_execution must divide the 10 steps of an epoch"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"num_train": 5000}, "num_train=5000 and num_test=40"),
        ({"stem_filters": 0}, "stem_filters must be a positive integer, got 0"),
        ({"space": '"nasbench201"'}, "space must be .* got 'nasbench201'"),
        ({"architectures": '"all"'}, "architectures must be one of sample, .* got 'all'"),
        ({"balanced": '"no"'}, "balanced must be True or False, got 'no'"),
        ({"backup": "None"}, "backup must be True or False, got None"),
        ({"widths": 3}, "gin: .* have a parameter named 'widths'"),
    ],
)
def test_bad_parameters(tmp_path, parameters, message):
    refused = launch(*arguments(tmp_path / "run", **parameters))
    assert_refused(refused, message)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--strategy=cloud"], "strategy must be one of cpu, gpu, .* got 'cloud'"),
        (["--shard=2/2"], "--shard is written I/N .* got '2/2'"),
        (["--truth=none.csv"], r"there is no file none\.csv"),
        (["--gin_file=configs/none.gin"], r"gin: there is no gin file configs/none\.gin"),
        (["more"], "unexpected argument 'more': launchers take flags only"),
    ],
)
def test_bad_flags(tmp_path, more, message):
    assert_refused(launch(*arguments(tmp_path / "run", *more)), message)


def test_several_processes_take_step_after_step(tmp_path):
    cluster = {"worker": ["localhost:1"]}
    task = {"type": "worker", "index": 0}
    environment = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
    run = arguments(tmp_path / "run", "--strategy=multi_worker", steps_per_execution=2)
    code, out, error = launching.finish(start(*run, **environment))
    said = [line for line in error.splitlines() if line.startswith("short_training: ")]
    message = "steps_per_execution must be 1 or None under strategy 'multi_worker', got 2"
    assert_refused((code, out, "\n".join(said)), message)


def test_no_run_directory():
    assert_refused(launch(), "--run_dir is required")


@pytest.mark.parametrize("config", CONFIGS)
def test_shipped_configurations_are_valid(monkeypatch, tmp_path, config):
    """Everything is checked but the training: files, parameters, architectures, settings."""

    def reached(*_):
        raise ValueError("reached")

    monkeypatch.setattr(training, "run_training", reached)
    monkeypatch.chdir(tmp_path)
    data = {"dataset": "'digits'", "num_train": 300, "num_test": 50}
    refused = launch(
        f"--gin_file={config}",
        f"--run_dir={tmp_path}/run",
        *(f"--gin_param=short_training.{name} = {value}" for name, value in data.items()),
    )
    assert refused == (2, "", "short_training: reached\n")


def test_the_digits_configuration_shares_its_cells_with_the_kernels(monkeypatch, tmp_path):
    given = []

    def reached(networks, images, *_):
        given.append((networks, images))
        raise ValueError("reached")

    monkeypatch.setattr(training, "run_training", reached)
    launch("--gin_file=configs/nasbench101_digits_training.gin", f"--run_dir={tmp_path}")
    ((networks, images),) = given
    text = (launching.ROOT / "configs" / "nasbench101_digits.gin").read_text()
    for name in ("architectures", "num_architectures", "stem_filters"):
        (value,) = re.findall(rf"^nngp_inference\.{name} = (.*)$", text, re.MULTILINE)
        assert f"short_training.{name} = {value}" in (launching.ROOT / CONFIGS[-1]).read_text()
    assert len(networks) == 12
    assert images.x_train.shape == (1200, 32, 32, 3)
