"""Trained accuracies of NAS-Bench-101 cells from a file, looked up by cell or by module hash.

.tfrecord          the official files: `nasbench_records`, with a `benchmark_cache`
.csv and .csv.gz   `benchmark_csv`
"""

import hashlib
import os
from typing import Literal

import numpy as np
from absl import logging

from nngp_tf.data import benchmark_cache, benchmark_csv, nasbench_records
from nngp_tf.data.benchmark_value import AbsentCellError, BenchmarkTable, Record

__all__ = ["AbsentCellError", "BenchmarkTable", "Record", "load"]

_ON_CORRUPT = ("error", "skip")
_SUFFIXES = (".csv", ".csv.gz", ".tfrecord")
# Of the files that the benchmark's README links to.
_SHA256 = {
    "nasbench_full.tfrecord": "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c",
    "nasbench_only108.tfrecord": "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
}


def load(
    path: str | os.PathLike[str],
    *,
    check_sha256: bool = False,
    on_corrupt: Literal["error", "skip"] = "error",
    cache_dir: str | os.PathLike[str] | None = None,
) -> BenchmarkTable:
    """Read a benchmark file, checking that each module hash is that of its cell.

    An official file is read once, some ten seconds for each million records, into an .npz file that
    later loads read instead for as long as the official one does not change.

    Args:
      path: nasbench_full.tfrecord, nasbench_only108.tfrecord or another file of such records; or a
        CSV file as `benchmark_csv` describes it.
      check_sha256: Whether to compare an official file with its published digest before.
      on_corrupt: What to do about records that are truncated or corrupt or whose hash is not that
        of their cell, and about architectures with fewer records than others: "error", or "skip"
        to log them and take means over what is there. A CSV file must be sound.
      cache_dir: Where the .npz file is, if not beside the official one; for directories that
        cannot be written.

    Raises:
      ValueError: The file is missing, of another kind, unreadable, incomplete, empty or not the
        published one; or a row or record is corrupt, repeats a hash or has a wrong one. The message
        names the file, and the line of a row, or position and byte of a record.
    """
    path = os.fspath(path)
    if on_corrupt not in _ON_CORRUPT:
        raise ValueError(f"on_corrupt must be 'error' or 'skip', got {on_corrupt!r}")
    if not path.endswith(_SUFFIXES):
        raise ValueError(
            f"{path} is not a benchmark file: its name must end in {', '.join(_SUFFIXES[:-1])} or "
            f"{_SUFFIXES[-1]}"
        )
    if check_sha256:
        _check_sha256(path)
    if path.endswith(".tfrecord"):
        return _load_records(path, on_corrupt, cache_dir)
    return benchmark_csv.read(path)


def _load_records(path, on_corrupt, cache_dir):
    try:
        with open(path, "rb"):
            state = benchmark_cache.state(path)
        cache = benchmark_cache.path_for(path, cache_dir)
        columns, corruption = benchmark_cache.load(cache, path, state) or (None, None)
        if columns is None:
            columns, corruption = nasbench_records.read(path, on_corrupt)
            benchmark_cache.save(cache, path, state, columns, corruption)
    except OSError as error:
        raise _unreadable(path, error) from error
    nasbench_records.check(path, corruption, on_corrupt)
    table = nasbench_records.table(columns, path)
    _check_runs(table, on_corrupt)
    if corruption.num_faults:
        logging.warning("%s has %s: left out", path, corruption)
    return table


def _check_runs(table, on_corrupt):
    """Refuse, or log, that architectures have fewer runs than others."""
    for epochs, seconds in table.training_seconds.items():
        counts = (~np.isnan(seconds)).sum(axis=1)
        most = seconds.shape[1]
        lacking = np.flatnonzero(counts < most)
        if not len(lacking):
            continue
        if on_corrupt == "error":
            first = lacking[0]
            raise ValueError(
                f"{table.source} is incomplete: architecture {table.module_hashes[first]} has "
                f"{counts[first]} records of {epochs} epochs where others have {most}; download "
                "it again, or pass on_corrupt='skip' to take means over what is there"
            )
        told = ", ".join(
            f"{number} have {count}"
            for count in range(most)
            if (number := int(np.sum(counts == count)))
        )
        logging.warning(
            "%s: of %d architectures %s records of %d epochs where others have %d; means are over "
            "what is there",
            table.source,
            len(table),
            told,
            epochs,
            most,
        )


def _check_sha256(path):
    """Compare the digest of a file with the published one for its name."""
    name = os.path.basename(path)
    if name not in _SHA256:
        raise ValueError(
            f"no SHA-256 is published for a file named {name}, only for {' and '.join(_SHA256)}: "
            "leave out check_sha256"
        )
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(2**22):
                digest.update(block)
    except OSError as error:
        raise _unreadable(path, error) from error
    if digest.hexdigest() != _SHA256[name]:
        raise ValueError(
            f"{path} is not the published file: its SHA-256 is {digest.hexdigest()}, expected "
            f"{_SHA256[name]}; download it again"
        )


def _unreadable(path, error):
    if isinstance(error, FileNotFoundError):
        return ValueError(f"there is no file {path}: check the path")
    return ValueError(f"{path} cannot be read: {error}")
