"""Whether inference over mobile networks would run on a TPU, and what many of them would cost.

for each kind of layer:
    compile `prepare` and `forward` of what one replica runs -> seconds, operations, memory
and the programs that begin and end a round
memory of a core = images + an initialisation's weights + the program that takes most
networks drawn from the space -> operations of their convolutions and products
time to compute = networks x mean operations / (peak of the cores x efficiency)
time to move    = networks x mean operations x MnasNet-A1's bytes an operation / bandwidth
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nngp_tf.kernels import mnas_layout, mnas_programs
from nngp_tf.kernels.mnas_layer import MnasFamily
from nngp_tf.kernels.mnas_layout import LayerKind
from nngp_tf.kernels.mnas_step import replica_programs
from nngp_tf.kernels.step import StepSpec
from nngp_tf.kernels.tpu_compile import CompilationError, Topology, compile_function
from nngp_tf.models import MnasNetwork
from nngp_tf.runs.preflight import check_protocol, duration, step_spec
from nngp_tf.search_spaces import mnas

# Which kinds to compile: those of MnasNet-A1, or all of the space.
FAMILIES = ("a1", "all")
SAMPLE_SIZE = 200
HEADER = (
    f"{'program':8} {'layer':44}  {'compiles':8} {'lower s':>8} {'compile s':>9} {'GFLOP':>10} "
    f"{'GB moved':>9} {'peak MiB':>9}"
)
_PROGRAMS = {
    "prepare": (mnas_programs.prepare_program, mnas_programs.prepare_specs),
    "forward": (mnas_programs.forward_program, mnas_programs.forward_specs),
}


@dataclasses.dataclass(frozen=True)
class MnasProtocol:
    """What of an inference run shapes its programs; see `nngp_tf.kernels.running_kernels`.

    Attributes:
      image_shape: Height, width and channels.
      reference: Of the space; see `mnas.choices`.
      num_architectures: Networks whose cost is estimated.
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

    image_shape: tuple[int, int, int] = (224, 224, 3)
    reference: str = "mobilenet_v2"
    num_architectures: int = 10_000
    num_train: int = 100
    num_test: int = 200
    num_inits: int = 4
    batch_norm: str = "one_update"
    compute_dtype: str = "bfloat16"
    batch_size: int | None = None
    calibration_size: int | None = None

    def __post_init__(self):
        check_protocol(self)
        if self.num_architectures is None or self.num_architectures < 1:
            raise ValueError(
                f"num_architectures must be at least 1, got {self.num_architectures}: say of how "
                "many networks the cost is to be estimated"
            )
        mnas.choices(self.reference)
        self.network(mnas.MNASNET_A1)
        self.spec(cores=1)

    def network(self, network: mnas.Network) -> MnasNetwork:
        """Return a network for the images, of one class."""
        return MnasNetwork(network, self.image_shape, num_classes=1)

    def spec(self, cores: int) -> StepSpec:
        """Return the step that kernels are estimated by on so many cores."""
        family = MnasFamily(self.batch_norm, self.compute_dtype)
        return step_spec(self, family, self.network(mnas.MNASNET_A1).num_features, cores)

    def kinds(self, families: Sequence[str]) -> list[LayerKind]:
        """Return the kinds of layers, with shapes, of MnasNet-A1 ("a1") or the space ("all")."""
        a1 = self.network(mnas.MNASNET_A1)
        if "all" in families:
            return list(mnas_layout.space_kinds(a1, self.reference))
        return list(dict.fromkeys(layer.kind for layer in mnas_layout.encode(a1, static=True)))


def compile_families(
    protocol: MnasProtocol, topology: Topology, families: Sequence[str] = ("a1",)
) -> Iterator[dict[str, Any]]:
    """Compile the programs that kinds of layers share, and yield what each tells in JSON's types.

    Args:
      protocol: Of the run.
      topology: What to compile for.
      families: Of `FAMILIES`.

    Yields:
      program, layer, compiles, error, and where it compiles the fields of
      `tpu_compile.Compilation`.

    Raises:
      ValueError: As `tpu_compile.check_topology`.
    """
    spec = protocol.spec(topology.cores)
    for name, function, specs in _of_round(protocol, spec):
        yield _compiled({"program": name, "layer": ""}, function, specs, topology)
    kinds = protocol.kinds(families)
    sizes = {"prepare": spec.calibration_size, "forward": spec.division.batch_size}
    for kind in kinds:
        for name, (make_program, make_specs) in _PROGRAMS.items():
            function = make_program(spec.family, kind, "TPU")
            shared, own = make_specs(spec.family, kind, sizes[name])
            row = {"program": name, "layer": _text(kind)}
            yield _compiled(row, function, [*shared, *own], topology)
    # The head is the last of A1's kinds, and the same in every network of as many filters.
    head = protocol.kinds(["a1"])[-1]
    function = mnas_programs.pool_program(spec.family, head, "TPU")
    _, own = mnas_programs.pool_specs(spec.family, head, sizes["forward"])
    yield _compiled({"program": "pool", "layer": ""}, function, own, topology)


