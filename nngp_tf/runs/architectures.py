"""Which architectures of a space a run evaluates."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from nngp_tf.data import benchmark_table, text_files
from nngp_tf.search_spaces import mnas, nasbench101

SELECTIONS = {
    "nasbench101": (
        "sample",
        "sample_cells",
        "notebook",
        "range:START:STOP",
        "file:PATH",
        "table:PATH",
    ),
    "mnas": ("sample", "sample:REFERENCE", "published", "file:PATH"),
}
_TAKES_ARGUMENT = ("range", "file", "table")
_MAY_TAKE_ARGUMENT = {"nasbench101": (), "mnas": ("sample",)}

Architecture = nasbench101.Cell | mnas.Network


def select(
    space: str, selection: str, num_architectures: int | None, seed: int
) -> Sequence[Architecture]:
    """List the architectures to evaluate, each key once.

    Args:
      space: "nasbench101" or "mnas".
      selection: How they are chosen. In either space:
        "file:PATH": one text form a line.
        Of NAS-Bench-101:
        "sample": distinct cells, drawn uniformly over matrices as the benchmark's authors do.
        "sample_cells": distinct cells, drawn uniformly over the 423,624 of the space.
        "notebook": the networks of the authors' notebook, in its order; `seed` plays no part.
        "range:START:STOP": by position in the enumeration of the space, STOP excluded.
        "table:PATH": of a benchmark table, in random order.
        Of MNAS:
        "sample": distinct networks around MobileNetV2, every choice drawn uniformly.
        "sample:REFERENCE": around another reference of `mnas.REFERENCES`.
        "published": MnasNet-A1, B1 and small.
      num_architectures: The most to list; None for all, where the selection has an end.
      seed: Of the sampling, the order of the table included.

    Returns:
      The architectures.

    Raises:
      ValueError: For an unknown space or selection, a number that is not positive or not there, a
        negative seed, a range outside the space, or a file that is missing, empty or malformed.
    """
    if space not in SELECTIONS:
        raise ValueError(f"space must be one of {', '.join(SELECTIONS)}, got {space!r}")
    kind, _, argument = str(selection).partition(":")
    if kind not in _SELECT[space] or not (
        (kind in _TAKES_ARGUMENT) == bool(argument) or kind in _MAY_TAKE_ARGUMENT[space]
    ):
        raise ValueError(
            f"architectures must be one of {', '.join(SELECTIONS[space])}, got {selection!r}"
        )
    if num_architectures is not None and num_architectures < 1:
        raise ValueError(f"num_architectures must be positive or None, got {num_architectures!r}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed!r}")
    return _SELECT[space][kind](argument, num_architectures, seed)


def _distinct(draw, number):
    """Draw until so many keys are there."""
    found = {}
    while len(found) < number:
        architecture = draw()
        found.setdefault(architecture.key, architecture)
    return list(found.values())


def _sample(uniform_over):
    def select_sample(_, number, seed):
        limit = nasbench101.NUM_CELLS
        if number is None or number > limit // 2:
            raise ValueError(
                f"num_architectures must be at most {limit // 2} for a sample of distinct cells, "
                f"got {number!r}: use architectures='range:0:{limit}' for the whole space"
            )
        rng = np.random.default_rng(seed)
        return _distinct(lambda: nasbench101.sample(rng, uniform_over), number)

    return select_sample


def _sample_mnas(reference, number, seed):
    reference = reference or "mobilenet_v2"
    mnas.choices(reference)
    # No machine gets this far, but a number is asked for all the same.
    limit = mnas.distinct_size(reference) // 2
    if number is None or number > limit:
        raise ValueError(
            f"num_architectures must be at most {limit} for a sample of distinct networks, got "
            f"{number!r}"
        )
    rng = np.random.default_rng(seed)
    return _distinct(lambda: mnas.sample(rng, reference), number)


def _published(_, number, seed):
    del seed
    return [mnas.MNASNET_A1, mnas.MNASNET_B1, mnas.MNASNET_SMALL][:number]


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


def _file(parse):
    def select_file(path, number, seed):
        del seed
        lines = text_files.read(path).split("\n")
        architectures = parse(lines, os.path.basename(path))
        if not architectures:
            raise ValueError(f"{path} holds no architectures: write a text form a line")
        return architectures[:number]

    return select_file


def _table(path, number, seed):
    table = benchmark_table.load(path)
    order = np.random.default_rng(seed).permutation(len(table))
    return [table.cell(row) for row in order[:number]]


_SELECT: dict[str, dict[str, Callable]] = {
    "nasbench101": {
        "sample": _sample("matrices"),
        "sample_cells": _sample("cells"),
        "notebook": _notebook,
        "range": _range,
        "file": _file(nasbench101.parse_cells),
        "table": _table,
    },
    "mnas": {
        "sample": _sample_mnas,
        "published": _published,
        "file": _file(mnas.parse_networks),
    },
}
