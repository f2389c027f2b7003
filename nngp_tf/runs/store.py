"""Run directories: rows of results that outlive the process that computes them.

    run.json                                schema, the configuration that the numbers depend on,
                                            versions; put in place by the first row
    results-SHARD-CHUNK.jsonl               one JSON object an architecture; see `chunks`
    status-SHARD.json                       how many architectures the shard has; see `status`
    lock-SHARD-TOKEN.json                   who writes the shard at present; see `lock`
    *.gin                                   operative configurations, as written by launchers

    open:   the keys in the shard's own chunks, and in files of another count of shards
    append: the shard's last chunk and the row, written as a whole -> on disk
            a full disk: wait, again

Every file appears whole or not at all. Each shard has one writer, so it holds no architecture
twice; two shards may, and reading keeps one row of them (`table`). Shards of one count share the
architectures out among them, so none reads the others' files. In memory are keys (`rows`), and the
rows of the last chunk. Paths may be gs://.
"""

from __future__ import annotations

import json
import os
import re
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from absl import logging

from nngp_tf.runs import chunks, files, lock, status, table
from nngp_tf.runs import record as record_lib
from nngp_tf.runs import rows as rows_lib
from nngp_tf.runs.errors import NotWrittenError

SCHEMA = chunks.SCHEMA
CHUNK_ROWS = 100
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 60.0
_RESERVED = ("run.json", "results", "status-", "lock-", "quarantine-")


