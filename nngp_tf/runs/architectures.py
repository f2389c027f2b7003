"""Which architectures of a space a run evaluates."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from nngp_tf.data import benchmark_table
from nngp_tf.search_spaces import nasbench101

SELECTIONS = ("sample", "sample_cells", "notebook", "range:START:STOP", "file:PATH", "table:PATH")


def select(
    space: str, selection: str, num_architectures: int | None, seed: int
) -> Sequence[nasbench101.Cell]:
    """List the architectures to evaluate, each key once.

    Args:
      space: "nasbench101".
      selection: How they are chosen.
        "sample": distinct cells, drawn uniformly over matrices as the benchmark's authors do.
        "sample_cells": distinct cells, drawn uniformly over the 423,624 of the space.
        "notebook": the networks of the authors' notebook, in its order; `seed` plays no part.
        "range:START:STOP": by position in the enumeration of the space, STOP excluded.
        "file:PATH": one text form a line.
        "table:PATH": of a benchmark table, in random order.
      num_architectures: The most to list; None for all, where the selection has an end.
      seed: Of the sampling, the order of the table included.

    Returns:
      The architectures.

    Raises:
      ValueError: For an unknown space or selection, a number that is not positive or not there, a
        negative seed, a range outside the space, or a file that is missing, empty or malformed.
    """
    if space != "nasbench101":
        raise ValueError(f"space must be 'nasbench101', got {space!r}")
    kind, _, argument = str(selection).partition(":")
    if (kind in ("range", "file", "table")) != bool(argument) or kind not in _SELECT:
        raise ValueError(f"architectures must be one of {', '.join(SELECTIONS)}, got {selection!r}")
    if num_architectures is not None and num_architectures < 1:
        raise ValueError(f"num_architectures must be positive or None, got {num_architectures!r}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed!r}")
    return _SELECT[kind](argument, num_architectures, seed)


def _sample(uniform_over):
    def select_sample(_, number, seed):
        limit = nasbench101.NUM_CELLS
        if number is None or number > limit // 2:
            raise ValueError(
                f"num_architectures must be at most {limit // 2} for a sample of distinct cells, "
                f"got {number!r}: use architectures='range:0:{limit}' for the whole space"
            )
        rng = np.random.default_rng(seed)
        cells = {}
        while len(cells) < number:
            cell = nasbench101.sample(rng, uniform_over)
            cells.setdefault(cell.key, cell)
        return list(cells.values())

    return select_sample


def _notebook(_, number, seed):
    del seed
    return nasbench101.notebook_cells() if number is None else nasbench101.notebook_cells(number)


def _range(argument, number, seed):
    del seed
    try:
        start, stop = (int(part) for part in argument.split(":"))
    except ValueError:
        raise ValueError(
            f"a range of architectures is written 'range:START:STOP', got 'range:{argument}'"
        ) from None
    if not 0 <= start < stop <= nasbench101.NUM_CELLS:
        raise ValueError(
            f"a range of architectures must satisfy 0 <= START < STOP <= {nasbench101.NUM_CELLS}, "
            f"got 'range:{argument}'"
        )
    stop = stop if number is None else min(stop, start + number)
    return list(nasbench101.enumerate_cells(start, stop))


def _file(path, number, seed):
    del seed
    try:
        with tf.io.gfile.GFile(path, "r") as file:
            lines = file.read().splitlines()
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        reason = getattr(error, "message", error)
        raise ValueError(
            f"{path} cannot be read ({reason}): name a file with the text form of an architecture "
            "a line"
        ) from error
    cells = nasbench101.parse_cells(lines, os.path.basename(path))
    if not cells:
        raise ValueError(f"{path} holds no architectures: write a text form a line")
    return cells[:number]


def _table(path, number, seed):
    table = benchmark_table.load(path)
    order = np.random.default_rng(seed).permutation(len(table))
    return [table.cell(row) for row in order[:number]]


_SELECT: dict[str, Callable] = {
    "sample": _sample("matrices"),
    "sample_cells": _sample("cells"),
    "notebook": _notebook,
    "range": _range,
    "file": _file,
    "table": _table,
}
