"""Compiles TensorFlow functions for TPUs that are not there.

    trace -> XLA's module, as TensorFlow lowers it for CPU -> libtpu, for a described topology

What TensorFlow lowers does not depend on the device yet, where the function itself does not. It
takes the packages jax and libtpu, which run on any x86-64 machine with Linux, and no TPU.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import math
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

# libtpu takes its surroundings from here; it would ask a metadata server and lock out a second
# process otherwise. The type is that of the host, not of the topology that is compiled for.
_ENVIRONMENT = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}
# libtpu ends the process where a side is longer.
_LONGEST_SIDE = 16


class CompilationError(RuntimeError):
    """The function does not compile for the topology; the message says why in one sentence."""


@dataclasses.dataclass(frozen=True)
class Generation:
    """Published figures of a TPU generation (cloud.google.com/tpu/docs).

    Attributes:
      chip_flops: Peak of a chip in bfloat16, a multiply-add counted as two.
      chip_memory: Bytes of a chip.
      chip_bandwidth: Of its memory, bytes a second.
      cores_per_chip: Devices that a chip counts as.
      dimensions: Of its topologies.
    """

    chip_flops: float
    chip_memory: int
    chip_bandwidth: float
    cores_per_chip: int
    dimensions: int


GENERATIONS = {
    "v4": Generation(275e12, 32 * 2**30, 1.2e12, cores_per_chip=2, dimensions=3),
    "v5e": Generation(197e12, 16 * 2**30, 819e9, cores_per_chip=1, dimensions=2),
    "v5p": Generation(459e12, 95 * 2**30, 2.765e12, cores_per_chip=1, dimensions=3),
    "v6e": Generation(918e12, 32 * 2**30, 1.6e12, cores_per_chip=1, dimensions=2),
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """A described set of TPU chips: a generation and the sides of its grid."""

    generation: str
    sides: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Topology:
        """Read "v5e:2x2", "v6e:4x4", "v4:2x2x1" or "v5p:2x2x1".

        Raises:
          ValueError: If the generation is not one of `GENERATIONS` or the grid not one of its own.
        """
        match = re.fullmatch(r"(\w+):(\d+(?:x\d+)*)", text)
        if match is None or match[1] not in GENERATIONS:
            raise ValueError(
                f"unknown TPU topology {text!r}: write a generation of {', '.join(GENERATIONS)} "
                "and the sides of its grid of chips, as in v5e:2x2 or v4:2x2x1"
            )
        sides = tuple(int(side) for side in match[2].split("x"))
        dimensions = GENERATIONS[match[1]].dimensions
        if len(sides) != dimensions or not all(1 <= side <= _LONGEST_SIDE for side in sides):
            raise ValueError(
                f"TPU topology {text!r} must have {dimensions} sides of 1 to {_LONGEST_SIDE} chips"
            )
        return cls(match[1], sides)

    def __str__(self) -> str:
        return f"{self.generation}:{'x'.join(map(str, self.sides))}"

    @property
    def chips(self) -> int:
        """Number of chips."""
        return math.prod(self.sides)

    @property
    def cores(self) -> int:
        """Number of devices, each of which runs a replica."""
        return self.chips * GENERATIONS[self.generation].cores_per_chip

    @property
    def core_flops(self) -> float:
        """Peak of a core in bfloat16, floating-point operations a second."""
        generation = GENERATIONS[self.generation]
        return generation.chip_flops / generation.cores_per_chip

    @property
    def core_memory(self) -> int:
        """Bytes of a core."""
        generation = GENERATIONS[self.generation]
        return generation.chip_memory // generation.cores_per_chip

    @property
    def core_bandwidth(self) -> float:
        """Bytes a second between a core and its memory."""
        generation = GENERATIONS[self.generation]
        return generation.chip_bandwidth / generation.cores_per_chip


@dataclasses.dataclass(frozen=True)
class Compilation:
    """What compiling a function for one core tells.

    Attributes:
      lower_seconds: Time of TensorFlow: tracing and lowering.
      compile_seconds: Time of the TPU compiler.
      flops: Floating-point operations by the compiler's count, which takes a loop once and of a
        conditional the branch that costs most.
      bytes_accessed: Memory traffic, counted alike.
      peak_memory: Most bytes in use at a time, arguments and results included.
    """

    lower_seconds: float
    compile_seconds: float
    flops: float
    bytes_accessed: float
    peak_memory: int


def check_topology(topology: Topology) -> None:
    """Check that the packages are there and the compiler knows the topology.

    Raises:
      ValueError: If not.
    """
    devices = _devices(topology)
    if len(devices) != topology.cores:
        raise ValueError(
            f"libtpu counts {len(devices)} cores in {topology}, not {topology.cores}: this version "
            "of it is not supported"
        )


def trace(function: Callable, specs: Sequence[Any]) -> Callable:
    """Trace a function for its arguments, nests of `tf.TensorSpec`s, outside of XLA's scope.

    Within it a `tf.switch_case` asks for the value of each of its inputs, should they be constants,
    and an interpreter takes minutes to find they are not.
    """

    # Of a function's own signature, what takes no argument would have to be given all the same.
    @tf.function(autograph=False)
    def traced(*arguments):
        return function(*arguments)

    return traced.get_concrete_function(*specs)


def compile_function(function: Callable, specs: Sequence[Any], topology: Topology) -> Compilation:
    """Compile a function for one core of a topology.

    Args:
      function: From tensors to tensors, with no variables; conditionals and loops of static shapes
        are welcome, random numbers if drawn by Threefry.
      specs: Its arguments, nests of `tf.TensorSpec`s with static shapes.
      topology: What to compile for.

    Returns:
      The compilation.

    Raises:
      ValueError: As `check_topology`.
      CompilationError: If TensorFlow cannot lower the function or the compiler refuses it, for want
        of memory say.
    """
    device = _devices(topology)[0]
    import jax
    from jax.experimental import jax2tf

    start = time.perf_counter()
    concrete = trace(function, specs)
    sharding = jax.sharding.SingleDeviceSharding(device)
    jitted = jax.jit(
        jax2tf.call_tf(lambda *arguments: concrete(*arguments), has_side_effects=False),
        in_shardings=sharding,
        out_shardings=sharding,
    )
    shapes = tf.nest.map_structure(
        lambda spec: jax.ShapeDtypeStruct(spec.shape, spec.dtype.as_numpy_dtype), tuple(specs)
    )
    try:
        lowered = jitted.lower(*shapes)
    except ValueError as error:
        reason = str(error).rpartition("Caught TensorFlow exception: ")[2]
        raise CompilationError(f"TensorFlow cannot lower it: {_first_line(reason)}") from error
    traced = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        raise CompilationError(_first_line(str(error))) from error
    done = time.perf_counter()
    # A gigabyte or more for a program of thousands of operations, which nothing will run.
    jax.clear_caches()
    costs = compiled.cost_analysis()
    return Compilation(
        lower_seconds=traced - start,
        compile_seconds=done - traced,
        flops=float(costs["flops"]),
        bytes_accessed=float(costs["bytes accessed"]),
        peak_memory=int(compiled.memory_analysis().peak_memory_in_bytes),
    )


@functools.lru_cache(maxsize=1)
def _devices(topology):
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Launchers keep libtpu from the chips of their machine, of which compiling takes none.
    os.environ.pop("TPU_LOAD_LIBRARY", None)
    try:
        import jax
        import libtpu  # noqa: F401
        from jax.experimental import topologies
        from jax.interpreters import mlir

        # The package's attribute of this name is a function that hides the module.
        call_tf = importlib.import_module("jax.experimental.jax2tf.call_tf")
        lowering = functools.partial(call_tf._call_tf_lowering, platform="cpu")
        mlir.register_lowering(call_tf.call_tf_p, lowering, platform="tpu")
        # Or JAX would look for a TPU, and take the one it finds.
        jax.config.update("jax_platforms", "cpu")
    except (ImportError, AttributeError) as error:
        raise ValueError(
            "compiling for a TPU needs the packages jax and libtpu in the versions of the extra "
            f"[preflight]: pip install 'nngp_tf[preflight]' ({error})"
        ) from error
    try:
        return topologies.get_topology_desc(str(topology), platform="tpu").devices
    except jax.errors.JaxRuntimeError as error:
        raise ValueError(
            f"libtpu refuses the TPU topology {str(topology)!r} ({_first_line(str(error))})"
        ) from error


def _first_line(text):
    return text.strip().partition("\n")[0]
