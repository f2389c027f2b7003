"""What a GPU computes, beside the CPU: parity, seconds, memory, and whether XLA helps.

python -m benchmarks.gpu [--num_networks=250] [--json=gpu.json]
python -m benchmarks.gpu --device=cpu    the same script where there is no GPU

One table, a column for each precision, which has a process of its own:

    float32   in all digits
    TF32      float32 whose convolutions and matrix products a GPU may round to 10 bits of mantissa,
              as it does by default from NVIDIA's Ampere on; not on a CPU
    bfloat16

Its rows:

    parity    kernels of NAS-Bench-101 by the shared programs, of MNAS and of an own Keras model,
              centred over the images, and the loss of short training after an epoch: relative
              differences from the CPU's in float32
    sweep     seconds a network of the authors' notebook, as in `benchmarks.sweep`, and the peak of
              the device's memory (on a CPU, of the process)
    XLA       seconds of one initialisation's kernel of a cell as TensorFlow runs it, and compiled;
              by the shared program, and by the general path through the cell's Keras model

Exit code 2 without a GPU, 1 if something could not be measured; the rest is told all the same.
"""

from __future__ import annotations

import sys

import tensorflow as tf
from absl import app, flags

from benchmarks import timing

_DEVICE = flags.DEFINE_enum("device", "gpu", ["gpu", "cpu"], "Where to run.")
_COLUMNS = flags.DEFINE_list("precisions", None, "Of float32, TF32 and bfloat16; unset: all.")
_MEASURES = ("cells", "mnas", "keras", "training", "sweep", "shared_program", "general_path")
_TASK_FLAGS = [
    flags.DEFINE_multi_enum("measures", _MEASURES, _MEASURES, "What is measured; unset: all."),
    flags.DEFINE_integer("num_networks", 250, "Networks of the notebook that are swept.", 1),
    flags.DEFINE_integer("num_train", 100, "Training images of the sweep, and under XLA.", 1),
    flags.DEFINE_integer("num_test", 200, "Test images.", 1),
    flags.DEFINE_integer("num_inits", 2, "Initialisations of the sweep.", 1),
    flags.DEFINE_integer("stem_filters", 128, "Width of the networks of NAS-Bench-101.", 1),
    flags.DEFINE_integer("num_stacks", 3, "Their stacks of cells.", 1),
    flags.DEFINE_integer("modules_per_stack", 3, "Their cells in a stack.", 1),
    flags.DEFINE_float("width_multiplier", 1.0, "Of the networks of MNAS."),
    flags.DEFINE_integer("image_size", 32, "Side of the images, save of the sweep and MNAS.", 1),
    flags.DEFINE_integer("mnas_image_size", 64, "Side of the images of MNAS.", 1),
    flags.DEFINE_integer("parity_networks", 4, "Networks of each space that are compared.", 1, 8),
    flags.DEFINE_integer("parity_images", 32, "Images on which they are.", 2),
    timing.REPEATS,
    timing.SHARED_DATA,
]

# Compute dtype, and whether products may be rounded to TF32.
_PRECISIONS = {
    "float32": ("float32", False),
    "TF32": ("float32", True),
    "bfloat16": ("bfloat16", False),
}
# The most that a parity row may show. A kernel that is wrong differs by about 1.
_BOUNDS = {"float32": 1e-3, "TF32": 2e-2, "bfloat16": 1.5e-1}


def main(argv):
    """Run the benchmark."""
    del argv
    columns = _columns()
    gpus = tf.config.list_physical_devices("GPU")
    if _DEVICE.value == "gpu" and not gpus:
        _refuse(
            "TensorFlow sees no GPU: install the extra [gpu] and a driver, or try the script "
            "itself with --device=cpu"
        )
    measured = {column: _measure(column) for column in columns}
    titles = dict.fromkeys(title for told in measured.values() for title in told["values"])
    rows = [
        {"": title, **{column: told["values"].get(title) for column, told in measured.items()}}
        for title in titles
    ]
    errors = [
        f"{column}, {name}: {error}"
        for column, told in measured.items()
        for name, error in told["errors"].items()
    ]
    timing.report(
        "gpu",
        {"device": _described(gpus)}
        | {flag.name: flag.value for flag in _TASK_FLAGS}
        | {"images of the sweep": next(iter(measured.values())).get("images")},
        {"On the device": rows},
        [
            timing.target(f"{row['']}, {column}", row[column], _BOUNDS[column], at_least=False)
            for row in rows
            if row[""].startswith("parity")
            for column in columns
        ],
        [f"not measured: {error}" for error in errors],
    )
    if errors:
        sys.exit(1)


def _columns():
    """Return the precisions that are asked for and that the device has."""
    known = [name for name in _PRECISIONS if _DEVICE.value == "gpu" or name != "TF32"]
    columns = _COLUMNS.value or known
    for column in columns:
        if column not in known:
            _refuse(f"--precisions of {_DEVICE.value} are {', '.join(known)}, got {column!r}")
    return columns


def _measure(column):
    """Return what the process of a precision tells."""
    compute_dtype, tf32 = _PRECISIONS[column]
    task = {flag.name: flag.value for flag in _TASK_FLAGS} | {
        "device": _DEVICE.value,
        "compute_dtype": compute_dtype,
        "tf32": tf32,
    }
    try:
        with timing.Worker.of_module("benchmarks.gpu_worker", task) as worker:
            return worker.run()
    except RuntimeError as error:
        return {"values": {}, "errors": {"all": str(error)}}


def _described(gpus):
    if _DEVICE.value == "cpu":
        return "CPU"
    details = tf.config.experimental.get_device_details(gpus[0])
    capability = ".".join(map(str, details.get("compute_capability", ("unknown",))))
    return f"{details.get('device_name', 'GPU')} (compute capability {capability})"


def _refuse(sentence):
    print(f"gpu: {sentence}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    app.run(main)
