"""Every benchmark runs at its smallest size and writes what its tables say."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import networks, record_file, timing
from nngp_tf.data import benchmark_table
from nngp_tf.models import Nasbench101Network
from nngp_tf.search_spaces import nasbench101
from nngp_tf.search_spaces.nasbench101 import Cell

SMALL = ["--stem_filters=4", "--image_size=8"]
ABSENT = "--shared_data=absent"


def run(module, out, *flags, repeats=1):
    path = out / "result.json"
    command = [sys.executable, "-m", module, f"--json={path}", f"--repeats={repeats}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=timing.ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(path.read_text())
    assert result["benchmark"] == module.split(".")[1]
    assert result["about"]["versions"]["numpy"] in done.stdout
    assert result["about"]["cpu"] in done.stdout
    assert result["settings"]["repeats"] == repeats
    for title in result["tables"]:
        assert title in done.stdout
    return result


def values(rows, name):
    return [row[name] for row in rows]


def check_summary(summary):
    assert 0 < summary["min"] <= summary["median"] <= summary["max"] < math.inf


@pytest.mark.slow
@pytest.mark.long
def test_features(tmp_path):
    flags = ["--cells=1", "--batch=2", ABSENT, *SMALL]
    result = run("benchmarks.features", tmp_path, *flags, repeats=2)
    convolutions, cells, rates, ratios = result["tables"].values()
    for row in convolutions:
        check_summary(row["GFLOP/s"])
    assert len({row["shape"] for row in convolutions}) == 12
    assert len(rates) == len(ratios) == 1
    assert Cell.from_text(cells[0]["text"]).is_valid
    assert rates[0]["ours float32"] > 0
    assert rates[0]["keras function"] > 0
    check_summary(ratios[0]["keras"])
    check_summary(ratios[0]["limit"])
    keras, peer, limit = result["targets"]
    assert keras["value"] == ratios[0]["keras"]["median"]
    assert keras["met"] == (keras["value"] >= 5.0)
    assert limit["met"] == (limit["value"] <= 1.8)
    # No dependency of this package; where it is missing, a note says so.
    assert (peer["value"] is None) == any("left out" in note for note in result["notes"])


@pytest.mark.slow
@pytest.mark.long
def test_mnas_features(tmp_path):
    flags = ["--networks=2", "--batch=2", "--image_size=32", "--width_multiplier=0.25"]
    result = run("benchmarks.mnas_features", tmp_path, *flags, repeats=2)
    described, rates, ratios = result["tables"].values()
    assert values(described, "network") == ["A1", "sampled 1"]
    assert rates[0]["ours float32"] > 0
    for row in ratios:
        check_summary(row["keras"])
        check_summary(row["limit"])
        check_summary(row["prepare in images"])


@pytest.mark.slow
@pytest.mark.long
def test_kernel(tmp_path):
    flags = ["--num_train=8,16", "--num_inits=2", "--at_num_train=16", "--at_num_inits=2"]
    result = run("benchmarks.kernel", tmp_path, *flags, *SMALL)
    rows, fits, comparison = result["tables"].values()
    assert [(row["N"], row["M"]) for row in rows] == [(8, 2), (16, 2)]
    for row in rows:
        check_summary(row["seconds"])
        assert row["peak MiB"] > row["MiB above import"] > 0
    # One M leaves only the exponents of N.
    assert [(fit["of"], fit["at"], fit["along"]) for fit in fits] == [
        ("seconds", "M = 2", "N"),
        ("MiB above import", "M = 2", "N"),
    ]
    assert comparison == []
    assert "neural-tangents left out" in result["notes"][0]


@pytest.mark.slow
@pytest.mark.long
def test_sweep(tmp_path):
    flags = ["--num_networks=1", "--num_keras=1", "--num_train=4", "--num_test=6", ABSENT]
    result = run("benchmarks.sweep", tmp_path, *flags, "--num_inits=1", "--stem_filters=4")
    warm_up, rows, summaries, keras = result["tables"].values()
    assert len(warm_up) == len(rows) == len(keras) == 1
    (row,) = rows
    assert warm_up[0]["seconds of the first"] > row["seconds"]
    kernel = sum(row[p] for p in ("encode", "draw", "calibrate", "features", "Gram", "rest"))
    assert kernel + row["solve"] == pytest.approx(row["seconds"], rel=0.05)
    assert row["beyond the layers"] == pytest.approx(row["seconds"] - row["features"])
    assert keras[0]["keras"] > keras[0]["ours"]
    assert {"seconds", "solve", "beyond the layers"} <= set(values(summaries, ""))
    assert [target["value"] is None for target in result["targets"]] == [False] * 3
    assert "random images" in result["settings"]["images"]


TINY_GPU = [
    *("--device=cpu", "--precisions=bfloat16", "--num_networks=1", ABSENT, *SMALL),
    *("--num_train=8", "--num_test=4", "--num_inits=1", "--num_stacks=1", "--modules_per_stack=1"),
    *("--mnas_image_size=32", "--width_multiplier=0.25"),
    *("--parity_networks=1", "--parity_images=8"),
]


@pytest.mark.slow
def test_gpu(tmp_path):
    # Without the longest of them, XLA's compilation of the shared program.
    names = ("cells", "mnas", "keras", "training", "sweep", "general_path")
    measures = [f"--measures={name}" for name in names]
    result = run("benchmarks.gpu", tmp_path, *TINY_GPU, *measures, repeats=2)
    (rows,) = result["tables"].values()
    values_of = {row[""]: row["bfloat16"] for row in rows}
    parity = [value for title, value in values_of.items() if title.startswith("parity")]
    assert len(parity) == len(result["targets"]) == 4
    # Another precision shows, and another network would show more.
    assert all(1e-6 < value < 0.15 for value in parity)
    assert all(target["met"] for target in result["targets"])
    check_summary(values_of["sweep, seconds a network"])
    assert values_of["sweep, failed networks"] == 0
    assert values_of["sweep, peak MiB"] > 100
    for mode in ("plain", "XLA"):
        check_summary(values_of[f"general path, {mode}, seconds"])
    check_summary(values_of["general path, plain / XLA"])
    assert result["notes"] == []


@pytest.mark.slow
@pytest.mark.long
def test_gpu_shared_program(tmp_path):
    measures = ["--measures=shared_program", "--measures=cells"]
    precisions = ["--precisions=float32,bfloat16"]
    result = run("benchmarks.gpu", tmp_path, *TINY_GPU, *precisions, *measures)
    (rows,) = result["tables"].values()
    for row in rows:
        if row[""] == "parity, NAS-Bench-101":
            assert row["float32"] == 0 < row["bfloat16"]
        if row[""] == "shared program, plain / XLA":
            check_summary(row["float32"])
            check_summary(row["bfloat16"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flag", "named"), [("--device=gpu", "no GPU"), ("--precisions=float8", "float8")]
)
def test_gpu_refuses(flag, named):
    command = [sys.executable, "-m", "benchmarks.gpu", flag]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=timing.ROOT, env=environment)
    assert done.returncode == 2
    assert named in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.long
def test_solve(tmp_path):
    flags = ["--num_train=12,24", "--width=16", "--num_inits=2", "--batch=2", ABSENT]
    result = run("benchmarks.solve", tmp_path, *flags, *SMALL)
    (rows,) = result["tables"].values()
    names = ["ours, kernel space", "scipy", "scikit-learn"]
    with_features = [names[0], "ours, feature space", *names[1:]]
    assert [(row["N"], row[""]) for row in rows] == [
        *((12, name) for name in names),
        *((24, name) for name in with_features),
    ]
    for row in rows:
        check_summary(row["seconds"])
        check_summary(row["seconds / features"])
    # Where peers' accuracies differ from ours a note says so.
    assert result["notes"] == []
    assert result["targets"][0]["met"] is None


@pytest.mark.slow
def test_enumeration(tmp_path):
    flags = ["--vertices=5", "--md5_vertices=4"]
    result = run("benchmarks.enumeration", tmp_path, *flags, repeats=2)
    (rows,) = result["tables"].values()
    assert values(rows, "cells") == [2532, 2532, 91, 91, 91]
    for row in rows:
        check_summary(row["seconds"])
        # Both are medians over the repeats.
        assert row["peak MiB"]["median"] >= row["MiB before"] > 0


@pytest.mark.slow
@pytest.mark.long
def test_records(tmp_path):
    flags = ["--num_records=250", "--num_objects=30", f"--file_dir={tmp_path}"]
    result = run("benchmarks.records", tmp_path, *flags)
    (rows,) = result["tables"].values()
    assert values(rows, "") == ["first load", "from .npz", "objects"]
    # Twelve for each cell.
    assert values(rows, "records") == [240, 240, 24]
    for row in rows:
        check_summary(row["seconds"])
        check_summary(row["CPU seconds"])
        check_summary(row["records/s"])
        check_summary(row["peak MiB"])
    (target,) = result["targets"]
    assert target["value"] == rows[0]["records/s"]["median"]
    # The file of records is gone.
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.slow
@pytest.mark.long  # Each of its processes makes a program.
def test_scale(tmp_path):
    # Of one program.
    cells = tmp_path / "cells.txt"
    layers = ("conv3x3-bn-relu", "conv1x1-bn-relu")
    cells.write_text("".join(f"010/001/000:input,{layer},output\n" for layer in layers))
    flags = [f"--architectures=file:{cells}", "--num_networks=2", "--num_train=20", "--num_test=10"]
    more = ["--num_inits=1", "--stem_filters=4", "--noall_cores", "--shards=3", "--shard_rows=4"]
    result = run("benchmarks.scale", tmp_path, *flags, *more)
    rates, shares, rows = result["tables"].values()
    assert values(rates, "") == values(shares, "") == ["1 worker", "2 workers"]
    one, two = rates
    for row in rates:
        check_summary(row["networks a minute"])
        assert row["networks a minute"]["median"] < 60 * 2 / row["s to the first"]["median"]
    once = {"median": 1, "min": 1, "max": 1}
    assert one["efficiency"] == one["of one worker's, same network"] == once
    speedup = two["networks a minute"]["median"] / one["networks a minute"]["median"]
    assert two["efficiency"]["median"] == pytest.approx(speedup / two["cores"])
    # Between two networks there is a row to store, and all the time is somewhere.
    assert shares[0]["between"]["median"] > 0
    for row in shares:
        parts = [row[phase]["median"] for phase in ("start", "networks", "between", "end")]
        assert sum(parts) == pytest.approx(1)
    assert values(rows, "times or rows") == [12, 3, 4, 12, 12, 12, 12]
    by_name = {row[""]: row for row in rows}
    assert all(row["seconds"] > 0 for row in rows)
    held = by_name["table for the analysis"]["MiB held"]
    assert held > by_name["open with another count"]["MiB held"] > 0
    assert "Beam left out" in result["notes"][0]


def test_a_written_file_of_records_is_sound(tmp_path):
    path = tmp_path / "file.tfrecord"
    record_file.write(path, 2_004, seed=1)
    table = benchmark_table.load(path)
    assert len(table) == 167
    assert list(table)[:3] == list(nasbench101.enumerate_cells(0, 3))
    for epochs in record_file.BUDGETS:
        assert table.accuracies["test", epochs].shape == (167, 3)
        assert table.accuracies["test", epochs].dtype == np.float32
        np.testing.assert_allclose(
            table.halfway_seconds[epochs] * 2, table.training_seconds[epochs]
        )


@pytest.mark.slow
def test_fixed_cells_and_multiply_adds_are_those_of_the_table(shared_data):
    cells, _ = networks.quantile_cells(shared_data)
    table = benchmark_table.load(shared_data / networks.TABLE)
    # The table counts the dense layer, too.
    expected = [table[cell].multiply_adds - 512 * 10 for cell in cells]
    assert [networks.multiply_adds(Nasbench101Network(cell)) for cell in cells] == expected
    assert [cell.key for cell in cells] == [
        Cell.from_text(text).key for text in networks.FIXED_CELLS
    ]


def test_turns_alternate():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ABC"}
    taken = timing.turns(calls, 2)
    assert order == list("ABCABC")
    assert {name: len(seconds) for name, seconds in taken.items()} == {"A": 2, "B": 2, "C": 2}


def test_ratios_are_within_repeats():
    assert timing.ratio([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_slope_is_the_exponent():
    assert timing.slope([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2.0)
    assert timing.slope([2], [3.0]) is None
