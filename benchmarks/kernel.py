"""Time and peak memory of a kernel over images and initialisations, and against neural-tangents.

python -m benchmarks.kernel [--neural_tangents_python=PATH/bin/python] [--json=kernel.json]

A process for each point: N training images at one M, M initialisations at one N, or with
`--full_grid` all pairs. The peer is `neural_tangents.monte_carlo_kernel_fn` on two 3x3 convolutions
with ReLU under a global average, which both can express, without batch normalisation; its batches
are pairs of images, so it also runs with all images in one. neural-tangents 0.6.5 imports only with
an older JAX, in an environment of its own:

    python -m venv PATH
    PATH/bin/pip install neural-tangents==0.6.5 jax==0.4.30 jaxlib==0.4.30 'numpy<2' absl-py
"""

from __future__ import annotations

import contextlib
import itertools

from absl import app, flags

from benchmarks import timing

_NUM_TRAIN = flags.DEFINE_list("num_train", "500,1000,2000,4000,8000", "Counts of images, N.")
_NUM_INITS = flags.DEFINE_list("num_inits", "1,2,4,8,16", "Counts of initialisations, M.")
_AT_NUM_TRAIN = flags.DEFINE_integer("at_num_train", 2000, "N at which M varies.")
_AT_NUM_INITS = flags.DEFINE_integer("at_num_inits", 8, "M at which N varies.")
_FULL_GRID = flags.DEFINE_bool("full_grid", False, "All pairs of N and M.")
_STEM_FILTERS = flags.DEFINE_integer("stem_filters", 16, "Width of the NAS-Bench-101 network.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 32, "Height and width.")
_DTYPE = flags.DEFINE_string("compute_dtype", None, "Unless given, the device's own.")
_PEER = flags.DEFINE_string("neural_tangents_python", None, "Interpreter of its environment.")
_PEER_NUM_TRAIN = flags.DEFINE_list("peer_num_train", "500,1000", "N of the comparison.")
_PEER_NUM_INITS = flags.DEFINE_integer("peer_num_inits", 4, "M of the comparison.")
_PEER_BATCH = flags.DEFINE_integer("peer_batch", 100, "Batch of the peer; it must divide N.")
_PEER_WIDTH = flags.DEFINE_integer("peer_width", 64, "Channels of the convolutions.")


def main(argv):
    """Run the benchmark."""
    del argv
    num_train = sorted(map(int, _NUM_TRAIN.value))
    num_inits = sorted(map(int, _NUM_INITS.value))
    points = list(itertools.product(num_train, num_inits))
    if not _FULL_GRID.value:
        points = [
            *((n, _AT_NUM_INITS.value) for n in num_train),
            *((_AT_NUM_TRAIN.value, m) for m in num_inits if m != _AT_NUM_INITS.value),
        ]
    rows = []
    for n, m in points:
        rows.append(_point(n, m))
        print(timing.table(rows[-1:]), flush=True)
    fits = [
        {"of": name, "at": at, **_fit(along, rows, name, at)}
        for along, other in (("N", "M"), ("M", "N"))
        for name in ("seconds", "MiB above import")
        for at in sorted({(other, row[other]) for row in rows})
    ]
    fits = [{**fit, "at": "{} = {}".format(*fit["at"])} for fit in fits if fit["exponent"]]
    comparison, notes = _compare()
    timing.report(
        "kernel",
        {
            "repeats": timing.REPEATS.value,
            "images": ",".join(map(str, num_train)),
            "initialisations": ",".join(map(str, num_inits)),
            "image size": _IMAGE_SIZE.value,
            "stem filters": _STEM_FILTERS.value,
            "dtype": _DTYPE.value or "default",
        },
        {
            "A NAS-Bench-101 network": rows,
            "Exponents of N and M": fits,
            "Two convolutions, against neural-tangents": comparison,
        },
        notes=notes,
    )


def _point(num_train, num_inits):
    task = {
        "network": "cell",
        "num_train": num_train,
        "num_inits": num_inits,
        "image_size": _IMAGE_SIZE.value,
        "width": _STEM_FILTERS.value,
        "compute_dtype": _DTYPE.value,
    }
    with timing.Worker.of_module("benchmarks.kernel_worker", task) as worker:
        runs = [worker.run() for _ in range(timing.REPEATS.value)]
    return {
        "N": num_train,
        "M": num_inits,
        "warm-up seconds": worker.prepared["seconds"],
        "seconds": timing.summary([run["seconds"] for run in runs]),
        "peak MiB": runs[-1]["peak_mebibytes"],
        "MiB above import": runs[-1]["peak_mebibytes"] - runs[-1]["imported_mebibytes"],
    }


def _fit(along, rows, name, at):
    other, value = at
    rows = sorted((row for row in rows if row[other] == value), key=lambda row: row[along])
    x = [row[along] for row in rows]
    y = [row[name]["median"] if name == "seconds" else row[name] for row in rows]
    return {
        "along": along,
        "points": len(rows),
        "exponent": timing.slope(x, y),
        "of the last two": timing.slope(x[-2:], y[-2:]),
    }


def _compare():
    """Return rows of the comparison, peers turn by turn in processes that wait for each other."""
    if not _PEER.value:
        return [], ["neural-tangents left out: --neural_tangents_python names no interpreter"]
    rows = []
    for num_train in map(int, _PEER_NUM_TRAIN.value):
        task = {
            "network": "convolutions",
            "num_train": num_train,
            "num_inits": _PEER_NUM_INITS.value,
            "image_size": _IMAGE_SIZE.value,
            "width": _PEER_WIDTH.value,
        }
        ours, theirs = "benchmarks.kernel_worker", "benchmarks.neural_tangents_worker"
        tasks = {
            "ours": (ours, task | {"compute_dtype": _DTYPE.value}, None),
            "ours float32": (ours, task | {"compute_dtype": "float32"}, None),
            f"batches of {_PEER_BATCH.value}": (
                theirs,
                task | {"batch_size": _PEER_BATCH.value},
                _PEER.value,
            ),
            "one batch": (theirs, task | {"batch_size": 0}, _PEER.value),
        }
        with contextlib.ExitStack() as stack:
            workers = {}
            for name, (module, each, python) in tasks.items():
                try:
                    worker = timing.Worker.of_module(module, each, python)
                except (OSError, RuntimeError) as error:
                    return rows, [f"neural-tangents left out: {error}"]
                workers[name] = stack.enter_context(worker)
            runs = {name: [] for name in workers}
            for _ in range(timing.REPEATS.value):
                for name, worker in workers.items():
                    runs[name].append(worker.run())
        taken = {name: [run["seconds"] for run in of] for name, of in runs.items()}
        for name, of in runs.items():
            rows.append(
                {
                    "N": num_train,
                    "M": _PEER_NUM_INITS.value,
                    "": name,
                    "warm-up seconds": workers[name].prepared["seconds"],
                    "seconds": timing.summary(taken[name]),
                    "seconds / ours": timing.ratio(taken[name], taken["ours"]),
                    "peak MiB": of[-1]["peak_mebibytes"],
                    "mean diagonal": of[-1]["mean_diagonal"],
                    "Frobenius norm": of[-1]["norm"],
                }
            )
    return rows, []


if __name__ == "__main__":
    app.run(main)
