"""Chunks: files of rows that show whether they are as they were written.

    results-00000-of-00004-00012.jsonl      chunk 12 of shard 0 of 4: one JSON object a line

    {"key": ..., "status": ..., ..., "stored": {"schema": 2, "version": "0.1.0", "config": "...",
     "shard": [0, 4], "chunk": 12, "row": 3, "rows": 17, "time": ..., "checksum": "..."}}

    checksum    SHA-256 of the line's bytes before `, "checksum"`: a changed byte
    rows        how many the chunk has, in each of them: a missing line
    config      digest of the run's configuration: a file of another run
    shard ...   a file in another's place

Any other results*.jsonl holds plain rows, as of schema 1: nothing shows whether they are whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nngp_tf import version

SCHEMA = 2
FIELD = "stored"
_END_OF_TIME = 1e11  # the year 5138
_NAME = re.compile(r"results-(\d{5,})-of-(\d{5,})-(\d{5,})\.jsonl")
_LINE = re.compile(rb'(\{.*), "stored": (\{[^{}]*), "checksum": "([0-9a-f]{64})"\}\}')


@dataclasses.dataclass(frozen=True)
class Shard:
    """One of `count` parts of a run, each with a writer of its own."""

    index: int = 0
    count: int = 1

    def __post_init__(self):
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"shard must be (index, count) with 0 <= index < count, got "
                f"({self.index}, {self.count})"
            )

    @property
    def label(self) -> str:
        """The shard within names of files."""
        return f"{self.index:05d}-of-{self.count:05d}"

    def __str__(self) -> str:
        return f"shard {self.index} of {self.count}"


@dataclasses.dataclass(frozen=True)
class Place:
    """Which chunk of which shard."""

    shard: Shard
    chunk: int

    @property
    def name(self) -> str:
        """The name of the chunk's file."""
        return f"results-{self.shard.label}-{self.chunk:05d}.jsonl"


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """A row as stored.

    Attributes:
      row: As it was appended.
      text: The row's JSON.
      config: Digest of the configuration it was read under; None for a new row or a plain file's.
      time: Seconds since 1970 when it was written; None for a plain file's, as is the next.
      version: Of nngp_tf that wrote it.
    """

    row: dict[str, Any]
    text: str
    config: str | None = None
    time: float | None = None
    version: str | None = None


@dataclasses.dataclass(frozen=True)
class Damage:
    """Something in a file that is not as it was written.

    Attributes:
      name: Of the file.
      line: Where, from 1.
      reason: What is wrong, as the end of a sentence.
      content: Bytes that are no row.
    """

    name: str
    line: int
    reason: str
    content: bytes = b""

    def __str__(self) -> str:
        return f"{self.name}:{self.line} {self.reason}"


def place_of(name: str) -> Place | None:
    """Return which chunk a file is by its name; None for a plain file."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    index, count, chunk = map(int, match.groups())
    # A name that this module does not write is a plain file's.
    place = Place(Shard(index, count), chunk) if index < count else None
    return place if place and place.name == name else None


def new_entry(row: Mapping[str, Any], time: float) -> Entry:
    """Return a row as it is to be stored.

    Raises:
      ValueError: If the row has no key, a value is NaN, infinite or not JSON's, or there is a field
        "stored" already.
    """
    if not isinstance(row.get("key"), str) or FIELD in row:
        raise ValueError(
            f"a row needs a text 'key' and no field {FIELD!r}, got {', '.join(map(repr, row))}"
        )
    try:
        text = json.dumps(row, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"row of architecture {row['key']}: {error}") from error
    return Entry(dict(row), text, time=round(time, 3), version=version.__version__)


def encode(place: Place, config: str, entries: Sequence[Entry]) -> bytes:
    """Return the content of a chunk's file, of a run whose configuration has the digest."""
    lines = []
    for number, entry in enumerate(entries, start=1):
        stored = {
            "schema": SCHEMA,
            "version": entry.version,
            "config": config,
            "shard": [place.shard.index, place.shard.count],
            "chunk": place.chunk,
            "row": number,
            "rows": len(entries),
            "time": entry.time,
        }
        head = f'{entry.text[:-1]}, "{FIELD}": {json.dumps(stored)[:-1]}'
        lines.append(f'{head}, "checksum": "{hashlib.sha256(head.encode()).hexdigest()}"}}}}\n')
    return "".join(lines).encode()


