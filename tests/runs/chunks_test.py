"""Chunks: what is read back, and that no changed byte is."""

import dataclasses
import hashlib
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngp_tf import version
from nngp_tf.runs import chunks
from nngp_tf.runs.chunks import Place, Shard

pytestmark = pytest.mark.fast

PLACE = Place(Shard(1, 4), 12)
CONFIG = "0123456789abcdef"
FUZZ_CASES = int(os.environ.get("NNGP_TF_FUZZ_CASES", "300"))  # `make test-slow` asks for more.


def row(key, **more):
    return {"key": key, "architecture": f"text of {key}", "scan": {"loo_nll": [0.1, None]}, **more}


def entries(keys):
    return [chunks.new_entry(row(key), 1764000000.1234 + i) for i, key in enumerate(keys)]


def encoded(keys):
    return chunks.encode(PLACE, CONFIG, entries(keys))


def rows(content, place=PLACE):
    """The rows that are read, and the damages as text."""
    read, damages = chunks.decode(place, content)
    return [entry.row for entry in read], [str(damage) for damage in damages]


def test_rows_are_read_back():
    content = encoded("abc")
    assert rows(content) == ([row("a"), row("b"), row("c")], [])
    read, _ = chunks.decode(PLACE, content)
    assert [entry.time for entry in read] == [1764000000.123, 1764000001.123, 1764000002.123]
    assert {entry.config for entry in read} == {CONFIG}
    # Written again, they are the same bytes, and so they are as part of more rows.
    assert chunks.encode(PLACE, CONFIG, read) == content


def test_a_line_is_a_row_and_says_what_it_is():
    lines = encoded("ab").decode().splitlines()
    assert len(lines) == 2
    stored = json.loads(lines[1])
    assert {name: stored[name] for name in row("b")} == row("b")
    assert stored["stored"] == {
        "schema": 2,
        "version": version.__version__,
        "config": CONFIG,
        "shard": [1, 4],
        "chunk": 12,
        "row": 2,
        "rows": 2,
        "time": 1764000001.123,
        # As anybody can check: of the bytes before the field.
        "checksum": hashlib.sha256(lines[1].partition(', "checksum"')[0].encode()).hexdigest(),
    }


@pytest.mark.parametrize(
    "value",
    [
        "two\nlines, é, \u2028, \x85 and \x00",
        '", "stored": {"schema": 2, "checksum": "',
        {"stored": {"checksum": "0" * 64}},
        [1e-300, 0.1 + 0.2, -0.0, 2**70],
        None,
    ],
)
def test_any_value_stays_on_its_line(value):
    odd = row("a", error=value)
    content = chunks.encode(PLACE, CONFIG, [chunks.new_entry(odd, 0.0), *entries("b")])
    assert content.count(b"\n") == 2
    assert rows(content) == ([odd, row("b")], [])


def test_a_chunk_cut_anywhere_is_damaged():
    content = encoded("abc")
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for length in range(len(content)):
        read, damages = rows(content[:length])
        # A row that lacks nothing but its end of line is a row.
        assert read == [row(key) for key, end in zip("abc", ends, strict=True) if length >= end - 1]
        assert len(damages) == 1, length
    assert rows(b"") == ([], [f"{PLACE.name}:1 is empty"])
    assert rows(content[: ends[0]])[1] == [f"{PLACE.name}:2 lacks rows 2-3 of 3"]
    assert rows(content[: ends[1]])[1] == [f"{PLACE.name}:3 lacks rows 3 of 3"]
    assert rows(content[:-1])[1] == [f"{PLACE.name}:3 lacks its end of line"]
    assert rows(content[:-2])[1] == [f"{PLACE.name}:3 is not a row of results"]
    assert rows(content[ends[0] :])[1] == [f"{PLACE.name}:3 lacks rows 1 of 3"]


def test_every_flipped_bit_of_every_byte_is_found():
    content = encoded("ab")
    whole = [row("a"), row("b")]
    for position in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            read, damages = rows(bytes(flipped))
            assert damages, (position, bit)
            # What is read is as it was written.
            assert all(r in whole for r in read)
            assert len(read) >= 1 or flipped[content.index(b"\n")] != ord("\n")


@pytest.mark.parametrize(
    ("order", "damage"),
    [
        ([0, 2], "3 lacks rows 2 of 3"),
        ([0, 1, 1, 2], "3 is not in its place"),
        ([1, 0, 2], "2 is not in its place"),
        ([0, 1, 2, 0], "4 is not in its place"),
    ],
)
def test_rows_that_are_moved_removed_or_doubled(order, damage):
    lines = encoded("abc").splitlines(keepends=True)
    read, damages = rows(b"".join(lines[i] for i in order))
    assert damages == [f"{PLACE.name}:{damage}"]
    keys = [r["key"] for r in read]
    assert len(set(keys)) == len(keys) >= 2


def test_rows_of_another_state_of_the_chunk():
    older, newer = encoded("ab").splitlines(keepends=True), encoded("abc").splitlines(keepends=True)
    read, damages = rows(newer[0] + older[1] + newer[2])
    assert [r["key"] for r in read] == ["a", "c"]
    assert damages == [f"{PLACE.name}:2 is of another state of the file"]


def test_a_chunk_in_the_place_of_another():
    for place in (Place(PLACE.shard, 13), Place(Shard(1, 5), 12), Place(Shard(0, 4), 12)):
        read, damages = rows(encoded("a"), place)
        assert (read, damages) == ([], [f"{place.name}:1 belongs to another chunk"])