class RunDirectory:
    """A directory of results under one configuration.

    Attributes:
      rows: Those of this shard, and those of files of another count of shards.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: Mapping[str, Any],
        about: Mapping[str, Any] | None = None,
        writable: bool = True,
        resume: bool = True,
        *,
        shard: tuple[int, int] = (0, 1),
        patience: float = 3600.0,
        alone: bool = False,
    ):
        """Open a directory, or make it.

        A writer holds its shard until `close`, until it is garbage, or until its process ends.

        Args:
          path: Where it is.
          config: What the numbers depend on, of JSON's types. It must equal the directory's own.
          about: What is recorded besides when the directory is made: versions, devices, ...
          writable: False for a process that only follows another one's run.
          resume: Whether a shard that has rows is taken up; it is refused otherwise.
          shard: (index, count): which part of the run's architectures this process computes.
          patience: Seconds for which a row is tried again while the directory cannot be written.
          alone: Whether only the shard's own files are read: the caller knows that no others have
            rows of its architectures.

        Raises:
          ValueError: If the directory was made with another configuration, or by a version of this
            package that writes a schema to come, or what is read of it is damaged, or it cannot be
            read or written, or another process writes the shard.
        """
        self._path, self._shard = os.fspath(path), chunks.Shard(*shard)
        self._writable, self._patience = writable, patience
        config, about = json.loads(json.dumps([dict(config), dict(about or {})]))
        self._asked = record_lib.Record(config, about)
        self._total: int | None = None
        self._release: Callable[[], None] | None = None
        try:
            self._check_config(record_lib.read(self._path))
            if writable:
                files.make_directory(self._path)
                self._claim = lock.Claim(self._path, self._shard)
                self._release = weakref.finalize(self, self._claim.release)
            try:
                self._open(resume, alone)
            except BaseException:
                self.close()
                raise
        except OSError as error:
            access = "written" if writable else "read"
            raise ValueError(
                f"run directory {self._path} cannot be {access} ({error.strerror}): name another"
            ) from error

    @property
    def path(self) -> str:
        """Where the directory is."""
        return self._path

    @property
    def results_path(self) -> str:
        """Where the rows are, as a pattern."""
        return self._join("results*.jsonl")

    def append(self, row: Mapping[str, Any]) -> None:
        """Add the row of an architecture, on disk before this returns.

        Args:
          row: Of JSON's types, with a "key".

        Raises:
          ValueError: If the key has a row already, a value is NaN or infinite, or meanwhile another
            process has begun a run of another configuration.
          NotWrittenError: If the directory could not be written, for as long as patience lasted.
          LostError: If another process has taken the shard over.
        """
        entry = chunks.new_entry(row, time.time())
        key = entry.row["key"]
        if key in self.rows:
            raise ValueError(f"{self.results_path} already has a row of architecture {key}")
        if self._writable:
            self._patiently(lambda: self._add(entry))
        self.rows.add(entry.row, self._place.name if self._writable else None)

    def expect(self, total: int) -> None:
        """Record how many architectures the shard has in all, for `status`; from its first row on.

        Args:
          total: Those with rows included.
        """
        self._total = total
        if self._writable and self._begun:
            self._write_status()

    def discard_failed(self) -> int:
        """Forget the rows that are not "ok", so that their architectures can be computed again.

        Those of this shard are removed. Others stay in their files, where an "ok" row of this shard
        overrides them.

        Returns:
          How many.
        """
        failed = self.rows.failed()
        own = [chunks.Place(self._shard, chunk).name for chunk in range(self._place.chunk + 1)]
        for file in table.read_sound(self._path, own if failed and self._writable else ()):
            kept = [entry for entry in file.entries if entry.row["key"] not in failed]
            if len(kept) < len(file.entries):
                self._patiently(lambda p=file.place, k=kept: self._replace_chunk(p, k))
        self.rows.discard(failed)
        return len(failed)

    def write_text(self, name: str, text: str) -> None:
        """Write a file of the directory, whole or not at all.

        Raises:
          ValueError: If the name is not of letters, digits and ._-, or is kept for other files.
        """
        if not re.fullmatch(r"\w[\w.-]*", name) or name.startswith(_RESERVED):
            raise ValueError(f"{name!r} is no name for a text in a run directory: choose another")
        if self._writable:
            self._patiently(lambda: files.write(self._join(name), text.encode(), self._shard.label))

    def close(self) -> None:
        """Give the shard up to other processes; this one writes no more."""
        if self._release is not None:
            self._release()

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _open(self, resume, alone):
        """Read what is there, once nobody else can write this shard."""
        record = record_lib.read(self._path)
        self._check_config(record)
        self._begun = record is not None and record.schema == SCHEMA
        self._digest = (record or self._asked).digest
        names = table.result_names(self._path)
        if record is None:
            self._check_unrecorded(names)
        own, others = self._own(names), self._others(names)
        if not resume and (own or others):
            raise ValueError(
                f"run directory {self._path} holds a run already: resume it, or name another"
            )
        self.rows = rows_lib.StoredRows(self._path)
        self._place, self._entries = chunks.Place(self._shard, 0), []
        for file in table.read_sound(self._path, own if alone else sorted(own + others), record):
            self.rows.take(file)
            if file.place and file.place.shard == self._shard:
                self._place, self._entries = file.place, list(file.entries)
        if self._writable:
            self._remove_asides()

    def _own(self, names):
        """List the files of this shard, in their order."""
        places = [chunks.place_of(name) for name in names]
        return [place.name for place in places if place and place.shard == self._shard]

    def _others(self, names):
        """List plain files and those of who counts shards in another way, at the same work."""
        places = {name: chunks.place_of(name) for name in names}
        count = self._shard.count
        return [name for name, place in places.items() if not place or place.shard.count != count]

    def _check_config(self, record):
        differing = record_lib.differences(self._asked.config, record.config) if record else ""
        if differing:
            raise ValueError(
                f"run directory {self._path} was made with another configuration ({differing}): "
                "name a new directory, or go back to that configuration"
            )

    def _check_unrecorded(self, names):
        """Check that rows without a record are of this configuration, as their digests say."""
        for file in table.read_sound(self._path, names):
            if {entry.config for entry in file.entries} - {self._asked.digest}:
                raise ValueError(
                    f"run directory {self._path} has {file.name} but no run.json to say how its "
                    "rows were computed: name another"
                )

    def _remove_asides(self):
        """Remove what a process that was killed left half-written."""
        for name in files.names(self._path):
            if name.endswith(files.aside_path("", self._shard.label)):
                files.remove(self._join(name))

    def _patiently(self, write):
        """Write as holder of the shard; where that fails, wait for room or access and try again."""
        deadline, wait = time.monotonic() + self._patience, _FIRST_WAIT_SECONDS
        while True:
            try:
                self._claim.check()
                write()
                return
            except OSError as error:
                left = deadline - time.monotonic()
                reason = error.strerror
                if left <= 0:
                    raise NotWrittenError(
                        f"run directory {self._path} could not be written for "
                        f"{self._patience:.0f} seconds ({reason}): make room or give access, and "
                        "start again; the rows before this one are safe"
                    ) from error
            wait = min(wait, left)
            logging.warning(
                "run directory %s cannot be written (%s): tried again in %.0f s, for %.0f s more",
                self._path,
                reason,
                wait,
                left,
            )
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)

    def _begin(self):
        """Put the record in place before the first row: a run refused earlier binds nobody."""
        if self._begun:
            return
        path, content = self._join(record_lib.NAME), record_lib.encode(self._asked)
        if not files.create(path, content, self._shard.label):
            there = record_lib.read(self._path)
            self._check_config(there)
            self._digest = there.digest
            if there.schema < SCHEMA:
                upgraded = record_lib.Record(there.config, there.about)
                files.write(path, record_lib.encode(upgraded), self._shard.label)
        self._begun = True
        self._write_status()

    def _add(self, entry):
        self._begin()
        place, entries = self._place, [*self._entries, entry]
        if len(entries) > CHUNK_ROWS:
            place, entries = chunks.Place(self._shard, place.chunk + 1), [entry]
        self._write_chunk(place, entries)
        self._place, self._entries = place, entries

    def _replace_chunk(self, place, entries):
        if entries:
            self._write_chunk(place, entries)
        else:
            files.remove(self._join(place.name))
        if place == self._place:
            self._entries = entries

    def _write_chunk(self, place, entries):
        content = chunks.encode(place, self._digest, entries)
        files.write(self._join(place.name), content, self._shard.label)

    def _write_status(self):
        if self._total is None:
            return
        path = self._join(status.name(self._shard))
        try:
            files.write(path, status.encode(self._shard, self._total), self._shard.label)
        except OSError as error:
            # No row depends on it.
            logging.warning("%s cannot be written (%s)", path, error.strerror)

    def _join(self, name):
        return files.join(self._path, name)
