"""Rows by key: what is kept, what is read, and in which order."""

import pytest

from nngp_tf.runs import chunks, files, table
from nngp_tf.runs.rows import StoredRows

pytestmark = pytest.mark.fast


def row(key, status="ok", **more):
    return {"key": key, "status": status, **more}


@pytest.fixture
def write(tmp_path):
    """Writes a chunk of rows, and returns it as it is read."""

    def write_chunk(index, *rows):
        place = chunks.Place(chunks.Shard(0, 1), index)
        content = chunks.encode(place, "digest", [chunks.new_entry(r, 1.0) for r in rows])
        (tmp_path / place.name).write_bytes(content)
        return table.read_file(str(tmp_path), place.name, None)

    return write_chunk


@pytest.fixture
def opened(monkeypatch):
    """Collects the files that are read."""
    read, names = files.read, []
    monkeypatch.setattr(files, "read", lambda p: names.append(p.rpartition("/")[2]) or read(p))
    return names


def test_each_file_is_read_once(tmp_path, write, opened):
    rows = StoredRows(str(tmp_path))
    places = [write(0, row("a"), row("b")), write(1, row("c"), row("d", "failed"))]
    for file in places:
        rows.take(file)
    opened.clear()
    assert (list(rows), len(rows), "a" in rows, "e" in rows) == (list("abcd"), 4, True, False)
    assert rows.failed() == {"d"}
    assert opened == []
    assert rows.of(["c", "a", "d", "b"]) == [row("c"), row("a"), row("d", "failed"), row("b")]
    assert opened == [file.name for file in places]
    opened.clear()
    assert list(rows.values()) == [row("a"), row("b"), row("c"), row("d", "failed")]
    assert len(opened) == 2
    assert rows.of([]) == []


@pytest.mark.parametrize("statuses", [("ok", "ok"), ("ok", "failed"), ("failed", "ok")])
def test_of_rows_of_a_key_the_one_that_the_table_keeps(tmp_path, write, statuses):
    rows = StoredRows(str(tmp_path))
    for index, status in enumerate(statuses):
        rows.take(write(index, row("a", status, by=index), row(str(index))))
    assert rows == table.read_table(tmp_path).rows
    assert list(rows) == ["a", "0", "1"]
    assert rows["a"]["by"] == statuses.index("ok")
    assert rows.failed() == set()


def test_rows_without_a_file_are_held(tmp_path, write, opened):
    rows = StoredRows(str(tmp_path))
    rows.take(write(0, row("a")))
    mine = row("b", "failed")
    rows.add(mine, None)
    mine["status"] = "changed"
    assert rows.of("ba") == [row("b", "failed"), row("a")]
    rows.discard(rows.failed())
    assert rows == {"a": row("a")}
    with pytest.raises(KeyError):
        rows["b"]


def test_a_file_that_has_grown_is_read_again(tmp_path, write):
    rows = StoredRows(str(tmp_path))
    rows.take(write(0, row("a")))
    assert rows["a"] == row("a")
    rows.add(row("b"), write(0, row("a"), row("b")).name)
    assert rows["b"] == row("b")


def test_damage_since_is_told(tmp_path, write):
    rows = StoredRows(str(tmp_path))
    file = write(0, row("a"), row("b"))
    rows.take(file)
    path = tmp_path / file.name
    path.write_bytes(path.read_bytes().replace(b'"key": "b"', b'"key": "B"'))
    with pytest.raises(ValueError, match=rf"{file.name}:2 does not match its checksum"):
        rows["a"]
    path.unlink()
    with pytest.raises(ValueError, match=rf"{file.name} no longer has the row of architecture a"):
        rows["a"]
