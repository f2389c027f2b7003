"""The authors' protocol: seconds a network, split by phase, and against plain Keras.

python -m benchmarks.sweep [--num_networks=250] [--num_split=50] [--json=sweep.json]

The networks of the authors' notebook on CIFAR-10, 100 training and 200 test images, 2
initialisations (random images where there is no CIFAR-10), in three passes. One network of each
kind, which traces the programs, runs before and is told apart.

1. All networks, one right after the other as in a run: seconds, and of them the regression's.
2. The first networks, the passes within the kernel on their own; `rest` is what the kernel took
   otherwise:

    encode     the cell as tensors
    draw       weights drawn and folded, by a program that does not calibrate
    calibrate  what the program that does takes longer
    features   the layers on the training and test images
    Gram       their inner products

3. The first networks in turn with plain Keras, which does the same job: the model is built, its
   kernel taken in float32 by `monte_carlo_kernel`, the regression solved.
"""

from __future__ import annotations

import functools
import gc

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from benchmarks import networks, timing
from nngp_tf.gaussian_process import scan_diag_reg
from nngp_tf.kernels import cell_layout, gram, monte_carlo_kernel, precision
from nngp_tf.models import Nasbench101Network
from nngp_tf.runs import inference
from nngp_tf.search_spaces import nasbench101

_NUM_NETWORKS = flags.DEFINE_integer("num_networks", 250, "Networks of the notebook.", 1)
_NUM_SPLIT = flags.DEFINE_integer("num_split", 50, "Of them, how many are split by phase.", 1)
_NUM_KERAS = flags.DEFINE_integer("num_keras", 20, "Of them, how many run in Keras too.", 0)
_NUM_TRAIN = flags.DEFINE_integer("num_train", 100, "Training images.")
_NUM_TEST = flags.DEFINE_integer("num_test", 200, "Test images.")
_NUM_INITS = flags.DEFINE_integer("num_inits", 2, "Initialisations.")
_STEM_FILTERS = flags.DEFINE_integer("stem_filters", 128, "Width of the networks.")
_DTYPE = flags.DEFINE_string("compute_dtype", None, "Unless given, the device's own.")

KERNEL_PHASES = ("encode", "draw", "calibrate", "features", "Gram")
PHASES = (*KERNEL_PHASES, "rest", "solve")


def main(argv):
    """Run the benchmark."""
    del argv
    images = networks.images(_NUM_TRAIN.value, _NUM_TEST.value, timing.SHARED_DATA.value)
    shape = images.x_train.shape[1:]
    nets = [
        Nasbench101Network(cell, shape, images.num_classes, _STEM_FILTERS.value)
        for cell in nasbench101.notebook_cells(_NUM_NETWORKS.value)
    ]
    settings = inference.KernelSettings(
        num_inits=_NUM_INITS.value,
        seed=0,
        batch_norm="one_update",
        compute_dtype=_DTYPE.value or precision.default_compute_dtype(),
    )

    warm_up = []
    for feeders, network in {cell_layout.num_feeders(n): n for n in reversed(nets)}.items():
        first = timing.seconds(functools.partial(inference.infer, network, images, settings))
        _pieces(network, images, settings)
        warm_up.append({"vertices that feed the output": feeders, "seconds of the first": first})

    logging.info("pass 1 of 3")
    timed = [inference.infer(network, images, settings) for network in nets]
    logging.info("pass 2 of 3")
    pieces = [_pieces(network, images, settings) for network in nets[: _NUM_SPLIT.value]]
    logging.info("pass 3 of 3")
    turns = [_turn(network, images, settings) for network in nets[: _NUM_KERAS.value]]

    rows = []
    for network, row, piece in zip(nets, timed, pieces, strict=False):
        kernel, solve = (row["seconds_by_phase"][phase] for phase in ("kernel", "solve"))
        piece |= {"rest": kernel - sum(piece[phase] for phase in KERNEL_PHASES), "solve": solve}
        rows.append(
            {
                "network": len(rows),
                "feeders": cell_layout.num_feeders(network),
                "parameters": network.trainable_parameters,
                "seconds": row["seconds"],
                **{phase: piece[phase] for phase in PHASES},
                "beyond the layers": row["seconds"] - piece["features"],
            }
        )

    taken = [row["seconds"] for row in timed]
    beyond = [row["beyond the layers"] for row in rows]
    summaries = [
        {
            "": name,
            "networks": len(values),
            "mean": float(np.mean(values)),
            **timing.summary(values),
        }
        for name, values in [
            ("seconds", taken),
            *((name, [row[name] for row in rows]) for name in (*PHASES, "beyond the layers")),
        ]
    ]
    keras, speed = [], None
    if turns:
        speed = timing.ratio(*([turn[name] for turn in turns] for name in ("keras", "ours")))
        keras = [{"network": number, **turn} for number, turn in enumerate(turns)]
    timing.report(
        "sweep",
        {
            "repeats": 1,
            "networks": len(timed),
            "images": f"{_NUM_TRAIN.value} + {_NUM_TEST.value} of {images.name}",
            "initialisations": _NUM_INITS.value,
            "stem filters": _STEM_FILTERS.value,
            "dtype": settings.compute_dtype,
        },
        {
            "Warm-up": warm_up,
            "Networks split by phase": rows,
            "Seconds a network": summaries,
            "In turn with plain Keras": keras,
        },
        [
            timing.target("seconds a network, mean", float(np.mean(taken)), 1.5, False),
            timing.target(
                "times as fast as plain Keras, median", speed and speed["median"], 4.0, True
            ),
            timing.target(
                "seconds beyond running the layers, median", float(np.median(beyond)), 0.3, False
            ),
        ],
        ["the notebook took 5.44 s a network on a GPU"],
    )


