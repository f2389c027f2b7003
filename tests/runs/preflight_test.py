"""Tests of what a preflight says of a run, apart from the compiler for TPUs."""

import pytest

from nngp_tf.kernels import cell_costs
from nngp_tf.kernels.tpu_compile import Topology
from nngp_tf.runs import preflight

pytestmark = pytest.mark.fast

TOPOLOGY = Topology.parse("v5e:2x2")
PROTOCOL = preflight.Protocol(num_train=1000, num_test=1000, num_inits=8)


def test_networks_stand_for_their_families():
    for feeders in preflight.FAMILIES:
        spec = PROTOCOL.spec(feeders, TOPOLOGY.cores)
        assert spec.family.num_feeders == feeders
        # Four cores take four initialisations at a time, so eight take two rounds.
        assert (spec.division.init_groups, spec.division.rounds) == (4, 2)


def test_operations_of_a_round():
    spec = PROTOCOL.spec(0, TOPOLOGY.cores)
    (kinds,) = [kinds for kinds in cell_costs.census() if kinds.feeders == 0]
    flops = preflight.round_flops(spec, kinds, (32, 32, 3))
    # The cell without a vertex: a stem and three projections a stack, 2 operations a product.
    # A 3x3 window loses a row or column at each border: 94 of 96 taps a side.
    stem = 94 * 94 * 3 * 128
    stacks = 32 * 32 * 3 * 128 * 128
    stacks += 16 * 16 * (128 * 256 + 2 * 256 * 256) + 8 * 8 * (256 * 512 + 2 * 512 * 512)
    images = 20 * 100 + 100
    assert flops == pytest.approx(2 * images * (stem + stacks) + 2 * 2000 * 1000 * 512)


def test_the_space_is_counted_whole_and_scales():
    space = preflight.estimate_space(PROTOCOL, TOPOLOGY, 0.25)
    assert space["cells"] == 423_624
    assert sum(family["cells"] for family in space["families"].values()) == 423_624
    doubled = preflight.estimate_space(PROTOCOL, TOPOLOGY, 0.5)
    assert doubled["seconds"] == pytest.approx(space["seconds"] / 2)
    larger = preflight.estimate_space(PROTOCOL, Topology.parse("v5e:2x4"), 0.25)
    assert larger["seconds"] == pytest.approx(space["seconds"] / 2)
    assert larger["chip_hours"] == pytest.approx(space["chip_hours"])


def test_the_report():
    space = preflight.estimate_space(PROTOCOL, TOPOLOGY, 0.25)
    compiled = {
        "feeders": 2,
        "compiles": True,
        "error": None,
        "lower_seconds": 20.0,
        "compile_seconds": 300.0,
        "flops": 4e11,
        "bytes_accessed": 1e10,
        "peak_memory": 300 * 2**20,
    }
    failed = {"feeders": 4, "compiles": False, "error": "no memory"}
    assert " yes " in preflight.line(compiled, space)
    assert preflight.line(failed, space).endswith("no memory")
    text = preflight.summary([compiled, failed], space, PROTOCOL, TOPOLOGY)
    assert "Compiling took 320 s" in text
    assert "423,624 cells" in text
    assert "2 rounds for 8 initialisations" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_train": 0}, "num_train must be at least 1, got 0"),
        ({"num_inits": 0}, "num_inits must be at least 1, got 0"),
        ({"compute_dtype": "float64"}, "a TPU has no float64"),
        ({"batch_norm": "none"}, "batch_norm must be one of"),
        ({"batch_size": 5000}, "batch_size must lie between 1 and the 300 images"),
        ({"stem_filters": 0}, "stem_filters must be a positive integer"),
    ],
)
def test_bad_protocols(options, message):
    with pytest.raises(ValueError, match=message):
        preflight.Protocol(**options)
