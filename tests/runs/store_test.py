"""Run directories: what is on disk after a start, a row, a kill and a refusal."""

import json
import uuid

import pytest
import tensorflow as tf

from nngp_tf.runs.store import SCHEMA, RunDirectory

pytestmark = pytest.mark.fast

CONFIG = {"num_inits": 4, "dataset": "digits", "channel_mean": None}
ABOUT = {"versions": {"nngp_tf": "0"}}


def row(key, **more):
    return {"key": key, "architecture": f"text of {key}", "scan": {"loo_nll": [0.1, None]}, **more}


def read(path):
    with tf.io.gfile.GFile(path, "r") as file:
        return file.read()


def results(path):
    return [json.loads(line) for line in read(f"{path}/results.jsonl").splitlines()]


# ram:// stands for gs://: a file system that only TensorFlow can reach.
@pytest.fixture(params=["plain", "pathlib", "file://", "ram://", "trailing slash"])
def path(request, tmp_path):
    run = tmp_path / "new" / "run"
    return {
        "plain": str(run),
        "pathlib": run,
        "file://": f"file://{run}",
        "ram://": f"ram://nngp_tf_tests/{uuid.uuid4()}",
        "trailing slash": f"{run}/",
    }[request.param]


def test_rows_outlive_the_directory_object(path):
    first = RunDirectory(path, CONFIG, ABOUT)
    assert first.rows == {}
    first.append(row("a"))
    assert results(first.path) == [row("a")]
    first.append(row("b"))
    again = RunDirectory(path, CONFIG, {"versions": "another"})
    assert again.rows == {"a": row("a"), "b": row("b")}
    again.append(row("c"))
    assert list(again.rows) == ["a", "b", "c"]
    assert results(again.path) == [row("a"), row("b"), row("c")]
    assert read(f"{again.path}/results.jsonl").count("\n") == 3
    record = json.loads(read(f"{again.path}/run.json"))
    # Of the run that made it.
    assert record == {"schema": SCHEMA, "config": CONFIG, "about": ABOUT}
    assert again.results_path == f"{str(path).rstrip('/')}/results.jsonl"
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(again.path)]
    assert sorted(names) == ["results.jsonl", "run.json"]


def test_a_row_is_written_before_append_returns(tmp_path):
    directory = RunDirectory(tmp_path, CONFIG)
    for key in "abc":
        directory.append(row(key))
        assert results(tmp_path)[-1]["key"] == key


def test_text_stays_on_its_line(tmp_path):
    odd = row("a", error="two\nlines, é, \u2028 and \x85")
    RunDirectory(tmp_path, CONFIG).append(odd)
    assert RunDirectory(tmp_path, CONFIG).rows["a"] == odd


def test_a_run_killed_at_any_byte_of_its_last_row_goes_on(tmp_path):
    path = tmp_path / "whole"
    for key in "ab":
        RunDirectory(path, CONFIG).append(row(key))
    record = (path / "run.json").read_bytes()
    whole = (path / "results.jsonl").read_bytes()
    for length in range(len(whole) + 1):
        cut = tmp_path / f"cut at {length}"
        cut.mkdir()
        (cut / "run.json").write_bytes(record)
        (cut / "results.jsonl").write_bytes(whole[:length])
        directory = RunDirectory(cut, CONFIG)
        kept = whole[:length].count(b"\n")
        assert list(directory.rows) == ["a", "b"][:kept]
        # What is computed again is appended to whole rows only.
        directory.append(row("c"))
        assert results(cut) == [*map(row, "ab"[:kept]), row("c")]
        assert not (cut / "results.jsonl.partial").exists()


def test_a_refused_run_binds_nobody(tmp_path):
    RunDirectory(tmp_path, CONFIG, {"run": "refused before its first row"})
    assert not (tmp_path / "run.json").exists()
    other = CONFIG | {"num_inits": 8}
    RunDirectory(tmp_path, other, ABOUT).append(row("a"))
    assert json.loads((tmp_path / "run.json").read_text())["config"] == other
    assert json.loads((tmp_path / "run.json").read_text())["about"] == ABOUT


def test_another_configuration_is_refused_and_named(tmp_path):
    RunDirectory(tmp_path, CONFIG).append(row("a"))
    before = (tmp_path / "results.jsonl").read_bytes()
    other = {"num_inits": 8, "dataset": "digits", "seed": 3}
    with pytest.raises(ValueError, match="was made with another configuration") as caught:
        RunDirectory(tmp_path, other)
    message = str(caught.value)
    assert message.startswith(f"run directory {tmp_path} ")
    assert "(num_inits is 8 here and 4 there; seed is 3 here and None there)" in message
    assert "dataset" not in message
    assert "name a new directory" in message
    assert (tmp_path / "results.jsonl").read_bytes() == before


def test_configurations_are_compared_as_json(tmp_path):
    RunDirectory(tmp_path, {"mean": (0.1, 2), "size": 3}).append(row("a"))
    assert RunDirectory(tmp_path, {"size": 3, "mean": [0.1, 2.0]}).rows


