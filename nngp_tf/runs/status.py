"""How far a run is, over all its shards.

status-00000-of-00004.json      {"schema": 2, "version": "0.1.0", "shard": [0, 4], "total": 250}

rate in the last hour    its rows / the hour, or what has passed since the first row
rate overall             rows / time from the first to the last, pauses included
left                     (total - done) / rate in the last hour
"""

from __future__ import annotations

import bisect
import collections
import dataclasses
import json
import math
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from nngp_tf import version
from nngp_tf.runs import chunks, files, lock, table
from nngp_tf.runs import record as record_lib

HOUR = 3600.0
_TICK = 1e-3  # to which times are rounded
_NAME = re.compile(r"status-(\d{5,})-of-(\d{5,})\.json")


@dataclasses.dataclass(frozen=True)
class ShardProgress:
    """How far one shard is.

    Attributes:
      shard: Which.
      done: Its rows, failed ones included.
      failed: Of those.
      total: Its architectures; None if unknown.
      last_row: Seconds since 1970 of its last row; None if unknown.
      holder: Who writes it; None if nobody does.
    """

    shard: chunks.Shard
    done: int
    failed: int
    total: int | None
    last_row: float | None
    holder: lock.Holder | None


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
      path: The run directory.
      done: Architectures with a row, failed ones included.
      failed: Those without an "ok" row.
      total: Architectures in all; None if unknown. Shards that have not begun are taken to be as
        large as the others are on average.
      not_begun: How many shards have not begun.
      hourly: Rows an hour in the last one; NaN if unknown.
      hourly_overall: Rows an hour from the first row to the last; NaN if unknown.
      shards: By count and index.
      damages: What is not as it was written.
      history: (seconds since 1970, whether it is ok) of each row whose time is known, in that
        order.
    """

    path: str
    done: int
    failed: int
    total: int | None
    not_begun: int
    hourly: float
    hourly_overall: float
    shards: tuple[ShardProgress, ...]
    damages: tuple[chunks.Damage, ...]
    history: tuple[tuple[float, bool], ...]

    @property
    def seconds_left(self) -> float:
        """Until the last row, at the rate of the last hour; NaN if unknown."""
        if self.total is None:
            return math.nan
        left = max(0, self.total - self.done)
        return left / self.hourly * HOUR if self.hourly else math.nan

    @property
    def is_done(self) -> bool:
        """Whether every architecture has a row."""
        return self.total is not None and not self.not_begun and self.done >= self.total


def name(shard: chunks.Shard) -> str:
    """Return the name of the file that tells a shard's total."""
    return f"status-{shard.label}.json"


def encode(shard: chunks.Shard, total: int) -> bytes:
    """Return the content of the file that tells a shard's total."""
    content = {
        "schema": chunks.SCHEMA,
        "version": version.__version__,
        "shard": [shard.index, shard.count],
        "total": total,
    }
    return (json.dumps(content) + "\n").encode()


