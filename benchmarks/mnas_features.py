"""Images per second through mobile networks whose weights are drawn and calibrated.

python -m benchmarks.mnas_features [--image_size=64] [--repeats=15] [--json=mnas_features.json]

MnasNet-A1 and five networks sampled from the search space, run by the shared programs; against

    keras   the Keras model in float32, as a `tf.function` and by `predict_on_batch`, whichever is
            faster
    limit   the network's convolutions alone, one after the other on tensors of their own: no bias,
            no ReLU, no squeeze-excitation, no skip; in the same dtype and in the same repeat

What comes before, drawing, calibrating and folding an initialisation, is told in images: how many
go through the calibrated network in the same time.
"""

from __future__ import annotations

import functools
import gc

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks import timing
from nngp_tf.kernels import mnas_layout, precision
from nngp_tf.kernels.mnas_layer import MnasFamily, kernel_shapes
from nngp_tf.kernels.mnas_programs import LayerPrograms
from nngp_tf.models import MnasNetwork
from nngp_tf.models.feature_model import features as feature_model
from nngp_tf.search_spaces import mnas

_NETWORKS = flags.DEFINE_integer("networks", 6, "A1 and so many sampled ones but one.", 1)
_BATCH = flags.DEFINE_integer("batch", 100, "Images in a batch.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Height and width.")
_WIDTH = flags.DEFINE_float("width_multiplier", None, "Of all filters but the head's.")
_DTYPE = flags.DEFINE_string("compute_dtype", None, "Unless given, the device's own.")
# Eigen keeps its threads spinning for some milliseconds after work.
_PAUSE = flags.DEFINE_float("pause", 0.01, "Seconds of rest before each turn.")


def main(argv):
    """Run the benchmark."""
    del argv
    compute_dtype = _DTYPE.value or precision.default_compute_dtype()
    dtypes = list(dict.fromkeys([compute_dtype, "float32"]))
    shape = (_IMAGE_SIZE.value, _IMAGE_SIZE.value, 3)
    images = np.random.default_rng(0).normal(size=(_BATCH.value, *shape)).astype(np.float32)
    programs = {
        dtype: LayerPrograms(MnasFamily("one_update", dtype), tf.distribute.get_strategy())
        for dtype in dtypes
    }
    rng = np.random.default_rng(0)
    sampled = [mnas.sample(rng) for _ in range(_NETWORKS.value - 1)]
    network_rows, rate_rows, ratio_rows = [], [], []
    for number, network in enumerate([mnas.MNASNET_A1, *sampled]):
        network = MnasNetwork(network, shape, width_multiplier=_WIDTH.value)
        row = {"network": f"sampled {number}" if number else "A1"}
        network_rows.append(
            row
            | {
                "parameters": network.trainable_parameters,
                "multiply-adds": network.multiply_adds,
                "text": network.text,
            }
        )
        taken = _measure(network, images, programs)
        rates = {name: timing.summary(seconds)["median"] for name, seconds in taken.items()}
        rate_rows.append(row | {name: len(images) / median for name, median in rates.items()})
        ratio_rows.append(row | _ratios(taken, compute_dtype, len(images)))
        print(timing.table(ratio_rows[-1:]), flush=True)
        gc.collect()
    timing.report(
        "mnas_features",
        {
            "repeats": timing.REPEATS.value,
            "images": len(images),
            "image size": _IMAGE_SIZE.value,
            "width multiplier": _WIDTH.value,
            "initialisations": 1,
            "dtype": compute_dtype,
        },
        {
            "Networks": network_rows,
            "Images per second (medians)": rate_rows,
            f"Keras' time / ours in {compute_dtype}; our time / the limit": ratio_rows,
        },
    )


