"""Records per second and peak memory of reading the official file of NAS-Bench-101.

python -m benchmarks.records [--num_records=1000000] [--file_dir=/tmp] [--json=records.json]

A synthetic file in the official format, with real cells and checksums, which is removed at the end.
A process for every turn:

    first load      every record and hash verified, and an .npz file written beside the file
    from .npz       what every later load does
    objects         tf.data, json and base64 to dictionaries of each record, as the nasbench package
                    keeps them, but with the numbers at their usual places instead of through
                    classes of protocol buffers; on fewer records, since they take a lot of memory
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import struct
import sys
import tempfile
import time

from absl import app, flags

from benchmarks import record_file, timing
from nngp_tf.data import benchmark_table

_RECORDS = flags.DEFINE_integer("num_records", 1_000_000, "Records.", 12)
_OBJECTS = flags.DEFINE_integer("num_objects", 100_000, "Records of the comparison.", 12)
_FILE_DIR = flags.DEFINE_string("file_dir", None, "Where the file is put; 0.4 GB a million.")
_TURN = flags.DEFINE_string("turn", None, "What a process of a turn does; for this script only.")
_PER_CELL = len(record_file.BUDGETS) * record_file.NUM_REPEATS


def main(argv):
    """Run the benchmark, or one turn of it."""
    del argv
    if _TURN.value:
        timing.serve(_prepare)
        return
    with tempfile.TemporaryDirectory(dir=_FILE_DIR.value) as directory:
        counts = {"first load": _RECORDS.value, "from .npz": _RECORDS.value}
        counts["objects"] = _OBJECTS.value
        # Whole architectures only: others would be refused.
        counts = {how: count // _PER_CELL * _PER_CELL for how, count in counts.items()}
        paths = {
            count: os.path.join(directory, f"{count}.tfrecord") for count in set(counts.values())
        }
        for count, path in paths.items():
            record_file.write(path, count)
        runs = {how: [] for how in counts}
        for _ in range(timing.REPEATS.value):
            for how, count in counts.items():
                runs[how].append(_turn(how, paths[count]))
        sizes = {how: os.path.getsize(paths[count]) for how, count in counts.items()}
    rows = [_row(how, counts[how], sizes[how], of) for how, of in runs.items()]
    rates = {row[""]: row["records/s"]["median"] for row in rows}
    # The published 5,083,488 records within a few minutes, once.
    targets = [
        timing.target("records per second, first load", rates["first load"], 2e4, at_least=True)
    ]
    settings = {"repeats": timing.REPEATS.value}
    timing.report("records", settings, {"Records": rows}, targets)


def _row(how, count, size, runs):
    taken = [run["seconds"] for run in runs]
    rise = [run["peak_mebibytes"] - run["before_mebibytes"] for run in runs]
    return {
        "": how,
        "records": count,
        "file MiB": size / timing.MEBIBYTE,
        "seconds": timing.summary(taken),
        "CPU seconds": timing.summary([run["cpu_seconds"] for run in runs]),
        "records/s": timing.summary([count / seconds for seconds in taken]),
        "peak MiB": timing.summary([run["peak_mebibytes"] for run in runs]),
        "MiB above import": timing.summary(rise),
    }


def _turn(how, path):
    command = [sys.executable, "-m", "benchmarks.records", "--turn=serve"]
    with timing.Worker(command, {"how": how, "path": path}) as worker:
        return worker.run()


def _prepare(task):
    path = task["path"]
    call = _objects_call(path) if task["how"] == "objects" else lambda: benchmark_table.load(path)
    if task["how"] == "first load":
        pathlib.Path(f"{path}.npz").unlink(missing_ok=True)
    before = timing.peak_memory()

    def run():
        start = time.process_time()
        held = call()
        return {
            "before_mebibytes": before,
            "cpu_seconds": time.process_time() - start,
            "architectures": len(held),
        }

    return run


def _objects_call(path):
    # Only here, so that the others stay free of it.
    import tensorflow as tf

    evaluation = struct.Struct("<" + "xd" * 5)
    names = ("current_epoch", "training_time", "train", "validation", "test")

    def call():
        held = {}
        for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
            module_hash, epochs, adjacency, operations, metrics = json.loads(record)
            message = base64.b64decode(metrics)
            halfway, final = (
                dict(zip(names, evaluation.unpack_from(message, 47 * index + 2), strict=True))
                for index in (1, 2)
            )
            kept = held.setdefault(module_hash, {"adjacency": adjacency, "operations": operations})
            kept.setdefault(epochs, []).append({"halfway": halfway, "final": final})
        return held

    return call


if __name__ == "__main__":
    app.run(main)
