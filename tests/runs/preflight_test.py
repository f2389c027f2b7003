"""The preflight's programs are those of inference, and its estimate is the sum it says it is."""

import collections

import numpy as np
import pytest

from nngp_tf.kernels import cell_costs, monte_carlo_kernel, network, step
from nngp_tf.kernels.cell_costs import Convolutions
from nngp_tf.kernels.tpu_compile import Compilation, CompilationError, Topology
from nngp_tf.runs import preflight
from nngp_tf.runs.preflight import Protocol

V5E = Topology.parse("v5e:2x2")
SMALL = Protocol((8, 8, 3), stem_filters=4, num_train=6, num_test=4, num_inits=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 3, "calibration_size": 5},
        pytest.param({}, marks=pytest.mark.long),
        pytest.param({"batch_norm": "initial", "num_test": 0}, marks=pytest.mark.long),
    ],
)
def test_steps_are_those_of_inference(monkeypatch, options):
    """Whatever shapes a step when a kernel is estimated shapes the one that is compiled."""
    protocol = Protocol((8, 8, 3), 4, 6, **{"num_test": 4, "num_inits": 2} | options)
    specs = []

    def recorded(spec):
        specs.append(spec)
        return step.shared_step(spec)

    monkeypatch.setattr(network, "shared_step", recorded)
    images = np.random.default_rng(0).normal(size=(6 + protocol.num_test, 8, 8, 3))
    for num_feeders in (0, 3):
        expected = protocol.spec(num_feeders, cores=1)
        monte_carlo_kernel(
            protocol.network(num_feeders),
            images[:6].astype("float32"),
            images[6:].astype("float32") if protocol.num_test else None,
            num_inits=2,
            batch_norm=protocol.batch_norm,
            compute_dtype=protocol.compute_dtype,
            batch_size=protocol.batch_size,
            calibration_size=protocol.calibration_size,
            keep_features=expected.keep_features,
        )
        (spec,) = set(specs)
        specs.clear()
        assert spec.division.rounds == 1
        assert expected.division.rounds == 2
        for name in ("family", "num_train", "num_images", "calibration_size", "keep_features"):
            assert getattr(spec, name) == getattr(expected, name)
        for name in ("init_groups", "image_groups", "batches", "batch_size"):
            assert getattr(spec.division, name) == getattr(expected.division, name)


@pytest.mark.fast
def test_features_are_kept_where_inference_keeps_them():
    few, many = (Protocol(stem_filters=4, num_inits=2, num_train=n) for n in (32, 33))
    assert not few.spec(1, cores=1).keep_features
    assert many.spec(1, cores=1).keep_features


@pytest.mark.fast
@pytest.mark.parametrize("num_feeders", preflight.FAMILIES)
def test_a_network_of_each_family(num_feeders):
    network = SMALL.network(num_feeders)
    assert cell_costs.convolutions(network.cell).feeders == num_feeders
    assert network.cell.is_valid


@pytest.mark.fast
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_train": 0}, "num_train must be at least 1, got 0"),
        ({"num_test": -1}, "num_test must be at least 0, got -1"),
        ({"num_inits": 0}, "num_inits must be at least 1, got 0"),
        ({"stem_filters": 0}, "stem_filters must be a positive integer"),
        ({"stem_filters": 3}, "3 channels cannot be shared by the 4 vertices"),
        ({"batch_norm": "none"}, "batch_norm must be one of"),
        ({"compute_dtype": "float64"}, "a TPU has no float64"),
        ({"compute_dtype": "int8"}, "compute_dtype must be one of"),
        ({"batch_size": 0}, "batch_size must lie between 1 and the 300 images, got 0"),
        ({"calibration_size": 101}, "calibration_size must lie between 1 and the 100 images"),
        ({"image_shape": (32, 0, 3)}, "input_shape must be"),
    ],
)
def test_what_no_program_serves_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**options)


@pytest.mark.fast
def test_operations_of_a_round():
    spec = SMALL.spec(2, cores=1)
    kinds = Convolutions(feeders=2, projections=2, conv3x3=1, conv1x1=1, residual=0)
    network = cell_costs.image_flops(spec.family, kinds, 8, 8)
    # Ten images and six probes in two batches, six to calibrate, and products in 16 channels.
    assert preflight.round_flops(spec, kinds, (8, 8, 3)) == 22 * network + 2 * 10 * 6 * 16


@pytest.mark.fast
def test_operations_of_a_round_at_full_size():
    protocol = Protocol(num_train=1000, num_test=1000, num_inits=8)
    spec = protocol.spec(0, V5E.cores)
    # Four cores take four initialisations at a time, so eight take two rounds.
    assert (spec.division.init_groups, spec.division.rounds) == (4, 2)
    kinds = cell_costs.convolutions(protocol.network(0).cell)
    # The cell without a vertex: a stem and three projections a stack, 2 operations a product.
    # A 3x3 window loses a row or column at each border: 94 of 96 taps a side.
    stem = 94 * 94 * 3 * 128
    stacks = 32 * 32 * 3 * 128 * 128
    stacks += 16 * 16 * (128 * 256 + 2 * 256 * 256) + 8 * 8 * (256 * 512 + 2 * 512 * 512)
    # 2,000 images and 8 probes in batches of at most a hundred, and those that calibrate.
    images = 21 * 96 + 100
    assert preflight.round_flops(spec, kinds, (32, 32, 3)) == (
        2 * images * (stem + stacks) + 2 * 2000 * 1000 * 512
    )


