"""The record of a run, run.json: its configuration, and versions and devices.

    {"schema": 2, "version": "0.1.0", "config": {...}, "about": {...}, "checksum": "..."}

`checksum` is the SHA-256 of the object without it, as JSON of sorted keys. Schema 1 had neither
version nor checksum.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from nngp_tf import version
from nngp_tf.runs import chunks, files

NAME = "run.json"


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """What a run directory says of its run.

    Attributes:
      config: What the numbers depend on, of JSON's types.
      about: What is recorded besides.
      schema: Of the file.
    """

    config: dict[str, Any]
    about: dict[str, Any]
    schema: int = chunks.SCHEMA

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the configuration, stored with each row."""
        return _digest(self.config)[:16]


def encode(record: Record) -> bytes:
    """Return the content of the file, of the present schema."""
    content = {
        "schema": chunks.SCHEMA,
        "version": version.__version__,
        "config": record.config,
        "about": record.about,
    }
    content["checksum"] = _digest(content)
    return (json.dumps(content, indent=2) + "\n").encode()


class DamagedError(ValueError):
    """A file is not the record of a run, or not as it was written."""


def read(directory: str) -> Record | None:
    """Read the record of a run directory; None where there is none.

    Raises:
      DamagedError: If it is no such record, or not as it was written.
      ValueError: If it is of a schema to come.
      OSError: If it cannot be read.
    """
    path = files.join(directory, NAME)
    try:
        content = files.read(path)
    except FileNotFoundError:
        return None
    try:
        fields = json.loads(content)
        schema, config, about = fields["schema"], fields["config"], fields["about"]
        known = type(schema) is int and schema > 0 and type(config) is type(about) is dict
    except (ValueError, TypeError, KeyError, RecursionError):
        known = False
    if not known:
        raise DamagedError(
            f"{path} is not the record of a run of nngp_tf: name a new run directory or, if the "
            f"file is damaged, set it aside with `{repair_command(directory)}`"
        )
    if schema > chunks.SCHEMA:
        raise ValueError(f"{path} {chunks.newer_schema(schema)}")
    checksum = fields.pop("checksum", None)
    if schema > 1 and checksum != _digest(fields):
        raise DamagedError(
            f"{path} does not match its checksum: set it aside with `{repair_command(directory)}`"
        )
    return Record(config, about, schema)


def repair_command(directory: str) -> str:
    """Return the command that repairs a run directory."""
    return f"python -m nngp_tf.launchers.status --run_dir={directory} --repair"


def differences(config: Mapping[str, Any], made_with: Mapping[str, Any]) -> str:
    """Return what differs between the configuration asked for and a run's; "" if nothing does."""
    return "; ".join(
        f"{name} is {config.get(name)!r} here and {made_with.get(name)!r} there"
        for name in sorted(config.keys() | made_with.keys())
        if config.get(name) != made_with.get(name)
    )


def _digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
