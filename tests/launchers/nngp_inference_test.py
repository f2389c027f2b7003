"""The launcher of NNGP inference: whole runs, killed runs, and every way to be refused."""

import functools
import json
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

from launchers import nngp_inference
from nngp_tf.gaussian_process import Scan
from nngp_tf.runs import inference
from tests.launchers import launching

pytestmark = pytest.mark.slow

launch = functools.partial(launching.launch, nngp_inference)
start = functools.partial(launching.start, "nngp_inference")
assert_refused = functools.partial(launching.assert_refused, "nngp_inference")
CONFIGS = sorted(
    str(path.relative_to(launching.ROOT))
    for path in (launching.ROOT / "configs").rglob("*.gin")
    if "nngp_inference." in path.read_text()
)

# The first takes a program of its own, and the others share another: while that is made, which
# takes seconds, a run has one row.
CELLS = """\
01/00:input,output
010/001/000:input,conv3x3-bn-relu,output
0101/0010/0001/0000:input,conv3x3-bn-relu,conv3x3-bn-relu,output
010/001/000:input,maxpool3x3,output
"""
RESULTS = "results-00000-of-00001-00000.jsonl"
SMALL = {
    "num_train": 30,
    "num_test": 20,
    "num_inits": 2,
    "stem_filters": 4,
    "num_stacks": 2,
    "modules_per_stack": 1,
    "compute_dtype": '"float32"',
}


def arguments(run_dir, *more, **parameters):
    """The command line of a small run, changed by gin parameters."""
    bindings = SMALL | parameters
    return [
        f"--run_dir={run_dir}",
        *(f"--gin_param=nngp_inference.{name} = {value}" for name, value in bindings.items()),
        *more,
    ]


