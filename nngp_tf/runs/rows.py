"""Rows of a run directory by key, of which only the keys are in memory.

    key -> file, whether the row is ok
    rows[key]       reads its file; the last one read is kept
    rows.of(keys)   reads each file once

Rows that another process writes, or will write, are held: there may be no file to read them from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nngp_tf.runs import files, table


class StoredRows(Mapping[str, dict[str, Any]]):
    """The rows that a process knows of, in the order in which it came to."""

    def __init__(self, path: str):
        """Begin without rows.

        Args:
          path: The run directory.
        """
        self._path = path
        # From key to (file, whether it is ok); without a file the row is held.
        self._places: dict[str, tuple[str | None, bool]] = {}
        self._held: dict[str, dict[str, Any]] = {}
        self._read: tuple[str, dict[str, dict[str, Any]]] | None = None

    def take(self, file: table.File) -> None:
        """Add the rows of a file; of rows of a key, the one that `table` keeps."""
        ok, failed = (file.name, True), (file.name, False)
        for entry in file.entries:
            place = ok if entry.row.get("status") == "ok" else failed
            known = self._places.setdefault(entry.row["key"], place)
            if place[1] and not known[1]:
                self._places[entry.row["key"]] = place

    def add(self, row: Mapping[str, Any], name: str | None) -> None:
        """Add a row that is new.

        Args:
          row: The row.
          name: Of the file that has it by now; None to hold the row.
        """
        self._places[row["key"]] = name, row.get("status") == "ok"
        if name is None:
            self._held[row["key"]] = dict(row)
        self._read = None

    def discard(self, keys: Iterable[str]) -> None:
        """Forget rows."""
        for key in keys:
            del self._places[key]
            self._held.pop(key, None)
        self._read = None

    def failed(self) -> set[str]:
        """List the keys of rows that are not "ok"."""
        return {key for key, (_, is_ok) in self._places.items() if not is_ok}

    def of(self, keys: Iterable[str]) -> list[dict[str, Any]]:
        """Return the rows of keys, in their order.

        Raises:
          KeyError: If there is no row of a key.
          ValueError: If a file is no longer as it was.
        """
        keys = list(keys)
        # In the order of files, each is read once.
        names = {key: self._places[key][0] for key in keys}
        found = {key: self[key] for key in sorted(names, key=lambda key: names[key] or "")}
        return [found[key] for key in keys]

    def __getitem__(self, key: str) -> dict[str, Any]:
        name, _ = self._places[key]
        if name is None:
            return self._held[key]
        if self._read is None or self._read[0] != name:
            rows = {}
            for file in table.read_sound(self._path, [name]):
                for entry in file.entries:
                    table.add_row(rows, entry.row)
            self._read = name, rows
        if key not in self._read[1]:
            raise ValueError(
                f"{files.join(self._path, name)} no longer has the row of architecture {key}: "
                "another process has changed it, start again"
            )
        return self._read[1][key]

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