def sealed(stored, text='{"key": "a"'):
    """A line with a right checksum, whatever it says."""
    head = f'{text}, "stored": {json.dumps(stored)[:-1]}'
    return f'{head}, "checksum": "{hashlib.sha256(head.encode()).hexdigest()}"}}}}\n'.encode()


STORED = {
    "schema": 2,
    "version": "0",
    "config": "0",
    "shard": [1, 4],
    "chunk": 12,
    "row": 1,
    "rows": 1,
    "time": 0,
}


def test_a_schema_to_come_is_refused():
    assert rows(sealed(STORED)) == ([{"key": "a"}], [])
    message = (
        rf"{PLACE.name}:1 has schema 3, and nngp_tf {version.__version__} reads up to 2: read it "
        "with the version that wrote it, or name a new run directory"
    )
    with pytest.raises(ValueError, match=message):
        chunks.decode(PLACE, sealed(STORED | {"schema": 3}))


@pytest.mark.parametrize(
    "change",
    [
        *({"schema": 1}, {"schema": "2"}, {"schema": None}, {"row": 0}, {"row": 2}, {"row": True}),
        *({"rows": 0}, {"rows": "1"}, {"time": None}, {"time": -1}, {"time": 1e300}, {"chunk": 1}),
        *({"shard": [1]}, {"shard": 1}, {"config": 0}, {"version": None}, {"time": True}),
    ],
)
def test_what_no_writer_writes_is_damage(change):
    read, damages = rows(sealed(STORED | change))
    assert (read, len(damages)) == ([], 1)


@pytest.mark.parametrize("text", ['{"key": 3', '{"a": "b"', '{"key": "a", "x": NaN', "{" * 10**5])
def test_what_is_no_row_is_damage(text):
    read, damages = rows(sealed(STORED, text))
    assert (read, len(damages)) == ([], 1)


def test_a_huge_number_of_missing_rows_is_told_at_once():
    _, damages = rows(sealed(STORED | {"rows": 10**18}))
    assert damages == [f"{PLACE.name}:2 lacks rows 2-{10**18} of {10**18}"]


@pytest.mark.fuzz
@settings(max_examples=FUZZ_CASES, deadline=None)
@given(st.data())
def test_any_change_is_found(data):
    """Several bytes replaced, inserted or removed at once."""
    content = encoded("abc")
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed)))
        length = data.draw(st.integers(0, 40))
        changed[at : at + length] = data.draw(st.binary(max_size=40))
    read, damages = rows(bytes(changed))
    assert all(r in (row("a"), row("b"), row("c")) for r in read)
    assert bytes(changed) == content or damages


@pytest.mark.fuzz
@settings(max_examples=FUZZ_CASES, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\n01a\\eN', max_size=200))
def test_anything_can_be_read(content):
    content = content if isinstance(content, bytes) else content.encode()
    assert chunks.decode(PLACE, content)[0] == []
    assert chunks.decode(PLACE, content)[1]
    for entry in chunks.decode_plain("results.jsonl", content)[0]:
        assert isinstance(entry.row["key"], str)


def test_plain_files():
    text = '{"key": "a", "é": 1}\n {"key": "b"} \r\n3\n\n{"key": 4}\n{"key": "c", "x": NaN}\n{"key"'
    read, damages, torn = chunks.decode_plain("results.jsonl", text.encode())
    assert [entry.row for entry in read] == [{"key": "a", "é": 1}, {"key": "b"}]
    assert {(entry.config, entry.time, entry.version) for entry in read} == {(None, None, None)}
    assert [damage.line for damage in damages] == [3, 4, 5, 6]
    assert torn == b'{"key"'
    again = chunks.encode_plain(read)
    assert again.decode() == '{"key": "a", "é": 1}\n{"key": "b"}\n'
    assert chunks.decode_plain("results.jsonl", again)[1:] == ([], b"")


@pytest.mark.parametrize(
    "name",
    [
        *("results.jsonl", "results-00000-of-00001.jsonl", "results-1-of-4-12.jsonl"),
        *("results-00004-of-00004-00000.jsonl", "results-000001-of-00004-00012.jsonl"),
        *("results-00001-of-00004-00012.jsonl.x", "x-results-00001-of-00004-00012.jsonl"),
    ],
)
def test_names_of_plain_files(name):
    assert chunks.place_of(name) is None


def test_names_of_chunks():
    assert PLACE.name == "results-00001-of-00004-00012.jsonl"
    assert chunks.place_of(PLACE.name) == PLACE
    large = Place(Shard(123456, 234567), 345678)
    assert chunks.place_of(large.name) == large
    assert str(PLACE.shard) == "shard 1 of 4"


@pytest.mark.parametrize("shard", [(1, 1), (-1, 4), (0, 0)])
def test_shards_that_are_none(shard):
    message = rf"shard must be \(index, count\) .* got \({shard[0]}, {shard[1]}\)"
    with pytest.raises(ValueError, match=message):
        Shard(*shard)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"key": 3},
        {"key": "a", "stored": 1},
        {"key": "a", "x": float("nan")},
        {"key": "a", "x": {1}},
    ],
)
def test_rows_that_cannot_be_stored(bad):
    with pytest.raises(ValueError, match=r"a row needs a text 'key'|JSON compliant|architecture a"):
        chunks.new_entry(bad, 0.0)


def test_entries_are_values():
    (entry,) = entries("a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry.time = 0.0
