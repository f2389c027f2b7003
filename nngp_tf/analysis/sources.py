"""Sources by what is found at a path: NNGP runs, training runs, benchmark tables.

A path may be given a name: NAME=PATH. Otherwise a run is called like its directory, and a table
like its file without its ending. A path may hold equals signs: what is there as it is written is a
path, and NAME is else what stands before the first one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from nngp_tf.analysis.inference_signals import inference_source
from nngp_tf.analysis.signals import Source
from nngp_tf.analysis.table_signals import table_source
from nngp_tf.analysis.training_signals import training_source
from nngp_tf.data import benchmark_table
from nngp_tf.runs.reading import read_run

_NAMED = re.compile(r"([\w.+-]+)=(.+)", re.DOTALL)


def load(runs: Sequence[str], tables: Sequence[str]) -> list[Source]:
    """Read runs and tables.

    Args:
      runs: Run directories, each with or without a name.
      tables: Benchmark files, each with or without a name.

    Returns:
      Their sources, runs first.

    Raises:
      ValueError: If two have one name, one cannot be read, or a run holds no scores.
    """
    named_runs = [_named(run, _directory_name) for run in runs]
    named_tables = [_named(table, _file_name) for table in tables]
    names = [name for name, _ in (*named_runs, *named_tables)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"{names.count(name)} runs or tables are called {name!r}: tell them apart by "
                "NAME=PATH"
            )
    sources = [run_source(path, name) for name, path in named_runs]
    return sources + [table_source(benchmark_table.load(path), name) for name, path in named_tables]


def run_source(path: str, name: str) -> Source:
    """Read a run, of whichever kind it is.

    Raises:
      ValueError: If it cannot be read, has no rows, or none with scores.
    """
    run = read_run(path)
    if any("validation_accuracy" in row for row in run.rows):
        return training_source(run, name)
    if any(row.get("scan") for row in run.rows):
        return inference_source(run, name)
    what = f"{len(run.rows)} rows but no scores" if run.rows else "no rows"
    raise ValueError(f"run directory {run.path} has {what}: name one with results")


def _named(text, default):
    if (match := _NAMED.fullmatch(text)) and not os.path.exists(text):
        if not os.path.exists(match[2]) and "://" not in match[2]:
            raise ValueError(
                f"there is neither {text!r} nor, under the name {match[1]!r}, {match[2]!r}: name a "
                "path as PATH or NAME=PATH"
            )
        return match[1], match[2]
    return default(text), text


def _directory_name(path):
    return path.rstrip("/").rpartition("/")[2] or path


def _file_name(path):
    name = path.rpartition("/")[2].removesuffix(".gz")
    return name.rpartition(".")[0] or name