def _pieces(network, images, settings):
    """Return the seconds of the kernel's phases, each run on its own over all initialisations."""
    x = tf.constant(np.concatenate([images.x_train, images.x_test]))
    calibration = x[: min(100, len(images.x_train))]
    batches = tf.split(x, [min(100, len(x) - i) for i in range(0, len(x), 100)])
    programs = {}

    def encode():
        for mode in ("initial", "one_update"):
            programs[mode] = networks.Program(network, settings.compute_dtype, mode)

    seconds = dict.fromkeys(KERNEL_PHASES, 0.0)
    # Two were made.
    seconds["encode"] = timing.seconds(encode) / 2
    for init in range(settings.num_inits):
        times = {}
        for mode, program in programs.items():
            drawn, times[mode] = _timed(program.initialise, calibration, init)
        seconds["draw"] += times["initial"]
        seconds["calibrate"] += times["one_update"] - times["initial"]
        z, taken = _timed(_features, programs["one_update"], drawn, batches)
        seconds["features"] += taken
        z = tf.constant(z)
        _, taken = _timed(_gram, z, z[: len(images.x_train)])
        seconds["Gram"] += taken
    return seconds


def _timed(call, *arguments):
    results = []
    taken = timing.seconds(lambda: results.append(call(*arguments)))
    return results[0], taken


def _features(program, drawn, batches):
    return np.concatenate([program.features(drawn, batch).numpy() for batch in batches])


@tf.function(autograph=False, reduce_retracing=True)
def _gram(left, right):
    return gram.inner_products(left, right, "CPU")


def _turn(network, images, settings):
    """Return the seconds of the network by its shared program, and by its Keras model."""
    ours = timing.seconds(functools.partial(inference.infer, network, images, settings))
    keras = timing.seconds(functools.partial(_plain_keras, network, images, settings))
    # The next turn is not to pay for the model's end.
    gc.collect()
    return {"ours": ours, "keras": keras, "keras / ours": keras / ours}


def _plain_keras(network, images, settings):
    kernel = monte_carlo_kernel(
        network.build("float32"),
        images.x_train,
        images.x_test,
        num_inits=settings.num_inits,
        compute_dtype="float32",
    )
    scan_diag_reg(kernel, images.y_train, images.y_test, images.num_classes)


if __name__ == "__main__":
    app.run(main)
