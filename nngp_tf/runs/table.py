"""All rows of a run directory as one table, each file verified.

    for each results*.jsonl, in the order of names: decode -> rows, damages
    one row a key: "ok" before failed, then the first file

A table holds all of that in memory; `read_sound` goes through files one at a time.
A plain file's last line may be half-written, by who writes it or was killed: it is left out.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from typing import Any

from absl import logging

from nngp_tf.runs import chunks, files
from nngp_tf.runs import record as record_lib


@dataclasses.dataclass(frozen=True, eq=False)
class File:
    """One results*.jsonl.

    Attributes:
      name: Within the directory.
      place: Which chunk it is; None for a plain file.
      entries: Its rows.
      damages: What is not as it was written.
      torn: A plain file's last line without an end.
    """

    name: str
    place: chunks.Place | None
    entries: tuple[chunks.Entry, ...]
    damages: tuple[chunks.Damage, ...]
    torn: bytes = b""


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """The rows of a directory.

    Attributes:
      path: The directory.
      record: Of the run; None where there is none.
      files: In the order of their names.
      rows: From key to row.
      duplicates: How many rows gave way to another of their key.
    """

    path: str
    record: record_lib.Record | None
    files: tuple[File, ...]
    rows: dict[str, dict[str, Any]]
    duplicates: int

    @property
    def damages(self) -> list[chunks.Damage]:
        """Of all files."""
        return [damage for file in self.files for damage in file.damages]

    def check(self) -> None:
        """Check that nothing is damaged.

        Raises:
          ValueError: If something is.
        """
        _check(self.path, self.damages)


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a run directory, whoever is writing it.

    Args:
      path: The directory; may be gs://.

    Returns:
      Its table, in which damages may remain; see `Table.check`.

    Raises:
      ValueError: If it cannot be read, its record is damaged, or a file is of a schema to come.
    """
    path = os.fspath(path).rstrip("/")
    try:
        record = record_lib.read(path)
        read = [read_file(path, name, record) for name in result_names(path)]
    except OSError as error:
        raise unreadable(path, error) from error
    rows, duplicates = {}, 0
    for file in filter(None, read):
        _tell_torn(path, file)
        duplicates += sum(not add_row(rows, entry.row) for entry in file.entries)
    if duplicates:
        logging.info("%s: %d rows are of architectures that have another", path, duplicates)
    return Table(path, record, tuple(filter(None, read)), rows, duplicates)


def read_sound(
    path: str, names: Iterable[str], record: record_lib.Record | None = None
) -> Iterator[File]:
    """Read files of results one at a time, so that no more than one is in memory.

    Args:
      path: Of the directory.
      names: Of the files; those that are gone are left out.
      record: See `read_file`.

    Yields:
      Files without damage.

    Raises:
      ValueError: If one is damaged, cannot be read, or is of a schema to come.
    """
    for name in names:
        try:
            file = read_file(path, name, record)
        except OSError as error:
            raise unreadable(path, error) from error
        if file is not None:
            _check(path, file.damages)
            _tell_torn(path, file)
            yield file


def add_row(rows: dict[str, dict[str, Any]], row: dict[str, Any]) -> bool:
    """Add a row to those by key, unless the one that is there counts.

    Returns:
      Whether there was none.
    """
    first = rows.setdefault(row["key"], row)
    if first.get("status") != "ok" and row.get("status") == "ok":
        rows[row["key"]] = row
    return first is row


def unreadable(path: str, error: OSError) -> ValueError:
    """Return what to raise where a run directory cannot be read."""
    return ValueError(f"run directory {path} cannot be read ({error.strerror}): name another")


def result_names(path: str) -> list[str]:
    """List the files of results in a directory, sorted.

    Raises:
      OSError: If it cannot be read.
    """
    return [n for n in files.names(path) if n.startswith("results") and n.endswith(".jsonl")]


def read_file(path: str, name: str, record: record_lib.Record | None) -> File | None:
    """Read one file of results; None if it is gone, its rows discarded since it was listed.

    Args:
      path: Of the directory.
      name: Of the file.
      record: Whose rows are expected; None for anybody's.

    Raises:
      ValueError: If it is of a schema to come.
      OSError: If it cannot be read.
    """
    try:
        content = files.read(files.join(path, name))
    except FileNotFoundError:
        return None
    place = chunks.place_of(name)
    if place is None:
        entries, damages, torn = chunks.decode_plain(name, content)
        return File(name, None, tuple(entries), tuple(damages), torn)
    entries, damages = chunks.decode(place, content)
    if record is not None:
        foreign = [entry for entry in entries if entry.config != record.digest]
        entries = [entry for entry in entries if entry.config == record.digest]
        damages += [
            chunks.Damage(name, 1, "is of a run of another configuration", entry.text.encode())
            for entry in foreign
        ]
    return File(name, place, tuple(entries), tuple(damages))


def _check(path, damages):
    if damages:
        first, *others = damages
        more = f" (and {len(others)} more)" if others else ""
        raise ValueError(
            f"{path.rstrip('/')}/{first}{more}: keep the good rows and set the bad ones aside with "
            f"`{record_lib.repair_command(path)}`"
        )


def _tell_torn(path, file):
    if file.torn:
        logging.warning("%s: left out a half-written last row", files.join(path, file.name))