def test_a_run_is_not_resumed_against_the_callers_will(tmp_path):
    RunDirectory(tmp_path, CONFIG, resume=False).append(row("a"))
    with pytest.raises(ValueError, match="holds a run already: resume it, or name another"):
        RunDirectory(tmp_path, CONFIG, resume=False)
    assert results(tmp_path) == [row("a")]
    assert list(RunDirectory(tmp_path, CONFIG).rows) == ["a"]


def test_another_schema_is_refused(tmp_path):
    RunDirectory(tmp_path, CONFIG).append(row("a"))
    record = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(record | {"schema": SCHEMA + 1}))
    message = rf"run\.json has schema {SCHEMA + 1}, expected {SCHEMA}: .* name a new run directory"
    with pytest.raises(ValueError, match=message):
        RunDirectory(tmp_path, CONFIG)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"{}", b"\xff\xfe"])
def test_a_foreign_record_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json is not the record of a run of nngp_tf"):
        RunDirectory(tmp_path, CONFIG)


def test_results_without_a_record_are_refused(tmp_path):
    RunDirectory(tmp_path, CONFIG).append(row("a"))
    (tmp_path / "run.json").unlink()
    with pytest.raises(ValueError, match=r"has results\.jsonl but no run\.json"):
        RunDirectory(tmp_path, CONFIG)


@pytest.mark.parametrize("line", ["not json", "3", '{"no": "key"}', ""])
def test_a_malformed_row_is_refused_by_its_line(tmp_path, line):
    RunDirectory(tmp_path, CONFIG).append(row("a"))
    path = tmp_path / "results.jsonl"
    path.write_text(path.read_text() + line + "\n" + json.dumps(row("b")) + "\n")
    with pytest.raises(ValueError, match=r"results\.jsonl:2 is not a row of results: remove"):
        RunDirectory(tmp_path, CONFIG)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"/file/run cannot be written \(.*\): name another"):
        RunDirectory(tmp_path / "file" / "run", CONFIG)
    with pytest.raises(ValueError, match=r"nowhere://run cannot be written \(.*nowhere"):
        RunDirectory("nowhere://run", CONFIG)


@pytest.mark.parametrize("begun", [False, True])
def test_a_place_that_is_read_only_is_refused_before_the_first_row(tmp_path, monkeypatch, begun):
    if begun:
        RunDirectory(tmp_path, CONFIG).append(row("a"))
    gfile = tf.io.gfile.GFile

    def read_only(name, mode="r"):
        if mode != "r":
            raise tf.errors.PermissionDeniedError(None, None, "read-only")
        return gfile(name, mode)

    # Permissions would not stop a superuser.
    monkeypatch.setattr(tf.io.gfile, "GFile", read_only)
    with pytest.raises(ValueError, match=r"cannot be written \(read-only\): name another"):
        RunDirectory(tmp_path, CONFIG)
    assert list(RunDirectory(tmp_path, CONFIG, writable=False).rows) == (["a"] if begun else [])


def test_a_follower_writes_nothing(tmp_path):
    absent = tmp_path / "absent"
    follower = RunDirectory(absent, CONFIG, writable=False)
    follower.append(row("a"))
    follower.write_text("x.gin", "text")
    assert follower.rows == {"a": row("a")}
    assert not absent.exists()

    RunDirectory(tmp_path, CONFIG).append(row("a"))
    path = tmp_path / "results.jsonl"
    # The writer may be in the middle of a row.
    path.write_text(path.read_text() + '{"key": "b')
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    follower = RunDirectory(tmp_path, CONFIG, writable=False)
    assert list(follower.rows) == ["a"]
    follower.append(row("b"))
    follower.write_text("x.gin", "text")
    assert list(follower.rows) == ["a", "b"]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    with pytest.raises(ValueError, match="another configuration"):
        RunDirectory(tmp_path, {}, writable=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_lacks_is_refused(tmp_path, value):
    directory = RunDirectory(tmp_path, CONFIG)
    directory.append(row("a"))
    before = (tmp_path / "results.jsonl").read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        directory.append(row("b", scan={"loo_nll": [value]}))
    assert list(directory.rows) == ["a"]
    assert (tmp_path / "results.jsonl").read_bytes() == before


def test_a_second_row_of_an_architecture_is_refused(tmp_path):
    RunDirectory(tmp_path, CONFIG).append(row("a"))
    directory = RunDirectory(tmp_path, CONFIG)
    with pytest.raises(ValueError, match=r"results\.jsonl already has a row of architecture a"):
        directory.append(row("a"))
    assert results(tmp_path) == [row("a")]


def test_texts_are_replaced_as_a_whole(path):
    directory = RunDirectory(path, CONFIG)
    directory.write_text("x.gin", "long text\n" * 9)
    directory.write_text("x.gin", "é\n")
    assert read(f"{directory.path}/x.gin") == "é\n"
    assert not tf.io.gfile.exists(f"{directory.path}/x.gin.partial")
