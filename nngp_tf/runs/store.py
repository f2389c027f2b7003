"""Run directories: rows of results that outlive the process that computes them.

    run.json        schema, the configuration that the numbers depend on, versions
    results.jsonl   one JSON object an architecture
    *.gin           operative configurations, as written by launchers

A row is there whole or not at all: a line that a killed process left half-written is dropped when
the directory is opened again, and its architecture computed again. Paths may be gs://.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from absl import logging

SCHEMA = 1
_RUN = "run.json"
_RESULTS = "results.jsonl"
_ASIDE = ".partial"


class RunDirectory:
    """A directory of results under one configuration."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: Mapping[str, Any],
        about: Mapping[str, Any] | None = None,
        writable: bool = True,
        resume: bool = True,
    ):
        """Open a directory, or make it.

        Args:
          path: Where it is.
          config: What the numbers depend on, of JSON's types. It must equal the directory's own.
          about: What is recorded besides when the directory is made: versions, devices, ...
          writable: False for a process that only follows another one's run.
          resume: Whether a directory that holds a run is taken up; it is refused otherwise.

        Raises:
          ValueError: If the directory was made with another configuration, or by a version of this
            package that writes another schema, or is damaged, or cannot be read or written.
        """
        self._path = os.fspath(path)
        self._writable = writable
        config = json.loads(json.dumps(config))
        try:
            self._begun = tf.io.gfile.exists(self._join(_RUN))
            if self._begun and not resume:
                raise ValueError(
                    f"run directory {self._path} holds a run already: resume it, or name another"
                )
            if self._begun:
                self._check(config)
            elif tf.io.gfile.exists(self.results_path):
                raise ValueError(
                    f"run directory {self._path} has {_RESULTS} but no {_RUN} to say how they were "
                    "computed: name another"
                )
            if writable:
                record = {"schema": SCHEMA, "config": config, "about": dict(about or {})}
                self._prepare(json.dumps(record, indent=2) + "\n")
            self.rows: dict[str, dict[str, Any]] = {row["key"]: row for row in self._read_rows()}
        except tf.errors.OpError as error:
            access = "written" if writable else "read"
            raise ValueError(
                f"run directory {self._path} cannot be {access} ({error.message}): name another"
            ) from error

    @property
    def path(self) -> str:
        """Where the directory is."""
        return self._path

    @property
    def results_path(self) -> str:
        """Where the rows are."""
        return self._join(_RESULTS)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add the row of an architecture, on disk before this returns.

        Args:
          row: Of JSON's types, with a "key".

        Raises:
          ValueError: If the key has a row already, or a value is NaN or infinite.
        """
        key = row["key"]
        if key in self.rows:
            raise ValueError(f"{self.results_path} already has a row of architecture {key}")
        line = json.dumps(row, allow_nan=False) + "\n"
        if self._writable:
            if not self._begun:
                tf.io.gfile.rename(self._join(f"{_RUN}{_ASIDE}"), self._join(_RUN), overwrite=True)
                self._begun = True
            self._write(_RESULTS, line, "a")
        self.rows[key] = dict(row)

    def write_text(self, name: str, text: str) -> None:
        """Write a file of the directory, whole or not at all."""
        if self._writable:
            self._replace(name, text)

    def _prepare(self, record):
        """Find out whether the directory can be written, before anything is computed.

        A new one gets its record, but aside: the first row puts it in place, so a run that is
        refused before that binds nobody to its configuration.
        """
        if self._begun:
            self._write(_RESULTS, "", "a")
        else:
            tf.io.gfile.makedirs(self._path)
            self._write(f"{_RUN}{_ASIDE}", record)

    def _check(self, config):
        try:
            record = json.loads(self._read(_RUN))
            schema = record["schema"]
        except (ValueError, TypeError, KeyError):
            raise ValueError(
                f"{self._join(_RUN)} is not the record of a run of nngp_tf: name a new run "
                "directory"
            ) from None
        if schema != SCHEMA:
            raise ValueError(
                f"{self._join(_RUN)} has schema {schema!r}, expected {SCHEMA}: read it with the "
                "version of nngp_tf that made it, or name a new run directory"
            )
        made_with = record["config"]
        differing = [
            f"{name} is {config.get(name)!r} here and {made_with.get(name)!r} there"
            for name in sorted(config.keys() | made_with.keys())
            if config.get(name) != made_with.get(name)
        ]
        if differing:
            raise ValueError(
                f"run directory {self._path} was made with another configuration "
                f"({'; '.join(differing)}): name a new directory, or go back to that configuration"
            )

    def _read_rows(self) -> Iterator[dict[str, Any]]:
        if not tf.io.gfile.exists(self.results_path):
            return
        text = self._read(_RESULTS)
        whole, _, torn = text.rpartition("\n")
        if torn and self._writable:
            logging.warning("%s: dropped a half-written last row", self.results_path)
            self._replace(_RESULTS, whole + "\n" if whole else "")
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                row = json.loads(line)
                row["key"]
            except (json.JSONDecodeError, TypeError, KeyError):
                raise ValueError(
                    f"{self.results_path}:{number} is not a row of results: remove the line, and "
                    "its architecture will be computed again"
                ) from None
            yield row

    def _read(self, name):
        with tf.io.gfile.GFile(self._join(name), "r") as file:
            return file.read()

    def _replace(self, name, text):
        self._write(f"{name}{_ASIDE}", text)
        tf.io.gfile.rename(self._join(f"{name}{_ASIDE}"), self._join(name), overwrite=True)

    def _write(self, name, text, mode="w"):
        with tf.io.gfile.GFile(self._join(name), mode) as file:
            file.write(text)

    def _join(self, name):
        # gs:// paths have forward slashes on every system.
        return f"{self._path.rstrip('/')}/{name}"