class Watcher:
    """Follows a run directory; files that have not changed since are not read again."""

    def __init__(self, path: str | os.PathLike[str]):
        """Take note of a run directory; see `look`."""
        self._path = os.fspath(path).rstrip("/")
        self._seen: dict[str, tuple[tuple[int, float], Any]] = {}

    def look(self) -> Progress:
        """Return how far the run is.

        Raises:
          ValueError: If there is no run, or it cannot be read, or is of a schema to come.
        """
        try:
            record = record_lib.read(self._path)
            claims = lock.read_claims(self._path)
            holders = {c.shard: c.holder for c in claims if c.holder.held and c.holder.is_live}
            if record is None and not holders:
                raise ValueError(f"there is no run at {self._path}: {record_lib.NAME} is missing")
            read = [self._file(n, record) for n in table.result_names(self._path)]
            read = [file for file in read if file is not None]
            totals, newest = self._totals()
        except OSError as error:
            raise table.unreadable(self._path, error) from error
        return self._progress(read, totals, newest, holders)

    def _file(self, file_name, record):
        """Return what counts of a file; None if it is gone."""

        def read():
            file = table.read_file(self._path, file_name, record)
            return None if file is None else _summary(file)

        return self._remembered(file_name, read)[1]

    def _remembered(self, file_name: str, read: Callable[[], Any]) -> tuple[float, Any]:
        """Return when a file was written, and what reading it gave; None if it is gone."""
        try:
            stamp = files.stamp(files.join(self._path, file_name))
            seen = self._seen.get(file_name)
            # A file system that has no times cannot tell a file from its next state.
            if seen is None or seen[0] != stamp or not stamp[1]:
                self._seen[file_name] = seen = stamp, read()
            return stamp[1], seen[1]
        except FileNotFoundError:
            return 0.0, None

    def _totals(self):
        """Totals by shard, and the shard whose total is newest."""
        totals, newest = {}, None
        for file_name in files.names(self._path):
            match = _NAME.fullmatch(file_name)
            if match is None or not int(match[1]) < int(match[2]):
                continue
            shard = chunks.Shard(int(match[1]), int(match[2]))
            path = files.join(self._path, file_name)
            written, total = self._remembered(file_name, lambda path=path: _total(path))
            if total is not None:
                totals[shard] = total
                if newest is None or written >= newest[0]:
                    newest = written, shard
        return totals, newest[1] if newest else None

    def _progress(self, read, totals, newest, holders):
        ok = {}
        for file in read:
            for key, is_ok, _ in file.rows:
                ok[key] = ok.get(key, False) or is_ok
        timed = [(t, is_ok) for f in read for _, is_ok, t in f.rows if t is not None]
        history = sorted(timed, key=lambda row: row[0])
        by_shard = collections.defaultdict(list)
        for file in read:
            by_shard[file.shard].extend(file.rows)
        shards = by_shard.keys() - {None} | totals.keys() | holders.keys()
        progress = [
            _shard_progress(shard, by_shard.get(shard, ()), totals.get(shard), holders.get(shard))
            for shard in sorted(shards, key=lambda s: (s.count, s.index))
        ]
        # Totals of another count of shards are those of an earlier start.
        current = [total for s, total in totals.items() if s.count == newest.count]
        total = round(sum(current) / len(current) * newest.count) if current else None
        times = [when for when, _ in history]
        span = max(times[-1] - times[0], _TICK) if len(times) > 1 else math.nan
        return Progress(
            path=self._path,
            done=len(ok),
            failed=sum(not is_ok for is_ok in ok.values()),
            total=total,
            not_begun=newest.count - len(current) if current else 0,
            hourly=hourly_rate(times, time.time()),
            hourly_overall=(len(times) - 1) / span * HOUR,
            shards=tuple(progress),
            damages=tuple(damage for file in read for damage in file.damages),
            history=tuple(history),
        )


@dataclasses.dataclass(frozen=True)
class _File:
    """(key, ok, time) of a file's rows, and where it belongs."""

    shard: chunks.Shard | None
    rows: tuple[tuple[str, bool, float | None], ...]
    damages: tuple[chunks.Damage, ...]


def _summary(file):
    return _File(
        file.place.shard if file.place else None,
        tuple((e.row["key"], e.row.get("status") == "ok", e.time) for e in file.entries),
        file.damages,
    )


def _total(path):
    """Read how many architectures a shard has; None where its file does not say."""
    try:
        total = json.loads(files.read(path))["total"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return total if type(total) is int and total >= 0 else None


def _shard_progress(shard, rows, total, holder):
    return ShardProgress(
        shard=shard,
        done=len(rows),
        failed=sum(not is_ok for _, is_ok, _ in rows),
        total=total,
        last_row=max((t for _, _, t in rows), default=None),
        holder=holder,
    )


def hourly_rate(times: Sequence[float], now: float) -> float:
    """Return the rows of the last hour, or since the first row, by the hour; NaN if unknown.

    Args:
      times: Of rows, increasing, in seconds.
      now: End of the hour.
    """
    if len(times) < 2:
        return math.nan
    # Of a run that has just begun, the first row opens the window and is not counted in it.
    start = max(now - HOUR, times[0])
    return (len(times) - bisect.bisect_right(times, start)) / max(now - start, _TICK) * HOUR