def encode_plain(entries: Sequence[Entry]) -> bytes:
    """Return the content of a plain file."""
    return "".join(f"{entry.text}\n" for entry in entries).encode()


def decode(place: Place, content: bytes) -> tuple[list[Entry], list[Damage]]:
    """Read a chunk's file.

    Returns:
      The rows that are as they were written, and what is not.

    Raises:
      ValueError: If a newer version of this package wrote the file.
    """
    entries, damages, numbers, total = [], [], [0], None
    lines = content.split(b"\n")
    tail = lines.pop()
    for line_number, line in enumerate([*lines, tail] if tail else lines, start=1):
        try:
            entry, stored = _decode_line(place, line)
            if not numbers[-1] < stored["row"] <= stored["rows"]:
                raise ValueError("is not in its place")
            if total not in (None, stored["rows"]):
                raise ValueError("is of another state of the file")
        except _NewerSchemaError as error:
            raise ValueError(f"{place.name}:{line_number} {error}") from None
        except ValueError as error:
            damages.append(Damage(place.name, line_number, str(error), line))
            continue
        total = stored["rows"]
        numbers.append(stored["row"])
        entries.append(entry)
    missing = _gaps([*numbers, total + 1]) if entries else ""
    if tail and not damages:
        damages.append(Damage(place.name, len(lines) + 1, "lacks its end of line"))
    elif not damages and (missing or not entries):
        what = f"lacks rows {missing} of {total}" if entries else "is empty"
        damages.append(Damage(place.name, len(lines) + 1, what))
    return entries, damages


def decode_plain(name: str, content: bytes) -> tuple[list[Entry], list[Damage], bytes]:
    """Read a plain file.

    Returns:
      Its rows, what is no row, and a last line that lacks its end: the file was written to by
      appending, and whoever does may be in the middle of it or have been killed there.
    """
    entries, damages = [], []
    *lines, torn = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode()
            entries.append(Entry(_row(text), text.strip()))
        except ValueError:
            damages.append(Damage(name, number, "is not a row of results", line))
    return entries, damages, torn


class _NewerSchemaError(Exception):
    """A line is whole, and of a schema to come."""


def _decode_line(place, line):
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("is not a row of results")
    text, stored, checksum = match.groups()
    if hashlib.sha256(line[: match.end(2)]).hexdigest().encode() != checksum:
        raise ValueError("does not match its checksum")
    row, stored = _row(text.decode() + "}"), _object(stored.decode() + "}")
    schema = stored.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise _NewerSchemaError(newer_schema(schema))
    of = [place.shard.index, place.shard.count], place.chunk
    if schema != SCHEMA or (stored.get("shard"), stored.get("chunk")) != of:
        raise ValueError("belongs to another chunk")
    time = _typed(stored, "time", float, int)
    if not 0 <= time < _END_OF_TIME:
        raise ValueError("has no time")
    entry = Entry(
        row,
        text.decode() + "}",
        _typed(stored, "config", str),
        time,
        _typed(stored, "version", str),
    )
    return entry, {name: _typed(stored, name, int) for name in ("row", "rows")}


def newer_schema(schema: int) -> str:
    """Return what to say of a file of a schema to come, as the end of a sentence."""
    return (
        f"has schema {schema}, and nngp_tf {version.__version__} reads up to {SCHEMA}: read it "
        "with the version that wrote it, or name a new run directory"
    )


def _row(text):
    row = _object(text)
    if not isinstance(row.get("key"), str):
        raise ValueError("has no key")
    return row


def _object(text):
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("is not an object")
    return value


def _refuse_constant(name):
    raise ValueError(f"holds {name}, which JSON lacks")


def _typed(stored, name, *types):
    value = stored.get(name)
    if not isinstance(value, types) or isinstance(value, bool):
        raise ValueError(f"has no {name}")
    return value


def _gaps(numbers):
    """List what increasing numbers leave out, as in "1-3, 7"."""
    gaps = [(a + 1, b - 1) for a, b in itertools.pairwise(numbers) if b > a + 1]
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in gaps)
