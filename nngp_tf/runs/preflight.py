"""Whether inference over NAS-Bench-101 would run on a TPU, and what the whole space would cost.

for each number of output feeders F, whose cells share a program:
    compile what one replica runs in a round -> seconds, operations, memory
    cells of the space with F -> operations of their convolutions and products
time of the space = operations / (peak of the cores x efficiency)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nngp_tf.kernels import (
    arguments,
    cell_costs,
    cell_layout,
    monte_carlo,
    precision,
    rounding,
    work,
)
from nngp_tf.kernels.cell_program import CellFamily
from nngp_tf.kernels.features import check_batch_norm
from nngp_tf.kernels.step import StepSpec, replica_program
from nngp_tf.kernels.tpu_compile import CompilationError, Topology, compile_function
from nngp_tf.models import Nasbench101Network
from nngp_tf.search_spaces import nasbench101

FAMILIES = tuple(range(cell_layout.MAX_FEEDERS + 1))
HEADER = (
    f"{'feeders':>7} {'cells':>8}  {'compiles':8} {'lower s':>8} {'compile s':>9} {'GFLOP':>10} "
    f"{'GB moved':>9} {'peak MiB':>9} {'mean GFLOP':>11}"
)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What of an inference run shapes its programs; see `nngp_tf.kernels.running_kernels`.

    Attributes:
      image_shape: Height, width and channels.
      stem_filters: Width of the networks.
      num_train: N.
      num_test: T.
      num_inits: Initialisations of each network.
      batch_norm: "one_update", "batch_statistics" or "initial".
      compute_dtype: Of the features, "float64" excepted.
      batch_size: The most images in a batch; None for the default.
      calibration_size: Images that calibrate; None for the default.

    Raises:
      ValueError: If one of them is out of range.
    """

    image_shape: tuple[int, int, int] = (32, 32, 3)
    stem_filters: int = 128
    num_train: int = 100
    num_test: int = 200
    num_inits: int = 4
    batch_norm: str = "one_update"
    compute_dtype: str = "bfloat16"
    batch_size: int | None = None
    calibration_size: int | None = None

    def __post_init__(self):
        check_protocol(self)
        # The family that asks most of the stem.
        self.spec(cell_layout.MAX_FEEDERS, cores=1)

    def network(self, num_feeders: int) -> Nasbench101Network:
        """Return a network of the family, with one vertex for each feeder."""
        matrix = np.zeros((num_feeders + 2, num_feeders + 2), int)
        matrix[0, 1:-1] = matrix[1:-1, -1] = 1
        matrix[0, -1] = num_feeders == 0
        ops = [nasbench101.INPUT, *[nasbench101.CONV3X3] * num_feeders, nasbench101.OUTPUT]
        cell = nasbench101.Cell(matrix, ops)
        return Nasbench101Network(cell, self.image_shape, stem_filters=self.stem_filters)

    def spec(self, num_feeders: int, cores: int) -> StepSpec:
        """Return the step that a family's kernels are estimated by on so many cores."""
        network = self.network(num_feeders)
        family = CellFamily.of(network, self.batch_norm, self.compute_dtype)
        return step_spec(self, family, network.num_features, cores)


def check_protocol(protocol: Any) -> None:
    """Raise ValueError for what is out of range in a protocol of any space."""
    for name, least in (("num_train", 1), ("num_test", 0), ("num_inits", 1)):
        value = getattr(protocol, name)
        if value is None or value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    check_batch_norm(protocol.batch_norm)
    if precision.check_compute_dtype(protocol.compute_dtype) == "float64":
        raise ValueError("a TPU has no float64: choose another compute_dtype, such as bfloat16")


def step_spec(protocol: Any, family: Any, num_features: int, cores: int) -> StepSpec:
    """Return the step by which kernels are estimated on so many cores.

    Args:
      protocol: Of any space.
      family: Of the networks.
      num_features: C.
      cores: That take part.
    """
    num_images = protocol.num_train + protocol.num_test
    num_probes = min(rounding.NUM_PROBES, protocol.num_train)
    batch_size = arguments.check_size(
        "batch_size", protocol.batch_size, monte_carlo.DEFAULT_BATCH_SIZE, num_images
    )
    calibration_size = arguments.check_size(
        "calibration_size",
        protocol.calibration_size,
        monte_carlo.DEFAULT_CALIBRATION_SIZE,
        protocol.num_train,
    )
    calibration_size = calibration_size if family.calibrates else 0
    return StepSpec(
        family=family,
        strategy=tf.distribute.get_strategy(),
        division=work.divide(
            protocol.num_inits, num_images + num_probes, cores, batch_size, calibration_size
        ),
        num_train=protocol.num_train,
        num_images=num_images,
        calibration_size=calibration_size,
        # As `inference.infer` has it.
        keep_features=protocol.num_inits * num_features < protocol.num_train,
        num_probes=num_probes,
    )


