"""Trained accuracies of NAS-Bench-101 cells from a file, looked up by cell or by module hash.

.tfrecord          the official files: `nasbench_records`, with a `benchmark_cache` of columns
.csv and .csv.gz   `benchmark_csv`
"""

import os
from typing import Literal

from nngp_tf.data import benchmark_cache, benchmark_csv, nasbench_records
from nngp_tf.data.benchmark_value import AbsentCellError, BenchmarkTable, Record

__all__ = ["AbsentCellError", "BenchmarkTable", "Record", "load"]


def load(
    path: str | os.PathLike,
    verify: bool = False,
    *,
    check_sha256: bool = False,
    on_corrupt: Literal["error", "skip"] = "error",
    cache_dir: str | os.PathLike | None = None,
) -> BenchmarkTable:
    """Read a benchmark file.

    An official file is read once, a few seconds for each million records, into a file of columns
    that later loads read instead for as long as the official one does not change.

    Args:
      path: nasbench_full.tfrecord, nasbench_only108.tfrecord or another file of such records; or a
        CSV file as `benchmark_csv` describes it.
      verify: Whether to compute each module hash again (some 100 microseconds an architecture)
        instead of trusting the file.
      check_sha256: Whether to compare an official file with its published digest before.
      on_corrupt: What to do about records that are truncated or corrupt: "error", or "skip" to log
        them and leave out the architectures that lost one. A CSV file must be sound.
      cache_dir: Where the file of columns is, if not beside the official one; for directories that
        cannot be written.

    Raises:
      ValueError: The file is missing, of another kind, unreadable, incomplete, empty or not the
        published one; or a row or record is corrupt, repeats a hash or, with `verify`, has a wrong
        one. The message names the file, and the line of a row, or position and byte of a record.
    """
    path = os.fspath(path)
    if on_corrupt not in nasbench_records.ON_CORRUPT:
        raise ValueError(f"on_corrupt must be 'error' or 'skip', got {on_corrupt!r}")
    suffixes = benchmark_csv.SUFFIXES + nasbench_records.SUFFIXES
    if not path.endswith(suffixes):
        raise ValueError(
            f"{path} is not a benchmark file: its name must end in {', '.join(suffixes[:-1])} or "
            f"{suffixes[-1]}"
        )
    if check_sha256:
        nasbench_records.check_sha256(path)
    if path.endswith(benchmark_csv.SUFFIXES):
        return benchmark_csv.read(path, verify)
    table = _load_records(path, on_corrupt, cache_dir)
    if verify:
        _check_hashes(table)
    return table


def _load_records(path: str, on_corrupt: str, cache_dir: str | os.PathLike | None):
    source = benchmark_cache.Source.of(path)
    cache = benchmark_cache.path_for(path, cache_dir)
    loaded = benchmark_cache.load(cache, source, path)
    if loaded is None:
        loaded = nasbench_records.read(path, on_corrupt)
        benchmark_cache.save(cache, source, *loaded)
    table, corruption = loaded
    nasbench_records.check(path, corruption, on_corrupt)
    nasbench_records.report(path, corruption, len(table))
    return table


def _check_hashes(table: BenchmarkTable) -> None:
    for row, cell in enumerate(table):
        if cell.module_hash != table.module_hashes[row]:
            raise ValueError(
                f"{table.source}: module_hash is {table.module_hashes[row]} for {cell}, but the "
                f"cell's is {cell.module_hash}"
            )
