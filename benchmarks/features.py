"""Images per second through networks whose weights are drawn and calibrated.

python -m benchmarks.features [--repeats=15] [--json=features.json]

Eight cells that span the sizes of the space, at full size, run by the shared program; against

    keras   the Keras model of the same cell in float32, as a `tf.function` and by
            `predict_on_batch`, whichever is faster
    torch   `nasbench_pytorch.model.Network` of the same cell on the CPU, in float32 and bfloat16,
            channels first and channels last, whichever is faster
    limit   the cell's multiply-adds at the best rate of any single convolution of the network's
            shapes, in the same dtype and in the same repeat

The peer on PyTorch runs where both `torch` and `nasbench_pytorch` are installed, and is left out
elsewhere: this package does not depend on them. `pip install torch nasbench-pytorch` may take a
build of some GB for GPUs; the CPU build does. PyTorch's OpenMP threads wait for each other, so it
suffers more than TensorFlow from other work on the machine: measure on a quiet one.
"""

from __future__ import annotations

import functools
import gc
import importlib

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks import networks, timing
from nngp_tf.kernels import precision
from nngp_tf.models import Nasbench101Network
from nngp_tf.models.feature_model import features as feature_model

_CELLS = flags.DEFINE_integer("cells", 8, "How many of the eight cells, evenly.", 1, 8)
_BATCH = flags.DEFINE_integer("batch", 100, "Images in a batch.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 32, "Height and width.")
_STEM_FILTERS = flags.DEFINE_integer("stem_filters", 128, "Width of the networks.")
_DTYPE = flags.DEFINE_string("compute_dtype", None, "Unless given, the device's own.")
# libgomp and Eigen keep their threads spinning for some milliseconds after work.
_PAUSE = flags.DEFINE_float("pause", 0.01, "Seconds of rest before each turn.")

TARGETS = {"keras": 5.0, "torch": 2.5, "limit": 1.8}


def main(argv):
    """Run the benchmark."""
    del argv
    compute_dtype = _DTYPE.value or precision.default_compute_dtype()
    dtypes = list(dict.fromkeys([compute_dtype, "float32"]))
    shape = (_IMAGE_SIZE.value, _IMAGE_SIZE.value, 3)
    images = np.random.default_rng(0).normal(size=(_BATCH.value, *shape)).astype(np.float32)
    cells, origin = networks.quantile_cells(timing.SHARED_DATA.value)
    chosen = np.linspace(0, len(cells) - 1, _CELLS.value).round().astype(int)
    nets = [
        Nasbench101Network(cells[index], shape, stem_filters=_STEM_FILTERS.value)
        for index in chosen
    ]

    convolutions = {dtype: _convolutions(nets[0], dtype) for dtype in dtypes}
    conv_rows = _rate_convolutions(convolutions)
    best = {}
    for dtype in dtypes:
        row = max((r for r in conv_rows if r["dtype"] == dtype), key=_median_rate)
        best[dtype] = convolutions[dtype][row["shape"]]
    torch_network, notes = _torch_network()
    cell_rows, rate_rows, ratio_rows = [], [], []
    for number, network in enumerate(nets, start=1):
        row = {
            "cell": number,
            "feeders": int(network.cell.matrix[1:, -1].sum()),
            "multiply-adds": networks.multiply_adds(network),
        }
        taken = _measure(network, images, dtypes, best, torch_network)
        cell_rows.append(row | {"text": network.text})
        rates = {name: timing.summary(seconds)["median"] for name, seconds in taken.items()}
        rate_rows.append(row | {name: len(images) / median for name, median in rates.items()})
        ratio_rows.append(row | _ratios(taken, compute_dtype))
        print(timing.table(ratio_rows[-1:]), flush=True)
        gc.collect()

    targets = []
    for peer, bound in TARGETS.items():
        values = [row[peer]["median"] for row in ratio_rows if row.get(peer)]
        value = float(np.median(values)) if values else None
        what = "times the limit's time" if peer == "limit" else f"times as fast as {peer}"
        targets.append(timing.target(f"median cell: {what}", value, bound, peer != "limit"))
    timing.report(
        "features",
        {
            "repeats": timing.REPEATS.value,
            "images": len(images),
            "image size": _IMAGE_SIZE.value,
            "initialisations": 1,
            "stem filters": _STEM_FILTERS.value,
            "dtype": compute_dtype,
            "cells": origin,
        },
        {
            "Convolutions alone (GFLOP/s, 2 x multiply-adds)": conv_rows,
            "Cells": cell_rows,
            "Images per second (medians)": rate_rows,
            f"Peers' time / ours in {compute_dtype}; our time / the limit": ratio_rows,
        },
        targets,
        notes,
    )


def _measure(network, images, dtypes, best, torch_network):
    """Return the seconds of each contestant's turns; the limit's are scaled to the network."""
    calls = {f"ours {dtype}": _ours(network, dtype, images) for dtype in dtypes}
    calls |= _keras(network, images)
    calls |= torch_network(network, images) if torch_network else {}
    calls |= {f"limit {dtype}": best[dtype][0] for dtype in dtypes}
    for call in calls.values():
        call()
        call()
    taken = timing.turns(calls, timing.REPEATS.value, _PAUSE.value)
    for dtype in dtypes:
        scale = networks.multiply_adds(network) * len(images) / best[dtype][1]
        taken[f"limit {dtype}"] = [seconds * scale for seconds in taken[f"limit {dtype}"]]
    return taken


def _median_rate(row):
    return row["GFLOP/s"]["median"]


def _ratios(taken, compute_dtype):
    ours = taken[f"ours {compute_dtype}"]

    def fastest(prefix):
        names = [name for name in taken if name.startswith(prefix)]
        return min(names, key=lambda n: timing.summary(taken[n])["median"], default=None)

    row = {}
    for peer in ("keras", "torch", "torch float32", "torch bfloat16"):
        name = fastest(peer)
        row[peer] = timing.ratio(taken[name], ours) if name else None
        if peer in ("keras", "torch"):
            row[f"fastest {peer}"] = name and name.removeprefix(f"{peer} ")
    row["limit"] = timing.ratio(ours, taken[f"limit {compute_dtype}"])
    row["limit float32"] = timing.ratio(taken["ours float32"], taken["limit float32"])
    row["float32 / default"] = timing.ratio(taken["ours float32"], ours)
    return row


def _ours(network, dtype, images):
    program = networks.Program(network, dtype)
    images = tf.constant(images)
    drawn = program.initialise(images)
    return lambda: program.features(drawn, images).numpy()


def _keras(network, images):
    model = feature_model(network.build("float32"))
    call = tf.function(functools.partial(model, training=False), autograph=False)
    tensor = tf.constant(images)
    return {
        "keras function": lambda: call(tensor).numpy(),
        "keras predict": lambda: model.predict_on_batch(images),
    }


def _torch_network():
    """Return the function that makes the calls of the PyTorch peer, or None; and a note."""
    try:
        torch = importlib.import_module("torch")
        peer = importlib.import_module("nasbench_pytorch.model")
    except ImportError as error:
        return None, [f"nasbench-pytorch left out: {error}"]
    # As TensorFlow does.
    torch.set_flush_denormal(True)

    def calls(network, images):
        cell = network.cell
        spec = peer.ModelSpec(cell.matrix.astype(int), list(cell.ops))
        made = {}
        for dtype in ("float32", "bfloat16"):
            for layout in ("contiguous", "channels_last"):
                options = {
                    "dtype": getattr(torch, dtype),
                    "memory_format": getattr(torch, f"{layout}_format", None)
                    or getattr(torch, layout),
                }
                model = peer.Network(spec, stem_out_channels=network.stem_filters)
                model = model.eval().to(**options)
                x = torch.from_numpy(images).permute(0, 3, 1, 2).to(**options)

                def call(model=model, x=x):
                    with torch.inference_mode():
                        return model(x)

                made[f"torch {dtype} {layout}"] = call
        return made

    return calls, [f"torch uses {torch.get_num_threads()} threads"]


def _convolutions(network, dtype):
    """Map the shape of each convolution to its call and its multiply-adds."""
    calls = {}
    rng = np.random.default_rng(0)

    for stack in range(network.num_stacks):
        filters = network.stem_filters * 2**stack
        size = -(-network.input_shape[0] // 2**stack)
        for width in (filters, filters // 2):
            x = tf.constant(rng.normal(size=(_BATCH.value, size, size, width)), dtype)
            for side in (3, 1):
                kernel = tf.constant(rng.normal(size=(side, side, width, width)), dtype)
                # Concrete, as otherwise TensorFlow warns of so many traces.
                convolve = _convolve.get_concrete_function(x, kernel)
                macs = _BATCH.value * size**2 * side**2 * width**2
                name = f"{size}x{size}, {width}->{width}, {side}x{side}"
                calls[name] = functools.partial(convolve, x, kernel), macs
    return calls


@tf.function(autograph=False)
def _convolve(x, kernel):
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def _rate_convolutions(convolutions):
    calls = {
        (dtype, shape): call
        for dtype, of_shape in convolutions.items()
        for shape, (call, _) in of_shape.items()
    }
    for call in calls.values():
        call()
        call()
    taken = timing.turns(calls, timing.REPEATS.value, _PAUSE.value)
    rows = []
    for (dtype, shape), seconds in taken.items():
        _, macs = convolutions[dtype][shape]
        rate = timing.summary([2e-9 * macs / s for s in seconds])
        rows.append({"dtype": dtype, "shape": shape, "GFLOP/s": rate})
    return rows


if __name__ == "__main__":
    app.run(main)