def estimate_space(protocol: MnasProtocol, topology: Topology, efficiency: float) -> dict[str, Any]:
    """Estimate what many networks cost on a topology that does nothing else.

    Args:
      protocol: Of the run.
      topology: Where it would run.
      efficiency: Share of the cores' bfloat16 peak that is achieved on average, 0 to 1.

    Returns:
      In JSON's types: networks, seconds, chip_hours, flops of all cores together,
      mean_round_flops, which is what one core does in one round for the mean of `SAMPLE_SIZE`
      networks, a1_round_flops, and largest_weights_bytes, of an initialisation of one of them.
    """
    spec = protocol.spec(topology.cores)
    rng = np.random.default_rng(0)
    sampled = [protocol.network(mnas.sample(rng, protocol.reference)) for _ in range(SAMPLE_SIZE)]
    mean = statistics.fmean(round_flops(spec, network) for network in sampled)
    weights = max(network.trainable_parameters for network in sampled)
    rate = efficiency * topology.core_flops
    seconds = protocol.num_architectures * spec.division.rounds * mean / rate
    return {
        "networks": protocol.num_architectures,
        "efficiency": efficiency,
        "core_flops_per_second": rate,
        "seconds": seconds,
        "chip_hours": seconds * topology.chips / 3600,
        "flops": seconds * rate * topology.cores,
        "mean_round_flops": mean,
        "a1_round_flops": round_flops(spec, protocol.network(mnas.MNASNET_A1)),
        "largest_weights_bytes": weights * tf.as_dtype(protocol.compute_dtype).size,
    }


def estimate_programs(
    rows: Sequence[Mapping[str, Any]],
    estimate: Mapping[str, Any],
    protocol: MnasProtocol,
    topology: Topology,
) -> dict[str, float] | None:
    """Estimate what follows from the compiled programs: memory, and the time to move bytes.

    Args:
      rows: Of `compile_families`.
      estimate: Of `estimate_space`.
      protocol: Of the run.
      topology: Where it would run.

    Returns:
      core_bytes, the most that a core holds; a1_round_bytes, what it moves in a round of
      MnasNet-A1; seconds and chip_hours of moving what all networks do. None if a program that
      MnasNet-A1 needs does not compile.
    """
    spec = protocol.spec(topology.cores)
    compiled = {(row["program"], row["layer"]): row for row in rows if row["compiles"]}
    a1 = _programs_of(protocol.network(mnas.MNASNET_A1), spec.division.batches)
    if not all(key in compiled for key, _ in a1):
        return None
    moved = sum(compiled[key]["bytes_accessed"] * times for key, times in a1)
    mean = moved * estimate["mean_round_flops"] / estimate["a1_round_flops"]
    seconds = protocol.num_architectures * spec.division.rounds * mean / topology.core_bandwidth
    peaks = {key: row["peak_memory"] for key, row in compiled.items()}
    # The images stay as "batch" has them: padded, as the device lays them out.
    begin, images = peaks.pop(("begin", "")), peaks.pop(("batch", ""))
    return {
        "core_bytes": max(begin, images + estimate["largest_weights_bytes"] + max(peaks.values())),
        "a1_round_bytes": moved,
        "seconds": seconds,
        "chip_hours": seconds * topology.chips / 3600,
    }


def round_flops(spec: StepSpec, network: MnasNetwork) -> float:
    """Return the floating-point operations of one replica in one round, for a network.

    Convolutions, the classifier left out, and inner products count; a multiply-add as two.
    """
    images = spec.division.batches * spec.division.batch_size + spec.calibration_size
    convolutions = network.multiply_adds - network.num_features * network.num_classes
    product = spec.num_images * spec.num_train * network.num_features
    return 2.0 * (images * convolutions + product)