def rows(run_dir):
    files = sorted(run_dir.glob("results*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def scans(run_dir):
    return {row["key"]: row["scan"] for row in rows(run_dir)}


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The gin value of `architectures` that names four cells."""
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
    lines = out.splitlines()
    assert lines[-1] == f"wrote {run_dir}/results*.jsonl"
    header, *best, seconds = lines[:-1]
    assert header.split() == ["test_accuracy", "parameters", "trained", "architecture"]
    assert sorted(line.split()[-1] for line in best) == sorted(CELLS.split())
    assert seconds.startswith("4 architectures (0 failed), ")
    # Nothing but the progress bar.
    assert all("NNGP" in line for line in launching.said(error)), error
    assert [row["architecture"] for row in rows(run_dir)] == CELLS.split()
    assert {row["status"] for row in rows(run_dir)} == {"ok"}


def test_a_run_says_what_made_it(whole, cells):
    run_dir, _, _ = whole
    assert {path.name for path in run_dir.iterdir()} == {
        "run.json",
        RESULTS,
        "status-00000-of-00001.json",
        "nngp_inference.gin",
    }
    record = json.loads((run_dir / "run.json").read_text())
    assert record["config"]["architectures"] == cells.strip('"')
    assert record["config"]["num_train"] == 30
    assert record["config"]["dataset"] == "digits"
    assert record["config"]["compute_dtype"] == "float32"
    # These may change from one start to the next.
    assert not record["config"].keys() & {"num_architectures", "score", "batch_size"}
    assert record["about"]["versions"]["tensorflow"] == tf.__version__
    operative = (run_dir / "nngp_inference.gin").read_text()
    assert "nngp_inference.num_inits = 2" in operative
    # Defaults, too.
    assert "nngp_inference.batch_norm = 'one_update'" in operative


def test_a_killed_run_goes_on_to_the_same_end(whole, cells, tmp_path):
    process = start(*arguments(tmp_path, architectures=cells))
    try:
        while not rows(tmp_path):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    finally:
        process.kill()
    before = rows(tmp_path)
    assert 1 <= len(before) < 4

    code, out, error = launching.finish(start(*arguments(tmp_path, architectures=cells)))
    assert code == 0, error
    assert out.splitlines()[-1] == f"wrote {tmp_path}/results*.jsonl"
    after = rows(tmp_path)
    # What was there is left alone, and no architecture is computed twice.
    kept = after[: len(before)]
    assert [row | {"stored": None} for row in kept] == [row | {"stored": None} for row in before]
    assert [row["architecture"] for row in after] == CELLS.split()
    # Bit for bit.
    assert scans(tmp_path) == scans(whole[0])


def test_two_devices_give_the_same_scans(whole, cells, tmp_path):
    more = ["--strategy=mirrored", "--logical_cpus=2"]
    # One is enough: tests/kernels compares kernels of other networks, devices and processes.
    run = arguments(tmp_path, *more, architectures=cells, num_architectures=1)
    code, _, error = launching.finish(start(*run))
    assert code == 0, error
    assert json.loads((tmp_path / "run.json").read_text())["about"]["replicas"] == 2
    ((key, lists),) = scans(tmp_path).items()
    got, expected = Scan.from_json(lists), Scan.from_json(scans(whole[0])[key])
    np.testing.assert_array_equal(got.failed, expected.failed)
    # Sums in another order differ by float32's rounding, which regularisers near it blow up.
    firm = expected.diag_reg > 1e-3
    for name in ("test_accuracy", "loo_accuracy"):
        np.testing.assert_array_equal(getattr(got, name)[firm], getattr(expected, name)[firm])
    for name in ("test_nll", "loo_nll", "log_marginal_likelihood"):
        np.testing.assert_allclose(
            getattr(got, name)[firm], getattr(expected, name)[firm], rtol=1e-5, err_msg=name
        )


def test_a_finished_run_prints_its_results_again(whole, cells, monkeypatch):
    monkeypatch.setattr(inference, "infer", None)
    run_dir, out, _ = whole
    before = (run_dir / RESULTS).read_bytes()
    code, again, _ = launch(*arguments(run_dir, architectures=cells))
    assert (code, again) == (0, out)
    # The ranking and the number are no part of the configuration.
    code, fewer, _ = launch(
        *arguments(run_dir, architectures=cells, score='"loo_accuracy"', num_architectures=2)
    )
    assert code == 0
    assert fewer.split()[0] == "loo_accuracy"
    assert "2 architectures (0 failed)" in fewer
    assert (run_dir / RESULTS).read_bytes() == before


def test_truth_is_compared_with(whole, cells, tmp_path):
    lines = ["module_hash,adjacency,operations,trainable_parameters,test_accuracy_108"]
    for index, row in enumerate(rows(whole[0])[:3]):
        matrix, _, ops = row["architecture"].partition(":")
        lines.append(f'{row["key"]},{matrix.replace("/", "")},"{ops}",1,{0.9 + index / 100}')
    (tmp_path / "truth.csv").write_text("\n".join(lines) + "\n")
    code, out, _ = launch(
        *arguments(whole[0], f"--truth={tmp_path}/truth.csv", architectures=cells)
    )
    assert code == 0
    assert "Kendall's tau of test_accuracy with the trained test accuracy: " in out
    assert "(95% bootstrap interval, 3 architectures)" in out
    assert " 0.9200 " in out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_train": 31}, "num_train is 31 here and 30 there"),
        ({"batch_norm": '"initial"'}, "batch_norm is 'initial' here and 'one_update' there"),
        ({"compute_dtype": '"bfloat16"'}, "compute_dtype is 'bfloat16' here and 'float32' there"),
        ({"architectures": '"notebook"'}, "architectures is 'notebook' here and 'file:"),
    ],
)
def test_a_directory_of_another_configuration(whole, cells, changes, message):
    run_dir, _, _ = whole
    before = {path.name: path.read_bytes() for path in run_dir.iterdir()}
    refused = launch(*arguments(run_dir, **{"architectures": cells} | changes))
    assert_refused(refused, f"run directory {run_dir} was made with another .*{message}")
    assert {path.name: path.read_bytes() for path in run_dir.iterdir()} == before


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"score": '"accuracy"'}, "score must be one of test_accuracy, .* got 'accuracy'"),
        ({"num_test": 0, "score": '"test_nll"'}, "score 'test_nll' needs test images"),
        (
            {"dataset": '"cifar11"'},
            r"'cifar11' is neither a directory .*\(close names: .*cifar10",
        ),
        ({"dataset": '"./nowhere"'}, ".*nowhere"),
        ({"subset": '"half"'}, "subset='half', expected one of"),
        ({"batch_size": 51}, "batch_size must lie between 1 and the 50 images, got 51"),
        ({"calibration_size": 31}, "calibration_size must lie between 1 and the 30 images, got 31"),
        (
            {"num_train": 1778},
            "num_train=1778 and num_test=20 .* has 1797: ask for fewer",
        ),
        ({"num_train": 0}, "num_train=0, expected an integer of at least 1"),
        ({"num_train": "100.0"}, "num_train must be an integer, got 100.0"),
        ({"num_inits": 0}, r"num_inits must be positive and increasing, got \(0,\)"),
        ({"num_inits": '"4"'}, "num_inits must be an integer, got '4'"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"batch_norm": '"none"'}, "batch_norm must be one of one_update, .* got 'none'"),
        ({"stem_filters": 0}, "stem_filters must be a positive integer, got 0"),
        ({"compute_dtype": '"int8"'}, "compute_dtype must be one of float32, .* got 'int8'"),
        ({"compute_dtype": 5}, "compute_dtype must be one of float32, .* got 5"),
        ({"balanced": '"no"'}, "balanced must be True or False, got 'no'"),
        ({"save_features": 1}, "save_features must be True or False, got 1"),
        ({"report_inits": "(1, 1)"}, "report_inits must hold increasing"),
        ({"channel_std": "0.0"}, "channel_std"),
        ({"space": '"nasbench201"'}, "space must be one of nasbench101, mnas, got 'nasbench201'"),
        ({"architectures": '"all"'}, "architectures must be one of sample, .* got 'all'"),
        ({"architectures": '"range:3"'}, "'range:START:STOP', got 'range:3'"),
        ({"architectures": '"file:none.txt"'}, r"no file none\.txt"),
        ({"architectures": '"table:none.csv"'}, r"no file none\.csv"),
        ({"num_architectures": 0}, "num_architectures must be positive or None, got 0"),
        ({"num_architectures": "None"}, "num_architectures must be at most 211812"),
    ],
)
def test_bad_parameters(tmp_path, parameters, message):
    refused = launch(*arguments(tmp_path / "run", **parameters))
    assert_refused(refused, message)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags_", "message"),
    [
        (["--strategy=cloud"], "strategy must be one of cpu, gpu, .* got 'cloud'"),
        (["--strategy=cpu", "--tpu=name"], "'name'.* goes with strategy 'tpu', got 'cpu'"),
        (["--tpu="], "tpu must be the name or the grpc:// address of a TPU, .* got ''"),
        (["--strategy=multi_worker"], "'multi_worker' reads its cluster from .* TF_CONFIG"),
        (["--logical_cpus=0"], "logical_cpus must be at least 1, got 0"),
        (["--truth=none.csv"], r"there is no file none\.csv"),
        (
            ["--gin_param=nngp_inference.dataset = 'cifar10'"],
            "not prepared, looked in .*: pass",
        ),
        (["--gin_param=nngp_inference.seed = = 3"], "gin: .*seed = = 3"),
        (["--gin_param=nngp_inference.widths = 3"], "gin: .* have a parameter named 'widths'"),
        (["--gin_param=inference.seed = 3"], "gin: No configurable matching 'inference'"),
        (["--gin_file=configs/none.gin"], r"gin: there is no gin file configs/none\.gin"),
        (["--run_dri=x"], r"Unknown command line flag 'run_dri'. Did you mean: run_dir"),
        (["more"], "unexpected argument 'more': launchers take flags only"),
    ],
)
def test_bad_flags(tmp_path, monkeypatch, flags_, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    refused = launch(*arguments(tmp_path / "run", f"--data_dir={tmp_path}", *flags_))
    assert_refused(refused, message)
    assert not (tmp_path / "run").exists()


def test_a_gpu_that_is_not_there(tmp_path):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    refused = launch(*arguments(tmp_path, "--strategy=gpu"))
    assert_refused(refused, "strategy 'gpu' needs a GPU, but TensorFlow sees none")


def test_a_bad_line_of_a_file_of_cells(tmp_path):
    (tmp_path / "cells.txt").write_text("01/00:input,output\n01/00:in,out\n")
    refused = launch(*arguments(tmp_path / "run", architectures=f'"file:{tmp_path}/cells.txt"'))
    assert_refused(refused, r"cells\.txt:2: ")


def test_a_refusal_of_a_real_process():
    # TensorFlow has started by then; tests/launchers/app_test.py has more.
    run = ["--run_dir=x", "--gin_param=nngp_inference.num_train = 5000"]
    code, out, error = launching.finish(start(*run))
    assert_refused((code, out, "\n".join(launching.said(error))), "num_train=5000 and")
    assert not (launching.ROOT / "x").exists()


def test_no_run_directory():
    assert_refused(launch(), "--run_dir is required")


@pytest.mark.parametrize("config", CONFIGS)
def test_shipped_configurations_are_valid(monkeypatch, tmp_path, config):
    """Everything is checked but the networks: files, parameters, architectures, settings."""

    def reached(*_):
        raise ValueError("reached")

    monkeypatch.setattr(inference, "run_inference", reached)
    # From anywhere, and on images that need no download.
    monkeypatch.chdir(tmp_path)
    data = {"dataset": "'digits'", "num_train": 50, "num_test": 50}
    data |= {"classes": "None", "balanced": False, "num_architectures": 20}
    refused = launch(
        f"--gin_file={config}",
        f"--run_dir={tmp_path}/run",
        *(f"--gin_param=nngp_inference.{name} = {value}" for name, value in data.items()),
    )
    assert refused == (2, "", "nngp_inference: reached\n")


def test_the_notebooks_configuration_on_its_data(monkeypatch, shared_data, tmp_path):
    given = {}

    def reached(networks, images, *_):
        given.update(networks=networks, images=images)
        raise ValueError("reached")

    monkeypatch.setattr(inference, "run_inference", reached)
    code, _, error = launch(
        "--gin_file=configs/nasbench101_cifar10_notebook.gin",
        f"--data_dir={shared_data}/tensorflow_datasets",
        f"--run_dir={tmp_path}",
    )
    assert (code, error) == (2, "nngp_inference: reached\n")
    assert len(given["networks"]) == 250
    assert given["networks"][0].stem_filters == 128
    assert given["images"].name.startswith("cifar10/")
    assert given["images"].x_train.shape == (100, 32, 32, 3)
    assert given["images"].x_test.shape == (200, 32, 32, 3)
    np.testing.assert_array_equal(given["images"].channel_mean, [125.3, 123.0, 113.9])