def _measure(network, images, programs):
    """Return the seconds of each contestant's turns."""
    calls = {}
    for dtype, shared in programs.items():
        prepare, forward = _ours(network, shared, tf.constant(images, dtype))
        calls[f"ours {dtype}"] = forward
        calls[f"prepare {dtype}"] = prepare
        calls[f"limit {dtype}"] = _convolutions_alone(network, dtype)
    calls |= _keras(network, images)
    for call in calls.values():
        call()
        call()
    return timing.turns(calls, timing.REPEATS.value, _PAUSE.value)


def _ratios(taken, compute_dtype, num_images):
    ours = taken[f"ours {compute_dtype}"]
    peers = [name for name in taken if name.startswith("keras")]
    keras = min(peers, key=lambda name: timing.summary(taken[name])["median"])
    prepare = timing.ratio(taken[f"prepare {compute_dtype}"], ours)
    return {
        "keras": timing.ratio(taken[keras], ours),
        "fastest keras": keras.removeprefix("keras "),
        "keras / ours float32": timing.ratio(taken[keras], taken["ours float32"]),
        "limit": timing.ratio(ours, taken[f"limit {compute_dtype}"]),
        "limit float32": timing.ratio(taken["ours float32"], taken["limit float32"]),
        "float32 / default": timing.ratio(taken["ours float32"], ours),
        "prepare in images": {name: num_images * value for name, value in prepare.items()},
    }


def _ours(network, programs, images):
    """Return the calls that draw, calibrate and fold, and that run the images."""
    kinds, inputs = zip(*mnas_layout.encode(network), strict=True)
    inputs = tf.nest.map_structure(tf.constant, inputs)
    zero = tf.constant(0)

    def prepare():
        x, folded = images, []
        for kind, layer in zip(kinds, inputs, strict=True):
            drawn, x = programs.prepare(kind, len(images))(layer, zero, zero, x)
            folded.append(drawn)
        return folded

    folded = prepare()

    def forward():
        x = images
        for kind, layer, drawn in zip(kinds, inputs, folded, strict=True):
            x = programs.forward(kind, len(images))(layer, drawn, x)
        return programs.pool(kinds[-1], len(images))(x).numpy()

    return prepare, forward


def _keras(network, images):
    model = feature_model(network.build("float32"))
    call = tf.function(functools.partial(model, training=False), autograph=False)
    tensor = tf.constant(images)
    return {
        "keras function": lambda: call(tensor).numpy(),
        "keras predict": lambda: model.predict_on_batch(images),
    }


def _convolutions_alone(network, dtype):
    """Return a call that runs every convolution of a network, each after the one before."""
    rng = np.random.default_rng(0)
    arguments, strides = [], []
    for kind, _ in mnas_layout.encode(network, static=True):
        size = kind.image_size
        for site in ("expand", "depthwise", "project"):
            kernel_shape = kernel_shapes(kind, kind.widths).get(site)
            if kernel_shape is None:
                continue
            # The convolution with the layer's stride is the one that is not 1x1, or the only one.
            stride = kind.stride if site == "depthwise" or not kind.widths.depthwise else 1
            x = rng.normal(size=(_BATCH.value, *size, kernel_shape[2]))
            arguments += [tf.constant(x, dtype), tf.constant(rng.normal(size=kernel_shape), dtype)]
            strides.append((stride, site == "depthwise"))
            size = tuple(-(-side // stride) for side in size)

    @tf.function(autograph=False)
    def convolutions(*flat):
        outputs = []
        for x, kernel, (stride, depthwise) in zip(flat[::2], flat[1::2], strides, strict=True):
            with tf.control_dependencies(outputs[-1:]):
                if depthwise:
                    y = tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], "SAME")
                else:
                    y = tf.nn.conv2d(x, kernel, stride, "SAME")
            # Something of each must be asked for, or it would not run.
            outputs.append(y[0, 0, 0, 0])
        return outputs

    concrete = convolutions.get_concrete_function(*arguments)
    return lambda: concrete(*arguments)


if __name__ == "__main__":
    app.run(main)