def line(row: Mapping[str, Any], estimate: Mapping[str, Any]) -> str:
    """Return a row of the table under `HEADER`."""
    del estimate
    start = f"{row['program']:8} {row['layer']:44}  "
    if not row["compiles"]:
        return f"{start}{'no':8} {row['error']}"
    return (
        f"{start}{'yes':8} {row['lower_seconds']:>8.1f} {row['compile_seconds']:>9.1f} "
        f"{row['flops'] / 1e9:>10,.1f} {row['bytes_accessed'] / 1e9:>9,.2f} "
        f"{row['peak_memory'] / 2**20:>9,.0f}"
    )


def summary(
    rows: Sequence[Mapping[str, Any]],
    estimate: Mapping[str, Any],
    protocol: MnasProtocol,
    topology: Topology,
) -> str:
    """Return what follows the table: how to read it, and the cost of the networks."""
    spec = protocol.spec(topology.cores)
    division = spec.division
    times = {
        (row["program"], row["layer"]): row["lower_seconds"] + row["compile_seconds"]
        for row in rows
        if row["compiles"]
    }
    of_layers = [seconds for (_, layer), seconds in times.items() if layer]
    number = len(protocol.kinds(["all"])) * len(_PROGRAMS)
    lines = [
        f"prepare: {spec.calibration_size} images of calibration. forward: a batch of "
        f"{division.batch_size}, {division.batches} of them to a round.",
        f"{topology}: {topology.cores} cores of {topology.core_memory / 2**30:.0f} GiB, "
        f"{division.image_groups} to an initialisation; {division.rounds} rounds for "
        f"{protocol.num_inits} initialisations.",
        f"Compiling took {sum(times.values()):,.0f} s on this machine. The layers of the whole "
        f"space take {number:,} programs, each compiled once when a network first has it: about "
        f"{duration(number * statistics.fmean(of_layers or [0.0]))}.",
        f"{estimate['networks']:,} networks: {estimate['flops']:.3g} FLOP, "
        f"{duration(estimate['seconds'])}, {estimate['chip_hours']:,.1f} chip hours, if each core "
        f"achieves {estimate['core_flops_per_second'] / 1e12:,.1f} TFLOP/s "
        f"({estimate['efficiency']:.0%} of its bfloat16 peak) and the host keeps up.",
    ]
    if programs := estimate_programs(rows, estimate, protocol, topology):
        lines += [
            f"Moving the bytes that the compiler counts takes {programs['chip_hours']:,.1f} chip "
            "hours at the memory's published bandwidth, if networks move as many for an operation "
            "as MnasNet-A1. The job takes the longer of the two at least.",
            f"A core holds at most {programs['core_bytes'] / 2**30:.1f} GiB: images, weights and "
            "the largest program.",
        ]
    return "\n".join(lines)


def _programs_of(network, batches):
    """Return (program, layer) of each program that a round of a network runs, and how often."""
    times = {"prepare": 1, "forward": batches}
    layers = [
        ((name, _text(kind)), times[name])
        for kind, _ in mnas_layout.encode(network, static=True)
        for name in _PROGRAMS
    ]
    once = [((name, ""), 1) for name in ("begin", "end")]
    return layers + once + [((name, ""), batches) for name in ("batch", "pool")]


def _of_round(protocol, spec):
    """Yield name, function and specs of what begins and ends a round."""
    begin, batch, end = replica_programs(spec, "TPU")
    division = spec.division
    scalar = tf.TensorSpec([], tf.int32)
    images = tf.TensorSpec([spec.num_placed, *protocol.image_shape])
    width = protocol.network(mnas.MNASNET_A1).num_features
    z = [tf.TensorSpec([division.batch_size, width])] * division.batches
    yield "begin", begin, [scalar, scalar, scalar, images]
    yield "batch", batch, [scalar, images, scalar]
    yield "end", end, [scalar, scalar, scalar, z]


def _compiled(row, function, specs, topology):
    try:
        compilation = compile_function(function, specs, topology)
    except CompilationError as error:
        return row | {"compiles": False, "error": str(error)}
    return row | {"compiles": True, "error": None} | dataclasses.asdict(compilation)


def _text(kind):
    height, width = kind.image_size
    widths = kind.widths
    inner = f"->{widths.depthwise}" if kind.expands else ""
    return (
        f"{kind.block_fn} {kind.kernel_size}x{kind.kernel_size}/{kind.stride} "
        f"{widths.input}{inner}->{widths.output} {height}x{width}"
    )
