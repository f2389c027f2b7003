"""Repair: good rows kept, bad ones set aside, and the run whole again."""

import json
import os
import shutil

import pytest

from nngp_tf.runs import lock, store, table
from nngp_tf.runs.chunks import Shard
from nngp_tf.runs.repair import repair
from nngp_tf.runs.store import RunDirectory

pytestmark = pytest.mark.fast

CONFIG = {"what": "tests"}
SECOND = "results-00000-of-00001-00001.jsonl"


def row(key):
    return {"key": key, "status": "ok", "scan": {"loo_nll": [0.1, None]}}


def run(path, keys="abcdefg"):
    """Starts a run, or goes on with it; returns the keys that were computed."""
    computed = []
    with RunDirectory(path, CONFIG) as directory:
        for key in keys:
            if key not in directory.rows:
                directory.append(row(key))
                computed.append(key)
    return "".join(computed)


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A run of three chunks of up to three rows."""
    monkeypatch.setattr(store, "CHUNK_ROWS", 3)
    assert run(tmp_path / "run") == "abcdefg"
    return tmp_path / "run"


def assert_whole(path):
    read = table.read_table(path)
    read.check()
    assert read.rows == {key: row(key) for key in "abcdefg"}
    assert read.duplicates == 0


def quarantined(path):
    return {p.name: p.read_bytes() for p in path.iterdir() if p.name.startswith("quarantine-")}


def test_a_whole_run_is_left_alone(path):
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    assert repair(path) == []
    assert {p.name: p.read_bytes() for p in path.iterdir()} == before


def test_a_changed_row_is_set_aside_and_computed_again(path):
    lines = (path / SECOND).read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"0.1", b"0.2")
    (path / SECOND).write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=rf"{SECOND}:2 does not match its checksum"):
        run(path)
    (line,) = repair(path)
    ((name, content),) = quarantined(path).items()
    assert line == (
        f"{path}/{SECOND}:2 does not match its checksum: kept 2 good rows, set aside as {name}"
    )
    assert (name.endswith(f"-{SECOND}"), content) == (True, lines[1])
    assert repair(path) == []
    assert run(path) == "e"
    assert_whole(path)


def test_a_file_cut_anywhere_is_recovered(path, tmp_path):
    content = (path / SECOND).read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    lengths = {*range(0, len(content), 61), *(e + i for e in ends for i in (-2, -1, 0, 1))}
    for length in sorted(length for length in lengths if length < len(content)):
        cut = tmp_path / str(length)
        shutil.copytree(path, cut)
        (cut / SECOND).write_bytes(content[:length])
        with pytest.raises(ValueError, match=f"{SECOND}:"):
            run(cut)
        assert len(repair(cut)) == 1
        # A row that lacks nothing but its end of line is a row.
        whole = sum(length >= end - 1 for end in ends)
        whole_at = [end - 1 for end in ends]
        torn = content[max([0, *(end for end in ends if end <= length)]) : length]
        assert list(quarantined(cut).values()) == [torn + b"\n"] * (
            length not in whole_at and bool(torn)
        )
        assert run(cut) == "def"[whole:]
        assert_whole(cut)


def test_a_file_without_a_good_row_is_removed(path):
    (path / SECOND).write_bytes(b"\x00" * 100)
    assert "kept 0 good rows" in repair(path)[0]
    assert not (path / SECOND).exists()
    assert list(quarantined(path).values()) == [b"\x00" * 100 + b"\n"]
    assert run(path) == "def"
    assert_whole(path)


def test_missing_rows_alone_leave_nothing_to_set_aside(path):
    lines = (path / SECOND).read_bytes().splitlines(keepends=True)
    (path / SECOND).write_bytes(b"".join(lines[:2]))
    assert repair(path) == [
        f"{path}/{SECOND}:3 lacks rows 3 of 3: kept 2 good rows, set aside nothing"
    ]
    assert quarantined(path) == {}
    assert run(path) == "f"
    assert_whole(path)


def test_several_files_and_twice(path):
    for _ in range(2):
        for p in sorted(path.glob("results-*")):
            p.write_bytes(p.read_bytes()[3:])
        assert len(repair(path)) == 3
        assert len(run(path)) == 3
        assert_whole(path)
    assert len(quarantined(path)) == 6


def test_a_damaged_record_is_written_again_by_its_run_and_no_other(path):
    text = (path / "run.json").read_text()
    (path / "run.json").write_text(text.replace("tests", "texts"))
    (line,) = repair(path)
    ((name, content),) = quarantined(path).items()
    assert (
        line == f"{path}/run.json: set aside as {name}; the next start of the run writes it again"
    )
    assert b"texts" in content
    with pytest.raises(ValueError, match=r"no run\.json to say how its rows were computed"):
        RunDirectory(path, {"what": "texts"})
    assert run(path, "abcdefgh") == "h"
    assert json.loads((path / "run.json").read_text())["config"] == CONFIG


def test_plain_files(tmp_path):
    record = {"schema": 1, "config": CONFIG, "about": {}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    lines = [json.dumps(row(key)) for key in "abc"]
    text = "\n".join([lines[0], "nonsense", lines[1], lines[2]]) + "\n"
    (tmp_path / "results.jsonl").write_text(text)
    (line,) = repair(tmp_path)
    assert line.startswith(f"{tmp_path}/results.jsonl:2 is not a row of results: kept 3 good rows")
    assert (tmp_path / "results.jsonl").read_text().splitlines() == lines
    assert list(quarantined(tmp_path).values()) == [b"nonsense\n"]
    assert run(tmp_path) == "defg"


def test_a_shard_that_is_being_written_is_not_repaired(path):
    content = (path / SECOND).read_bytes()
    (path / SECOND).write_bytes(content[:-9])
    claim = {
        "host": "elsewhere",
        "machine": "another",
        "pid": 7,
        "started": 8,
        "since": 0,
        "seen": 0,
        "held": True,
    }
    (path / "lock-00000-of-00001-0a.json").write_text(json.dumps(claim))
    with pytest.raises(ValueError, match="is being written by process 7 on elsewhere"):
        repair(path)
    assert (path / SECOND).read_bytes() == content[:-9]
    os.remove(path / "lock-00000-of-00001-0a.json")
    # Other shards' writers do not mind.
    other = lock.Claim(str(path), Shard(1, 2))
    assert len(repair(path)) == 1
    other.release()


def test_places_without_a_run(tmp_path):
    with pytest.raises(ValueError, match=r"there is no run at .*absent: run\.json is missing"):
        repair(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file cannot be repaired \(Not a directory\)"):
        repair(tmp_path / "file")
