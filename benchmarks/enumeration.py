"""Seconds and peak memory of enumerating the space, against md5 hashes in plain Python.

python -m benchmarks.enumeration [--md5_vertices=6] [--json=enumeration.json]

A process for every turn, since the enumeration is remembered:

    index   `nasbench101_enumeration.representatives`: arrays that name every cell
    cells   a `Cell` for each, all held
    md5     the definition in generate_graphs.py with the published hash, in plain Python
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
from absl import app, flags

from benchmarks import timing
from nngp_tf.search_spaces import graph_hash, nasbench101_enumeration
from nngp_tf.search_spaces.nasbench101 import MAX_EDGES, MAX_VERTICES, OPS

_VERTICES = flags.DEFINE_integer("vertices", MAX_VERTICES, "Most vertices.", 2, MAX_VERTICES)
_MD5_VERTICES = flags.DEFINE_integer(
    "md5_vertices", 5, "Most vertices of the comparison; 6 takes some ten seconds.", 2, MAX_VERTICES
)
_TURN = flags.DEFINE_string("turn", None, "What a process of a turn does; for this script only.")


def main(argv):
    """Run the benchmark, or one turn of it."""
    del argv
    if _TURN.value:
        timing.serve(_prepare)
        return
    limits = {"index": _VERTICES.value, "cells": _VERTICES.value}
    compared = {
        f"{how}, V <= {_MD5_VERTICES.value}": (how, _MD5_VERTICES.value)
        for how in ("index", "cells", "md5")
    }
    tasks = {f"{how}, V <= {most}": (how, most) for how, most in limits.items()} | compared
    runs = {name: [] for name in tasks}
    for _ in range(timing.REPEATS.value):
        for name, (how, most) in tasks.items():
            runs[name].append(_turn(how, most))
    seconds = {name: [run["seconds"] for run in of] for name, of in runs.items()}
    md5 = seconds[f"md5, V <= {_MD5_VERTICES.value}"]
    rows = [
        {
            "": name,
            "cells": of[0]["cells"],
            "seconds": timing.summary(seconds[name]),
            "md5's seconds / these": timing.ratio(md5, seconds[name]) if name in compared else None,
            "peak MiB": timing.summary([run["peak_mebibytes"] for run in of]),
            "MiB before": float(np.median([run["before_mebibytes"] for run in of])),
        }
        for name, of in runs.items()
    ]
    timing.report("enumeration", {"repeats": timing.REPEATS.value}, {"Enumeration": rows})


def _turn(how, most):
    command = [sys.executable, "-m", "benchmarks.enumeration", "--turn=serve"]
    with timing.Worker(command, {"how": how, "vertices": most}) as worker:
        return worker.run()


def _prepare(task):
    before = timing.peak_memory()
    enumerate_cells = {"index": _index, "cells": _cells, "md5": _md5}[task["how"]]

    def run():
        return {"cells": enumerate_cells(task["vertices"]), "before_mebibytes": before}

    return run


def _index(vertices):
    return sum(nasbench101_enumeration.num_cells(v) for v in range(2, vertices + 1))


def _cells(vertices):
    return len(list(nasbench101_enumeration.cells(0, _index(vertices))))


def _md5(vertices):
    return sum(_md5_of_size(v) for v in range(2, vertices + 1))


def _md5_of_size(vertices):
    edges = [(x, y) for y in range(vertices) for x in range(y)]
    found = set()
    for bits in range(2 ** len(edges)):
        present = [edge for index, edge in enumerate(edges) if bits >> index & 1]
        if (
            len(present) > MAX_EDGES
            or {x for x, _ in present} != set(range(vertices - 1))
            or {y for _, y in present} != set(range(1, vertices))
        ):
            continue
        matrix = np.zeros((vertices, vertices), int)
        matrix[tuple(zip(*present, strict=True))] = 1
        for labels in itertools.product(range(len(OPS)), repeat=vertices - 2):
            found.add(graph_hash.module_hash(matrix, [-1, *labels, -2]))
    return len(found)


if __name__ == "__main__":
    app.run(main)