@pytest.mark.slow
def test_the_space_is_counted_whole_and_scales():
    space = preflight.estimate_space(SMALL, V5E, 0.25)
    assert space["cells"] == 423_624
    assert sum(family["cells"] for family in space["families"].values()) == 423_624
    doubled = preflight.estimate_space(SMALL, V5E, 0.5)
    assert doubled["seconds"] == pytest.approx(space["seconds"] / 2)


@pytest.fixture
def two_kinds(monkeypatch):
    """A space of five cells for the estimate."""
    kinds = [
        Convolutions(feeders, projections=1, conv3x3=1, conv1x1=0, residual=0) for feeders in (1, 2)
    ]
    census = collections.Counter({kinds[0]: 2, kinds[1]: 3})
    monkeypatch.setattr(cell_costs, "census", lambda: census)
    monkeypatch.setattr(preflight, "FAMILIES", (1, 2))
    return kinds


@pytest.mark.fast
def test_estimate(two_kinds):
    topology = Topology.parse("v5e:1x1")
    space = preflight.estimate_space(SMALL, topology, efficiency=0.5)
    flops = [
        preflight.round_flops(SMALL.spec(kinds.feeders, cores=1), kinds, SMALL.image_shape)
        for kinds in two_kinds
    ]
    # Two initialisations on one core take two rounds.
    total = 2 * (2 * flops[0] + 3 * flops[1])
    assert space["cells"] == 5
    assert [family["cells"] for family in space["families"].values()] == [2, 3]
    assert [f["mean_round_flops"] for f in space["families"].values()] == pytest.approx(flops)
    assert space["flops"] == pytest.approx(total)
    assert space["seconds"] == pytest.approx(total / (0.5 * 197e12))
    assert space["chip_hours"] == pytest.approx(space["seconds"] / 3600)


@pytest.mark.fast
def test_estimate_on_more_cores(two_kinds):
    protocol = Protocol((8, 8, 3), 4, 6, 4, num_inits=4)
    one, four = (
        preflight.estimate_space(protocol, Topology.parse(f"v5e:{sides}"), 0.5)
        for sides in ("1x1", "2x2")
    )
    assert four["seconds"] == pytest.approx(one["seconds"] / 4)
    assert four["chip_hours"] == pytest.approx(one["chip_hours"])
    # Two cores to an initialisation repeat its calibration, which is counted.
    two = preflight.estimate_space(SMALL, V5E, 0.5)
    assert one["chip_hours"] / 2 < two["chip_hours"] < one["chip_hours"]
    # A chip of two cores does what its chip can.
    v4 = preflight.estimate_space(protocol, Topology.parse("v4:1x2x1"), 0.5)
    assert v4["seconds"] == pytest.approx(four["seconds"] * 197 / 137.5)
    assert v4["chip_hours"] == pytest.approx(v4["seconds"] * 2 / 3600)


@pytest.mark.slow
def test_compile_families_goes_on_where_one_does_not_compile(monkeypatch):
    asked = []

    def compile_function(function, specs, topology):
        asked.append((function, specs, topology))
        if len(asked) == 2:
            raise CompilationError("Ran out of memory in memory space hbm.")
        return Compilation(1.0, 2.0, flops=3e9, bytes_accessed=4e9, peak_memory=2**20)

    monkeypatch.setattr(preflight, "compile_function", compile_function)
    rows = list(preflight.compile_families(SMALL, V5E, [0, 1, 3]))
    assert [row["feeders"] for row in rows] == [0, 1, 3]
    assert [row["compiles"] for row in rows] == [True, False, True]
    assert rows[1]["error"] == "Ran out of memory in memory space hbm."
    assert rows[2]["peak_memory"] == 2**20
    for _, specs, topology in asked:
        assert topology == V5E
        # Ten images and six probes.
        assert specs[-1].shape == [16, 8, 8, 3]

    space = preflight.estimate_space(SMALL, V5E, 0.25)
    lines = [preflight.line(row, space) for row in rows]
    assert lines[0].split() == ["0", "1", "yes", "1.0", "2.0", "3.0", "4.00", "1", "0.0"]
    assert lines[1].endswith("no       Ran out of memory in memory space hbm.")
    assert len(lines[0]) == len(preflight.HEADER)
    summary = preflight.summary(rows, space, SMALL, V5E)
    assert "Compiling took 6 s" in summary
    assert "423,624 cells" in summary
    assert "25% of its bfloat16 peak" in summary
    assert "2 to an initialisation; 1 rounds for 2 initialisations" in summary
