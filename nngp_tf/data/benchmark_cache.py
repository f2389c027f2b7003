"""What was read of a big record file, as an .npz file that loads in a moment.

It holds for a source of the same size and time of modification. It is written aside and renamed, so
it is there whole or not at all; one that is stale, damaged or of another version counts as absent.
The checksums of the zip format find damage.
"""

import contextlib
import dataclasses
import json
import os

import numpy as np
from absl import logging

from nngp_tf.data.nasbench_records import Columns, Corruption, Fault

SUFFIX = ".npz"
_VERSION = "nngp_tf benchmark 1"
_ABOUT = "about"


def path_for(path: str, cache_dir: str | os.PathLike[str] | None) -> str:
    """Return where the cache of a file is: beside it, or in a directory of caches."""
    name = os.path.basename(path) + SUFFIX
    return os.path.join(os.path.dirname(path) if cache_dir is None else cache_dir, name)


def state(path: str) -> list[int]:
    """Return size and time of modification of a file, to tell whether it has changed since."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def load(path: str, source: str, source_state: list[int]) -> tuple[Columns, Corruption] | None:
    """Read a cache, None where it is absent; why one that is there does not serve is logged.

    Args:
      path: The cache.
      source: The file of which it is.
      source_state: What `state` says of it now.
    """
    try:
        with np.load(path) as stored:
            columns = dict(stored)
        about = json.loads(str(columns.pop(_ABOUT)))
        version, cached_state = about["version"], about["state"]
        faults = [Fault(*fault) for fault in about["faults"]]
        corruption = Corruption(about["num_faults"], faults)
    except FileNotFoundError:
        return None
    except Exception as error:  # A damaged zip file fails in many ways.
        logging.warning("%s cannot be read (%s): reading %s anew", path, error, source)
        return None
    if [version, cached_state] != [_VERSION, source_state]:
        logging.info("%s has changed since %s was made: reading it anew", source, path)
        return None
    return columns, corruption


def save(
    path: str, source: str, source_state: list[int], columns: Columns, corruption: Corruption
) -> None:
    """Write a cache, whole or not at all; that it cannot be written is logged.

    Args:
      path: The cache; its directory is made if it is not there.
      source: The file of which it is.
      source_state: What `state` said when the file was read.
      columns: What was read.
      corruption: What could not be used.
    """
    about = {"version": _VERSION, "state": source_state, **dataclasses.asdict(corruption)}
    aside = f"{path}.{os.getpid()}.partial"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(aside, "wb") as file:
            np.savez(file, **columns, **{_ABOUT: np.array(json.dumps(about))})
        os.replace(aside, path)
    except OSError as error:
        logging.warning(
            "%s cannot be written (%s), so %s will be read anew each time: name a cache_dir",
            path,
            error,
            source,
        )
    finally:
        with contextlib.suppress(OSError):
            os.remove(aside)
