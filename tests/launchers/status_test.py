"""The launcher that shows how far a run is and repairs it, beside a run as a real process."""

import functools
import json
import os

import pytest
import tensorflow as tf

from launchers import status
from nngp_tf.runs.store import RunDirectory
from tests.launchers import launching

pytestmark = pytest.mark.slow

CONFIG = {"what": "tests"}
launch = functools.partial(launching.launch, status)
start = functools.partial(launching.start, "status")


def fill(path, keys, shard, total, status="ok"):
    with RunDirectory(path, CONFIG, shard=shard) as directory:
        directory.expect(total)
        for key in keys:
            directory.append({"key": key, "status": status})


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "run"
    fill(path, "abc", (0, 2), 4)
    fill(path, "d", (1, 2), 4, status="failed")
    return path


def test_a_run_is_shown(run):
    with RunDirectory(run, CONFIG, shard=(1, 2)):
        code, out, error = launching.finish(start(f"--run_dir={run}"))
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{run}: 4 of 8 architectures done, 1 failed"
    assert "an hour in the last hour" in lines[1] and lines[1].endswith(" left")
    first, second = (line.split() for line in lines[3:5])
    assert first[:6] == ["0", "of", "2", "3", "0", "4"]
    assert first[-1] == "none"
    assert second[:6] == ["1", "of", "2", "1", "1", "4"]
    assert f"process {os.getpid()} on" in lines[4]
    assert lines[-1] == f"read {run}"


def test_a_run_is_watched_to_its_end(run):
    process = start(f"--run_dir={run}", "--watch=0.1")
    try:
        assert "4 of 8 architectures done" in process.stdout.readline()
        fill(run, "fgh", (1, 2), 4)
        fill(run, "e", (0, 2), 4)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert f"{run}: 8 of 8 architectures done, 1 failed" in out
    assert out.splitlines()[-1] == f"read {run}"


def test_curves_are_written_for_tensorboard(run, tmp_path):
    code, out, _ = launch(f"--run_dir={run}", f"--tensorboard={tmp_path}/curves")
    assert (code, out.splitlines()[-1]) == (0, f"wrote {tmp_path}/curves")
    (name,) = map(str, (tmp_path / "curves").iterdir())
    values = [
        (value.tag, value.simple_value)
        for event in tf.compat.v1.train.summary_iterator(name)
        for value in event.summary.value
    ]
    assert values[-3:-1] == [("progress/done", 4.0), ("progress/failed", 1.0)]


def test_damage_is_shown_and_repaired_by_the_command_that_is_named(run):
    path = run / "results-00000-of-00002-00000.jsonl"
    text = path.read_text()
    path.write_text(text.replace('"key": "b"', '"key": "B"'))
    code, out, error = launch(f"--run_dir={run}")
    assert code == 2
    assert f"damaged: {path.name}:2 does not match its checksum" in out.splitlines()
    command = f"python -m nngp_tf.launchers.status --run_dir={run} --repair"
    assert error == f"status: {run} is damaged in 1 places: repair it with `{command}`\n"
    with pytest.raises(ValueError, match=r"results-00000-of-00002-00000\.jsonl:2") as caught:
        RunDirectory(run, CONFIG)
    assert f"`{command}`" in str(caught.value)
    code, out, error = launching.finish(start(*command.split()[3:]))
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert "kept 2 good rows, set aside as quarantine-" in lines[0]
    assert lines[1] == f"repaired {run}"
    assert sorted(RunDirectory(run, CONFIG).rows) == ["a", "c", "d"]
    assert launch(*command.split()[3:])[1] == f"nothing is damaged\nleft {run} as it is\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--run_dir is required"),
        (["--run_dir=absent"], "there is no run at absent: run.json is missing"),
        (["--run_dir=absent", "--repair"], "there is no run at absent: run.json is missing"),
        (["--run_dir=x", "--watch=0"], "flag --watch=0: 0.0 is not number >= 0.1"),
        (["--run_dir=x", "more"], "unexpected argument 'more': launchers take flags only"),
    ],
)
def test_bad_flags(arguments, sentence):
    assert launch(*arguments) == (2, "", f"status: {sentence}\n")


def test_a_schema_to_come(run):
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"schema": 99}))
    for more in ([], ["--repair"]):
        code, out, error = launch(f"--run_dir={run}", *more)
        assert (code, out) == (2, "")
        assert f"{run}/run.json has schema 99, and nngp_tf" in error
