"""The preflight's programs are those of inference, and its estimate is the sum it says it is."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels import mnas_layout, mnas_step, monte_carlo_kernel, network
from nngp_tf.kernels.tpu_compile import Compilation, CompilationError, Topology
from nngp_tf.models import MnasNetwork
from nngp_tf.runs import mnas_preflight
from nngp_tf.runs.mnas_preflight import MnasProtocol
from nngp_tf.search_spaces import mnas

V5E = Topology.parse("v5e:2x2")
SMALL = MnasProtocol((32, 32, 3), num_architectures=50, num_train=6, num_test=4, num_inits=2)


@pytest.mark.slow
def test_steps_are_those_of_inference(monkeypatch):
    """Whatever shapes a step when a kernel is estimated shapes the one that is compiled."""
    specs = []

    def recorded(kinds, spec):
        specs.append(spec)
        return mnas_step.MnasStep(kinds, spec)

    monkeypatch.setattr(network, "MnasStep", recorded)
    images = np.random.default_rng(0).normal(size=(10, 32, 32, 3)).astype("float32")
    expected = SMALL.spec(cores=1)
    monte_carlo_kernel(
        MnasNetwork(mnas.MNASNET_SMALL, (32, 32, 3)),
        images[:6],
        images[6:],
        num_inits=2,
        compute_dtype=SMALL.compute_dtype,
        keep_features=expected.keep_features,
    )
    (spec,) = set(specs)
    for name in ("family", "num_train", "num_images", "calibration_size", "keep_features"):
        assert getattr(spec, name) == getattr(expected, name)
    for name in ("init_groups", "image_groups", "batches", "batch_size"):
        assert getattr(spec.division, name) == getattr(expected.division, name)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_train": 0}, "num_train must be at least 1, got 0"),
        ({"num_architectures": 0}, "num_architectures must be at least 1, got 0"),
        ({"batch_norm": "none"}, "batch_norm must be one of"),
        ({"compute_dtype": "float64"}, "a TPU has no float64"),
        ({"batch_size": 0}, "batch_size must lie between 1 and the 300 images, got 0"),
        ({"reference": "resnet"}, "reference must be one of"),
        ({"image_shape": (31, 32, 3)}, "too small for the strides"),
    ],
)
def test_what_no_program_serves_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MnasProtocol(**options)


@pytest.mark.fast
def test_kinds():
    a1, space = SMALL.kinds(["a1"]), SMALL.kinds(["all"])
    network = SMALL.network(mnas.MNASNET_A1)
    assert set(a1) == {layer.kind for layer in mnas_layout.encode(network, static=True)}
    assert len(a1) == len(set(a1)) == 14
    assert len(space) == 628


@pytest.mark.fast
def test_operations_of_a_round():
    spec = SMALL.spec(cores=1)
    # MnasNet's paper: 312 million multiply-adds at 224 x 224, classifier included.
    published = MnasNetwork(mnas.MNASNET_A1)
    network = published.multiply_adds - 1280 * 1000
    assert 305e6 < network < 315e6
    # Ten images and six probes in two batches, six to calibrate, and products in 1,280 features.
    got = mnas_preflight.round_flops(spec, published)
    assert got == 2 * (22 * network + 10 * 6 * 1280)


@pytest.mark.fast
def test_estimate():
    one, four = (
        mnas_preflight.estimate_space(SMALL, Topology.parse(f"v5e:{sides}"), 0.5)
        for sides in ("1x1", "2x2")
    )
    # Two initialisations on one core take two rounds.
    seconds = 50 * 2 * one["mean_round_flops"] / (0.5 * 197e12)
    assert one["seconds"] == pytest.approx(seconds)
    assert one["chip_hours"] == pytest.approx(seconds / 3600)
    assert 0.3 < one["a1_round_flops"] / one["mean_round_flops"] < 3
    # Two cores to an initialisation repeat its calibration.
    assert one["seconds"] / 4 < four["seconds"] < one["seconds"] / 2


@pytest.mark.fast
def test_what_follows_from_the_programs(monkeypatch):
    def compile_function(function, specs, topology):
        # Two bytes moved for each number that is given.
        moved = 2.0 * sum(np.prod(spec.shape) for spec in tf.nest.flatten(specs))
        return Compilation(1.0, 2.0, flops=3e9, bytes_accessed=moved, peak_memory=int(moved))

    monkeypatch.setattr(mnas_preflight, "compile_function", compile_function)
    protocol = dataclasses.replace(SMALL, batch_size=5, num_inits=8, batch_norm="initial")
    v4 = Topology.parse("v4:1x1x1")
    space = mnas_preflight.estimate_space(protocol, v4, 0.25)
    rows = list(mnas_preflight.compile_families(protocol, v4))
    got = mnas_preflight.estimate_programs(rows, space, protocol, v4)
    # Each layer once for each program, however many share it; four batches to a round.
    moved = {(row["program"], row["layer"]): row["bytes_accessed"] for row in rows}
    expected = moved["begin", ""] + moved["end", ""] + 4 * (moved["batch", ""] + moved["pool", ""])
    for kind, _ in mnas_layout.encode(protocol.network(mnas.MNASNET_A1), static=True):
        layer = mnas_preflight._text(kind)
        expected += moved["prepare", layer] + 4 * moved["forward", layer]
    assert got["a1_round_bytes"] == pytest.approx(expected)
    # Eight initialisations on two cores, which share a chip's memory.
    ratio = space["mean_round_flops"] / space["a1_round_flops"]
    assert got["seconds"] == pytest.approx(50 * 4 * expected * ratio / (1.2e12 / 2))
    assert got["chip_hours"] == pytest.approx(got["seconds"] / 3600)
    held = moved["batch", ""] + max(v for (name, _), v in moved.items() if name == "forward")
    assert got["core_bytes"] == pytest.approx(held + space["largest_weights_bytes"], rel=1e-6)
    assert "GiB: images, weights and the largest" in mnas_preflight.summary(
        rows, space, protocol, v4
    )


@pytest.mark.fast
def test_compile_families_goes_on_where_one_does_not_compile(monkeypatch):
    asked = []

    def compile_function(function, specs, topology):
        asked.append((function, specs, topology))
        if len(asked) == 5:
            raise CompilationError("Ran out of memory in memory space hbm.")
        return Compilation(1.0, 2.0, flops=3e9, bytes_accessed=4e9, peak_memory=2**20)

    monkeypatch.setattr(mnas_preflight, "compile_function", compile_function)
    rows = list(mnas_preflight.compile_families(SMALL, V5E))
    # Begin, batch and end; two for each kind; and the average over the head's output.
    assert len(rows) == 3 + 2 * 14 + 1
    assert [row["program"] for row in rows[:5]] == ["begin", "batch", "end", "prepare", "forward"]
    assert rows[-1]["program"] == "pool"
    assert [row["compiles"] for row in rows].count(False) == 1
    assert rows[4]["error"] == "Ran out of memory in memory space hbm."
    # Two cores to an initialisation: eight images or probes each, and six to calibrate.
    prepare, forward = asked[5][1], asked[6][1]
    assert prepare[-1].shape == [6, 16, 16, 32]
    assert forward[-1].shape == [8, 16, 16, 32]

    space = mnas_preflight.estimate_space(SMALL, V5E, 0.25)
    lines = [mnas_preflight.line(row, space) for row in rows]
    assert lines[5].split()[:5] == ["prepare", "mbconv", "3x3/1", "32->16", "16x16"]
    assert lines[4].endswith("no       Ran out of memory in memory space hbm.")
    assert len(lines[5]) == len(mnas_preflight.HEADER)
    assert mnas_preflight.estimate_programs(rows, space, SMALL, V5E) is None
    summary = mnas_preflight.summary(rows, space, SMALL, V5E)
    assert "A core holds" not in summary
    assert f"Compiling took {3 * (len(rows) - 1)} s" in summary
    assert "1,256 programs" in summary
    assert "50 networks" in summary
    assert "25% of its bfloat16 peak" in summary
