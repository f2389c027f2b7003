"""Run directories as values, for analysis: read, never written, whoever is still writing them."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from nngp_tf.runs.table import read_table


@dataclasses.dataclass(frozen=True, eq=False)
class RunRecord:
    """What a run directory holds.

    Attributes:
      path: The directory.
      config: What its numbers depend on.
      about: Versions, devices, ...
      rows: One object of JSON's types an architecture, with "key"; failed architectures included,
        whose "status" is not "ok".
    """

    path: str
    config: dict[str, Any]
    about: dict[str, Any]
    rows: tuple[dict[str, Any], ...]


def read_run(path: str | os.PathLike[str]) -> RunRecord:
    """Read a run directory, all its results*.jsonl; see `nngp_tf.runs.table.read_table`.

    Args:
      path: The directory; may be gs://.

    Raises:
      ValueError: If there is no run, it cannot be read, or something in it is damaged.
    """
    table = read_table(path)
    if table.record is None:
        raise ValueError(
            f"there is no run at {table.path}: name a directory that a launcher has written"
        )
    table.check()
    return RunRecord(
        table.path, table.record.config, table.record.about, tuple(table.rows.values())
    )
