"""The launcher of comparisons: from real runs to a report, and every way to be refused."""

import csv
import functools
import re

import pytest

from launchers import compare, nngp_inference
from nngp_tf.runs.store import RunDirectory
from tests.analysis import examples
from tests.launchers import launching

pytestmark = [
    pytest.mark.slow,
    # Few invented architectures are on one side of most thresholds.
    pytest.mark.filterwarnings("ignore:.*is undefined:RuntimeWarning"),
]

launch = functools.partial(launching.launch, compare)
assert_refused = functools.partial(launching.assert_refused, "compare")

# They share a program.
CELLS = """\
010/001/000:input,conv3x3-bn-relu,output
010/001/000:input,maxpool3x3,output
010/001/000:input,conv1x1-bn-relu,output
0100/0010/0001/0000:input,conv3x3-bn-relu,conv3x3-bn-relu,output
0100/0010/0001/0000:input,conv3x3-bn-relu,maxpool3x3,output
0100/0010/0001/0000:input,conv1x1-bn-relu,maxpool3x3,output
"""
SMALL = {
    "num_architectures": None,
    "num_train": 30,
    "num_test": 20,
    "num_inits": 1,
    "stem_filters": 4,
    "num_stacks": 2,
    "modules_per_stack": 1,
    "compute_dtype": "'float32'",
}


@pytest.fixture
def bench(tmp_path):
    """The path of a table of 12 invented architectures."""
    return examples.write_table(tmp_path / "bench.csv", [0.8 + 0.01 * i for i in range(12)])


@pytest.fixture
def nngp(tmp_path):
    """The path of a run of 10 of them, one of which failed."""
    with RunDirectory(tmp_path / "nngp", examples.CONFIG) as directory:
        for i in range(10):
            accuracies = None if i == 3 else [0.01 * i, 0.02 * (i % 4), 0.1]
            directory.append(examples.nngp_row(i, accuracies))
    return tmp_path / "nngp"


def test_real_runs_are_compared(tmp_path):
    """Kernels of six networks, and invented trainings of the same."""
    (tmp_path / "cells.txt").write_text(CELLS)
    bindings = SMALL | {"architectures": f"'file:{tmp_path}/cells.txt'"}
    parameters = [
        f"--gin_param=nngp_inference.{name} = {value}" for name, value in bindings.items()
    ]
    code, _, error = launching.launch(nngp_inference, f"--run_dir={tmp_path}/nngp", *parameters)
    assert code == 0, error
    (path,) = (tmp_path / "nngp").glob("results*.jsonl")
    keys = re.findall(r'"key": "(\w+)"', path.read_text())
    assert len(keys) == 6
    with RunDirectory(tmp_path / "training", examples.CONFIG) as directory:
        for i, key in enumerate(keys):
            curve = {1: 0.1 * (i % 5), 2: 0.5 + 0.01 * i}
            directory.append(examples.training_row(i, curve) | {"key": key})
    code, out, error = launch(
        f"--run={tmp_path}/nngp",
        f"--run=long={tmp_path}/training",
        f"--out={tmp_path}/out",
        "--gin_param=compare.num_resamples = 20",
        "--gin_param=compare.k = 3",
        "--gin_param=compare.signals = ['nngp/*_accuracy@best', 'long/*_1', 'nngp/parameters']",
    )
    assert code == 0, error
    lines = out.splitlines()
    assert lines[0] == "nngp: 6 architectures, 0 of them failed"
    assert lines[-1] == f"wrote {tmp_path}/out/report.html"
    assert any(line.startswith("6 architectures, truth: validation accuracy aft") for line in lines)
    with (tmp_path / "out" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["signal"] for row in rows] == [
        "nngp/test_accuracy@best",
        "nngp/loo_accuracy@best",
        "long/validation_accuracy_1",
        "nngp/parameters",
    ]
    assert all(float(row["num_architectures"]) == 6 for row in rows)
    assert (tmp_path / "out" / "report.html").stat().st_size > 100_000


def test_a_failed_architecture_is_counted(nngp, bench, tmp_path):
    code, out, error = launch(
        f"--run={nngp}",
        f"--table={bench}",
        f"--out={tmp_path}/out",
        "--gin_param=compare.num_resamples = 5",
        "--gin_param=compare.k = 3",
        "--gin_param=compare.signals = ['nngp/test_accuracy@best']",
    )
    assert code == 0, error
    lines = out.splitlines()
    assert "nngp: 10 architectures, 1 of them failed" in lines
    assert "nngp/test_accuracy@best has no value for 1 of those with a known truth" in lines
    assert any(line.startswith("9 architectures, truth: ") for line in lines)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("k = 10", r"k must be between 1 and the number of architectures \(9\), got 10"),
        ("k = 2.5", "k must be an integer, got 2.5: correct it in gin"),
        ("truth = 'bench/x'", "no signal 'bench/x' for the truth: name one of nngp/test_accuracy"),
        ("signals = ['none']", "no signal 'none': name one of nngp/"),
        ("split = 'both'", "split must be 'none' or 'half', got 'both'"),
        ("architectures = 'all'", "architectures must be 'common' or 'each', got 'all'"),
        ("confidence = 95", "confidence must lie between 0 and 1, such as 0.95, got 95"),
        ("widths = 3", "gin: .* have a parameter named 'widths'"),
    ],
)
def test_bad_parameters(nngp, bench, tmp_path, parameter, message):
    refused = launch(
        f"--run={nngp}",
        f"--table={bench}",
        f"--out={tmp_path}/out",
        "--gin_param=compare.k = 3",
        f"--gin_param=compare.{parameter}",
    )
    assert_refused(refused, message)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table=BENCH"], "--out is required"),
        (["--out=OUT"], "nothing to compare: name runs with --run"),
        (["--out=OUT", "--run=OUT"], "there is no run at"),
        (["--out=OUT", "--table=BENCH", "--table=BENCH"], "2 runs or tables are called 'bench'"),
        (["--out=OUT", "--table=none.csv"], r"there is no file none\.csv"),
        (["--out=OUT", "--run=NNGP"], "the truth is not known: name a table with --table"),
    ],
)
def test_bad_flags(nngp, bench, tmp_path, arguments, message):
    names = {"BENCH": str(bench), "OUT": f"{tmp_path}/out", "NNGP": str(nngp)}
    given = [re.sub("BENCH|OUT|NNGP", lambda m: names[m[0]], text) for text in arguments]
    assert_refused(launch(*given), message)
    assert not (tmp_path / "out").exists()
