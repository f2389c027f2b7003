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

from nngp_tf.kernels import precision, tpu_compile
from nngp_tf.runs import mnas_preflight, preflight

from . import app
from .nngp_inference import nngp_inference

TPU_TOPOLOGY = flags.DEFINE_string(
    "tpu_topology", None, "Generation and grid of chips: v5e:2x2, v6e:4x4, v4:2x2x1, v5p:2x2x1."
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
    "Height, width and channels of the images; unset: gin's image_size, or 32,32,3, of MNAS "
    "224,224,3.",
)
FAMILIES = flags.DEFINE_list(
    "families",
    None,
    "Which programs to compile. NAS-Bench-101: numbers of output feeders; unset: all. MNAS: the "
    "layers of a1, MnasNet-A1, or all of the space, which takes hours; unset: a1.",
)

# The sides of images where gin gives none.
_IMAGE_SIZES = {"nasbench101": 32, "mnas": 224}
# Arguments of both nngp_inference and the protocols.
_NUMBERS = ("num_train", "num_test", "num_inits", "batch_size", "calibration_size")


def tpu_preflight() -> str:
    """Compile the programs of the configuration and print what they tell.

    Returns:
      The line that says what was done.
    """
    topology = tpu_compile.Topology.parse(app.required(TPU_TOPOLOGY))
    protocol = configured_protocol(IMAGE_SHAPE.value and _integers(IMAGE_SHAPE, 3))
    of_space = preflight if isinstance(protocol, preflight.Protocol) else mnas_preflight
    families = _families(of_space)
    _check_out(app.OUT.value)
    tpu_compile.check_topology(topology)
    space = of_space.estimate_space(protocol, topology, EFFICIENCY.value)
    rows = []
    print(of_space.HEADER, flush=True)
    for row in of_space.compile_families(protocol, topology, families):
        print(of_space.line(row, space), flush=True)
        rows.append(row)
    if of_space is mnas_preflight:
        programs = mnas_preflight.estimate_programs(rows, space, protocol, topology)
        space["of_compiled_programs"] = programs
    print(of_space.summary(rows, space, protocol, topology))
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
    peak = max(row["peak_memory"] for row in rows)
    if programs := space.get("of_compiled_programs"):
        peak = programs["core_bytes"]
    if peak > topology.core_memory:
        sys.exit(
            f"tpu_preflight: a core would hold {peak / 2**30:.1f} GiB, and one of {topology} has "
            f"{topology.core_memory / 2**30:.0f}: take fewer images or a smaller batch_size"
        )
    return (
        f"wrote {app.OUT.value}"
        if app.OUT.value
        else f"{len(rows)} programs compile for {topology}"
    )


def configured_protocol(
    image_shape: list[int] | None = None,
) -> preflight.Protocol | mnas_preflight.MnasProtocol:
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
    if values["space"] not in _IMAGE_SIZES:
        raise ValueError(f"space must be nasbench101 or mnas, got {values['space']!r}")
    names = (*_NUMBERS, "image_size", "stem_filters", "num_architectures")
    app.check_integers(**{name: values[name] for name in names})
    side = values["image_size"] or _IMAGE_SIZES[values["space"]]
    common = {name: values[name] for name in _NUMBERS} | {
        "image_shape": tuple(image_shape or (side, side, 3)),
        "batch_norm": values["batch_norm"],
        "compute_dtype": precision.compute_dtypes(values["compute_dtype"] or "bfloat16")[0],
    }
    if values["space"] == "nasbench101":
        return preflight.Protocol(stem_filters=values["stem_filters"], **common)
    # Of another selection than a sample, the space is that of the default reference.
    kind, _, reference = str(values["architectures"]).partition(":")
    if kind == "sample" and reference:
        common["reference"] = reference
    return mnas_preflight.MnasProtocol(num_architectures=values["num_architectures"], **common)


def _families(of_space):
    """Return --families as the preflight of a space takes them."""
    if of_space is mnas_preflight:
        families = FAMILIES.value or ["a1"]
    else:
        families = _integers(FAMILIES) if FAMILIES.value else list(preflight.FAMILIES)
    if unknown := set(families) - set(of_space.FAMILIES):
        known = ", ".join(map(str, of_space.FAMILIES))
        raise ValueError(f"--families must be of {known}, got {min(unknown)}")
    return families


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
