"""Tables: rows of all shards, which of two of a key, and what is damaged."""

import itertools
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngp_tf.runs import table
from nngp_tf.runs.store import RunDirectory

pytestmark = pytest.mark.fast

CONFIG = {"what": "tests"}
FUZZ_CASES = int(os.environ.get("NNGP_TF_FUZZ_CASES", "100"))


def fill(path, shard, rows, config=CONFIG):
    """A shard with rows of (key, status); a mark tells who wrote them."""
    with RunDirectory(path, config, shard=shard) as directory:
        for key, status in rows:
            directory.append({"key": key, "status": status, "by": list(shard)})


def test_shards_are_one_table(tmp_path):
    fill(tmp_path, (0, 2), [("a", "ok"), ("c", "failed")])
    fill(tmp_path, (1, 2), [("b", "ok")])
    read = table.read_table(tmp_path)
    read.check()
    assert list(read.rows) == ["a", "c", "b"]
    assert read.rows["b"] == {"key": "b", "status": "ok", "by": [1, 2]}
    assert (read.path, read.duplicates, read.damages) == (str(tmp_path), 0, [])
    assert read.record.config == CONFIG
    assert [file.place.shard.index for file in read.files] == [0, 1]


@pytest.mark.parametrize("statuses", list(itertools.product(["ok", "failed"], repeat=3)))
def test_of_rows_of_one_key_the_first_that_is_ok_counts(tmp_path, statuses, caplog):
    caplog.set_level("INFO", logger="absl")
    for index, status in enumerate(statuses):
        fill(tmp_path, (index, 3), [("a", status), (str(index), "ok")])
    read = table.read_table(tmp_path)
    first = statuses.index("ok") if "ok" in statuses else 0
    assert read.rows["a"] == {"key": "a", "status": statuses[first], "by": [first, 3]}
    assert (read.duplicates, len(read.rows)) == (2, 4)
    assert f"{tmp_path}: 2 rows are of architectures that have another" in caplog.text


def test_plain_files_are_read_too(tmp_path):
    record = {"schema": 1, "config": CONFIG, "about": {}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    (tmp_path / "results.jsonl").write_text('{"key": "a"}\n{"key": "b"}\n')
    (tmp_path / "results-00000-of-00002.jsonl").write_text('{"key": "c"}\n{"key": "d"')
    (tmp_path / "other.jsonl").write_text('{"key": "e"}\n')
    read = table.read_table(tmp_path)
    read.check()
    assert list(read.rows) == ["c", "a", "b"]
    assert [file.torn for file in read.files] == [b'{"key": "d"', b""]


def test_a_malformed_plain_row_is_damage(tmp_path):
    (tmp_path / "results.jsonl").write_text('{"key": "a"}\nnot json\n{"key": "b"}\n')
    read = table.read_table(tmp_path)
    assert list(read.rows) == ["a", "b"]
    with pytest.raises(ValueError, match=r"results\.jsonl:2 is not a row of results: keep the"):
        read.check()


def test_a_chunk_of_another_configuration_is_damage(tmp_path):
    fill(tmp_path / "one", (0, 2), [("a", "ok")])
    fill(tmp_path / "two", (1, 2), [("b", "ok"), ("c", "ok")], {"what": "something else"})
    name = "results-00001-of-00002-00000.jsonl"
    (tmp_path / "one" / name).write_bytes((tmp_path / "two" / name).read_bytes())
    read = table.read_table(tmp_path / "one")
    assert list(read.rows) == ["a"]
    message = rf"{name}:1 is of a run of another configuration \(and 1 more\): keep the good rows"
    with pytest.raises(ValueError, match=message):
        read.check()


def test_nothing_there(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        read = table.read_table(path)
        assert (read.record, read.files, read.rows) == (None, (), {})
        read.check()


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file cannot be read \(Not a directory\): name another"):
        table.read_table(tmp_path / "file")
    (tmp_path / "results-x.jsonl").mkdir()
    with pytest.raises(ValueError, match=r"cannot be read \(it is not a plain file\)"):
        table.read_table(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "results.jsonl")
    with pytest.raises(ValueError, match=r"cannot be read \(it is not a plain file\)"):
        table.read_table(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "run"
    fill(path, (0, 2), [("a", "ok"), ("b", "failed")])
    fill(path, (1, 2), [("b", "ok")])
    (path / "results.jsonl").write_text('{"key": "c"}\n')
    return path, {p.name: p.read_bytes() for p in path.iterdir()}


@pytest.mark.fuzz
@settings(max_examples=FUZZ_CASES, deadline=None)
@given(data=st.data())
def test_whatever_files_hold_there_are_rows_or_a_sentence(run, data):
    path, contents = run
    for name, content in contents.items():
        changed = bytearray(content)
        for _ in range(data.draw(st.integers(0, 2))):
            at = data.draw(st.integers(0, len(changed)))
            changed[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
        (path / name).write_bytes(changed)
    try:
        read = table.read_table(path)
        read.check()
        assert all(row["key"] == key for key, row in read.rows.items())
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
        assert str(path) in str(error) or "results-" in str(error)
