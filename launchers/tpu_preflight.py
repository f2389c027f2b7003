"""TPU preflight: whether nngp_inference as configured would run on a TPU, and what it would cost.

python -m launchers.tpu_preflight --gin_file=configs/nasbench101_cifar10.gin --tpu_topology=v5e:2x2

Needs no TPU and no data, only the extra [preflight]. Compiling takes minutes.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import sys

import gin
import tensorflow as tf
from absl import flags

from launchers import app
from launchers.nngp_inference import nngp_inference
from nngp_tf.kernels import tpu_compile
from nngp_tf.runs import preflight

TPU_TOPOLOGY = flags.DEFINE_string(
    "tpu_topology", None, "Generation and grid of chips: v5e:2x2, v6e:4x4, v4:2x2x1."
)
EFFICIENCY = flags.DEFINE_float(
    "efficiency",
    0.25,
    "Share of the TPU's bfloat16 peak that the estimate assumes.",
    lower_bound=1e-6,
    upper_bound=1.0,
)
IMAGE_SHAPE = flags.DEFINE_list(
    "image_shape",
    None,
    "Height, width and channels of the images; unset: 32,32,3, or gin's image_size.",
)
FAMILIES = flags.DEFINE_list(
    "families",
    [str(family) for family in preflight.FAMILIES],
    "Numbers of output feeders whose programs to compile.",
)

# Arguments of both nngp_inference and `preflight.Protocol`.
_NUMBERS = ("stem_filters", "num_train", "num_test", "num_inits", "batch_size", "calibration_size")


def tpu_preflight() -> str:
    """Compile the programs of the configuration and print what they tell.

    Returns:
      The line that says what was done.
    """
    topology = tpu_compile.Topology.parse(app.required(TPU_TOPOLOGY))
    protocol = configured_protocol(IMAGE_SHAPE.value and _integers(IMAGE_SHAPE, 3))
    families = _integers(FAMILIES)
    if unknown := set(families) - set(preflight.FAMILIES):
        known = ", ".join(map(str, preflight.FAMILIES))
        raise ValueError(f"--families must be of {known}, got {min(unknown)}")
    _check_out(app.OUT.value)
    tpu_compile.check_topology(topology)
    space = preflight.estimate_space(protocol, topology, EFFICIENCY.value)
    rows = []
    print(preflight.HEADER, flush=True)
    for row in preflight.compile_families(protocol, topology, families):
        print(preflight.line(row, space), flush=True)
        rows.append(row)
    print(preflight.summary(rows, space, protocol, topology))
    if app.OUT.value:
        result = {
            "topology": str(topology),
            "protocol": dataclasses.asdict(protocol),
            "programs": rows,
            "space": space,
        }
        with tf.io.gfile.GFile(app.OUT.value, "w") as file:
            file.write(json.dumps(result, indent=2) + "\n")
    failed = sum(not row["compiles"] for row in rows)
    if failed:
        sys.exit(f"tpu_preflight: {failed} of {len(rows)} programs do not compile for {topology}")
    return (
        f"wrote {app.OUT.value}"
        if app.OUT.value
        else f"{len(rows)} programs compile for {topology}"
    )


def configured_protocol(image_shape: list[int] | None = None) -> preflight.Protocol:
    """Return what gin says of a run of nngp_inference that shapes its programs.

    Raises:
      ValueError: If gin says nothing of it, or what the programs do not serve.
    """
    bindings = gin.get_bindings(nngp_inference)
    if not bindings:
        raise ValueError(
            "gin binds no parameter of nngp_inference: name a configuration of it with --gin_file"
        )
    config = inspect.signature(nngp_inference).bind_partial(**bindings)
    config.apply_defaults()
    values = config.arguments
    if values["space"] != "nasbench101":
        raise ValueError(f"the preflight serves space 'nasbench101', got {values['space']!r}")
    numbers = {name: values[name] for name in _NUMBERS}
    app.check_integers(image_size=values["image_size"], **numbers)
    side = values["image_size"] or 32
    return preflight.Protocol(
        image_shape=tuple(image_shape or (side, side, 3)),
        batch_norm=values["batch_norm"],
        compute_dtype=values["compute_dtype"] or "bfloat16",
        **numbers,
    )


def _check_out(path):
    # Before the minutes of compiling, not after them.
    if path and "://" not in path and not os.path.isdir(os.path.dirname(path) or "."):
        raise ValueError(f"--out={path}: there is no such directory, make it first")


def _integers(flag, count=None):
    try:
        values = [int(text) for text in flag.value]
    except ValueError:
        values = []
    if not values or count not in (None, len(values)):
        wanted = "integers" if count is None else f"{count} integers"
        raise ValueError(f"--{flag.name} takes {wanted}, got {','.join(flag.value)!r}")
    return values


def run() -> None:
    """Return the console script."""
    app.run(tpu_preflight)


if __name__ == "__main__":
    run()