def compile_families(
    protocol: Protocol, topology: Topology, families: Sequence[int] = FAMILIES
) -> Iterator[dict[str, Any]]:
    """Compile each family's program, and yield what it tells in JSON's types.

    Args:
      protocol: Of the run.
      topology: What to compile for.
      families: Numbers of output feeders.

    Yields:
      feeders, compiles, error, and where it compiles the fields of `tpu_compile.Compilation`.

    Raises:
      ValueError: As `tpu_compile.check_topology`.
    """
    for num_feeders in families:
        spec = protocol.spec(num_feeders, topology.cores)
        inputs = tf.nest.map_structure(
            lambda value: tf.TensorSpec(value.shape, value.dtype),
            cell_layout.encode(protocol.network(num_feeders)),
        )
        scalar = tf.TensorSpec([], tf.int32)
        images = tf.TensorSpec([spec.num_placed, *protocol.image_shape], tf.float32)
        row = {"feeders": num_feeders, "compiles": True, "error": None}
        try:
            compilation = compile_function(
                replica_program(spec, "TPU"),
                [scalar, inputs, scalar, scalar, scalar, images],
                topology,
            )
            row |= dataclasses.asdict(compilation)
        except CompilationError as error:
            row |= {"compiles": False, "error": str(error)}
        yield row


def estimate_space(protocol: Protocol, topology: Topology, efficiency: float) -> dict[str, Any]:
    """Estimate what the whole space costs on a topology that does nothing else.

    Args:
      protocol: Of the run.
      topology: Where it would run.
      efficiency: Share of the cores' bfloat16 peak that is achieved on average, 0 to 1.

    Returns:
      In JSON's types: seconds, chip_hours, flops of all cores together, and for each family its
      cells, seconds and mean_round_flops, which is what one core does in one round.
    """
    families = {
        num_feeders: {"cells": 0, "seconds": 0.0, "mean_round_flops": 0.0}
        for num_feeders in FAMILIES
    }
    specs = {num_feeders: protocol.spec(num_feeders, topology.cores) for num_feeders in FAMILIES}
    rate = efficiency * topology.core_flops
    for kinds, number in cell_costs.census().items():
        spec, family = specs[kinds.feeders], families[kinds.feeders]
        flops = round_flops(spec, kinds, protocol.image_shape)
        family["cells"] += number
        family["seconds"] += number * spec.division.rounds * flops / rate
        family["mean_round_flops"] += number * flops
    for family in families.values():
        family["mean_round_flops"] /= family["cells"]
    seconds = sum(family["seconds"] for family in families.values())
    return {
        "cells": sum(family["cells"] for family in families.values()),
        "efficiency": efficiency,
        "core_flops_per_second": rate,
        "seconds": seconds,
        "chip_hours": seconds * topology.chips / 3600,
        "flops": seconds * rate * topology.cores,
        "families": families,
    }


def round_flops(
    spec: StepSpec, kinds: cell_costs.Convolutions, image_shape: Sequence[int]
) -> float:
    """Return the floating-point operations of one replica in one round, for a cell.

    Convolutions and inner products count; drawing the weights, pooling and sums are left to the
    efficiency.
    """
    height, width, _ = image_shape
    images = spec.division.batches * spec.division.batch_size + spec.calibration_size
    product = 2 * spec.num_images * spec.num_train * spec.family.stacks[-1].filters
    return images * cell_costs.image_flops(spec.family, kinds, height, width) + product


def line(row: Mapping[str, Any], space: Mapping[str, Any]) -> str:
    """Return a row of the table under `HEADER`."""
    family = space["families"][row["feeders"]]
    start = f"{row['feeders']:>7} {family['cells']:>8,}  "
    if not row["compiles"]:
        return f"{start}{'no':8} {row['error']}"
    return (
        f"{start}{'yes':8} {row['lower_seconds']:>8.1f} {row['compile_seconds']:>9.1f} "
        f"{row['flops'] / 1e9:>10,.1f} {row['bytes_accessed'] / 1e9:>9,.2f} "
        f"{row['peak_memory'] / 2**20:>9,.0f} {family['mean_round_flops'] / 1e9:>11,.1f}"
    )


def summary(
    rows: Sequence[Mapping[str, Any]],
    space: Mapping[str, Any],
    protocol: Protocol,
    topology: Topology,
) -> str:
    """Return what follows the table: how to read it, and the cost of the whole space."""
    spec = protocol.spec(0, topology.cores)
    division = spec.division
    held = max((row["peak_memory"] for row in rows if row["compiles"]), default=0)
    compiling = sum(
        row["lower_seconds"] + row["compile_seconds"] for row in rows if row["compiles"]
    )
    lines = [
        "One core, one round. GFLOP and GB as the compiler counts: the loop over batches once, of "
        "each conditional the costliest branch.",
        f"Mean GFLOP: what the cells need on average, for {division.batches} batches of "
        f"{division.batch_size} images and {spec.calibration_size} images of calibration.",
        f"{topology}: {topology.cores} cores of {topology.core_memory / 2**30:.0f} GiB, "
        f"{division.image_groups} to an initialisation; {division.rounds} rounds for "
        f"{protocol.num_inits} initialisations.",
        f"A core holds at most {held / 2**20:,.0f} MiB, arguments and results included.",
        f"Compiling took {compiling:,.0f} s on this machine, once for all cells.",
        f"The whole space, {space['cells']:,} cells: {space['flops']:.3g} FLOP, "
        f"{duration(space['seconds'])}, {space['chip_hours']:,.1f} chip hours, if each core "
        f"achieves {space['core_flops_per_second'] / 1e12:,.1f} TFLOP/s "
        f"({space['efficiency']:.0%} of its bfloat16 peak) and the host keeps up.",
    ]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} seconds"
