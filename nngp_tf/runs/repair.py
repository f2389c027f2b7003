"""Repair of a run directory: good rows kept, the rest set aside.

    for each file that is damaged, once its shard is claimed:
        what is no row -> quarantine-TIME-NAME
        good rows      -> the file, whole again; or no file

The architectures of lost rows have none, so the next start computes them again. A damaged record is
set aside too: the next start writes it anew if the rows say that they are of its configuration.
"""

from __future__ import annotations

import os
import time

from nngp_tf.runs import chunks, files, lock, table
from nngp_tf.runs import record as record_lib

_WRITER = "repair"


def repair(path: str | os.PathLike[str]) -> list[str]:
    """Repair a run directory.

    Args:
      path: The directory; may be gs://.

    Returns:
      A line for each file that was damaged.

    Raises:
      ValueError: If the directory cannot be read or written, a shard to repair is being written, or
        a file is of a schema to come.
    """
    path = os.fspath(path).rstrip("/")
    try:
        if not files.names(path):
            raise ValueError(f"there is no run at {path}: {record_lib.NAME} is missing")
        done = _repair_record(path)
        record = record_lib.read(path)
        for name in table.result_names(path):
            file = table.read_file(path, name, record)
            if file is None or not file.damages:
                continue
            claim = lock.Claim(path, file.place.shard if file.place else chunks.Shard())
            try:
                # Nobody else can change it from here on.
                record = record_lib.read(path)
                file = table.read_file(path, name, record)
                if file is not None and file.damages:
                    done.append(_repair_file(path, file, record))
            finally:
                claim.release()
    except OSError as error:
        raise ValueError(
            f"run directory {path} cannot be repaired ({error.strerror}): give access to it"
        ) from error
    return done


def _repair_record(path):
    try:
        record_lib.read(path)
        return []
    except record_lib.DamagedError:
        name = files.join(path, record_lib.NAME)
        aside = _set_aside(path, record_lib.NAME, files.read(name))
        files.remove(name)
        return [f"{name}: set aside as {aside}; the next start of the run writes it again"]


def _repair_file(path, file, record):
    lost = b"".join(damage.content + b"\n" for damage in file.damages if damage.content)
    where = f"as {_set_aside(path, file.name, lost)}" if lost else "nothing"
    target = files.join(path, file.name)
    if not file.entries:
        files.remove(target)
    elif file.place:
        digest = record.digest if record else file.entries[0].config
        files.write(target, chunks.encode(file.place, digest, file.entries), _WRITER)
    else:
        files.write(target, chunks.encode_plain(file.entries), _WRITER)
    return f"{path}/{file.damages[0]}: kept {len(file.entries)} good rows, set aside {where}"


def _set_aside(path, name, content):
    base = f"quarantine-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    aside, number = f"{base}-{name}", 1
    while not files.create(files.join(path, aside), content, _WRITER):
        number += 1
        aside = f"{base}-{number}-{name}"
    return aside
