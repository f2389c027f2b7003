"""Signals of NNGP runs: which entry of which scan, how it is named, and what it costs."""

import numpy as np
import pytest

from nngp_tf.analysis.inference_signals import inference_source
from nngp_tf.analysis.signals import STRUCTURE
from nngp_tf.models import Nasbench101Network
from nngp_tf.search_spaces.nasbench101 import Cell
from nngp_tf.search_spaces.nasbench101_structure import structure
from tests.analysis import examples

pytestmark = pytest.mark.fast


def source(*rows, **config):
    return inference_source(examples.run(*rows, **config), "nngp")


def by_name(found):
    signals = {signal.name: signal for signal in found.signals}
    assert len(signals) == len(found.signals)
    return signals


def test_choices_of_the_regulariser():
    scan = examples.scan(
        test_accuracy=[0.2, 0.6, 0.4],
        loo_accuracy=[0.5, 0.3, 0.1],
        log_marginal_likelihood=[-30.0, -20.0, -10.0],
        test_nll=[3.0, -1.0, 2.0],
        loo_nll=[5.0, 4.0, 6.0],
    )
    signals = by_name(source(examples.nngp_row(0, [0.0] * 3) | {"scan": scan}))
    expected = {
        "nngp/test_accuracy@best": 0.6,
        "nngp/test_accuracy@loo_accuracy": 0.2,
        "nngp/test_accuracy@log_marginal_likelihood": 0.4,
        "nngp/loo_accuracy@best": 0.5,
        "nngp/-test_nll@best": 1.0,
        "nngp/-loo_nll@best": -4.0,
        "nngp/-loo_error@best": 0.0,
        "nngp/log_marginal_likelihood@best": -10.0,
        "nngp/test_accuracy@0.1": 0.6,
        "nngp/-test_nll@10": -2.0,
        "nngp/loo_accuracy@0.001": 0.5,
        "nngp/parameters": 1000,
        "nngp/multiply_adds": 100,
    }
    for name, value in expected.items():
        np.testing.assert_array_equal(signals[name].values, [value], err_msg=name)
    shown = {name for name, signal in signals.items() if signal.is_shown}
    # One at each regulariser would be too many.
    assert shown == {name for name in expected if name[-1].isalpha()}
    assert "negated" in signals["nngp/-test_nll@best"].label
    family = [s for s in signals.values() if s.family == "nngp/-loo_nll@fixed"]
    assert [s.setting for s in family] == [0.001, 0.1, 10.0]


def test_failed_architectures_stay_without_values():
    found = source(
        examples.nngp_row(0, [0.1, 0.2, 0.3]),
        examples.nngp_row(1, None),
        {"key": examples.key(2), "status": "failed", "architecture": examples.CELL},
    )
    assert found.keys == tuple(map(examples.key, range(3)))
    assert found.num_failed == 2
    signals = by_name(found)
    np.testing.assert_array_equal(signals["nngp/test_accuracy@best"].values, [0.3, np.nan, np.nan])
    np.testing.assert_array_equal(signals["nngp/test_accuracy@0.1"].values, [0.2, np.nan, np.nan])
    # Its size is known all the same.
    np.testing.assert_array_equal(signals["nngp/parameters"].values, [1000, 1001, np.nan])


def test_costs():
    signals = by_name(source(examples.nngp_row(0, [0.1, 0.2, 0.3], seconds=10.0)))
    tested, left_out = signals["nngp/test_accuracy@best"], signals["nngp/loo_accuracy@best"]
    np.testing.assert_array_equal(tested.cost_seconds, [10.0])
    # (300 + 200 images + 100 that calibrate) x 4 initialisations x 100 multiply-adds.
    np.testing.assert_array_equal(tested.cost_multiply_adds, [240_000])
    # Leave-one-out needs no test images.
    np.testing.assert_array_equal(left_out.cost_multiply_adds, [160_000])
    np.testing.assert_array_equal(signals["nngp/parameters"].cost_multiply_adds, [0])


@pytest.mark.parametrize(
    ("config", "images"),
    [
        ({"batch_norm": "initial"}, 500),
        ({"calibration_size": 50}, 550),
        ({"num_train": 60, "num_test": 0}, 120),
    ],
)
def test_images_of_the_calibration(config, images):
    found = by_name(source(examples.nngp_row(0, [0.1, 0.2, 0.3]), **config))
    name = "nngp/test_accuracy@best" if config.get("num_test", 1) else "nngp/loo_accuracy@best"
    np.testing.assert_array_equal(found[name].cost_multiply_adds, [400 * images])


def test_multiply_adds_follow_from_the_architecture_where_rows_lack_them():
    row = examples.nngp_row(0, [0.1, 0.2, 0.3])
    del row["multiply_adds"]
    expected = Nasbench101Network(Cell.from_text(examples.CELL), stem_filters=16).multiply_adds
    np.testing.assert_array_equal(by_name(source(row))["nngp/multiply_adds"].values, [expected])
    # But not where the size of the images is not known.
    assert "nngp/multiply_adds" not in by_name(source(row, dataset="imagenet_v2"))


def test_without_test_images_there_are_no_test_scores():
    names = by_name(source(examples.nngp_row(0, [0.1, 0.2, 0.3]), num_test=0))
    assert not [name for name in names if name.startswith(("nngp/test_", "nngp/-test_"))]
    assert "nngp/loo_accuracy@best" in names


def test_fewer_initialisations():
    row = examples.nngp_row(
        0,
        [0.1, 0.2, 0.3],
        seconds=10.0,
        scans_by_inits={str(n): examples.scan(test_accuracy=[n / 10, 0, 0]) for n in (1, 2)},
    )
    signals = by_name(source(row))
    family = [s for s in signals.values() if s.family == "nngp/test_accuracy@best,inits"]
    assert {s.setting: s.values[0] for s in family} == {1: 0.1, 2: 0.2, 4: 0.3}
    of_two = signals["nngp/test_accuracy@best,inits=2"]
    assert not of_two.is_shown
    # Half of the kernel's 8 seconds, and the solve's 2.
    np.testing.assert_allclose(of_two.cost_seconds, [6.0])
    assert "in proportion" in of_two.cost_note
    np.testing.assert_array_equal(of_two.cost_multiply_adds, [120_000])


def test_leave_one_out_of_other_kernels():
    row = examples.nngp_row(
        0,
        [0.1, 0.2, 0.3],
        leave_one_out={
            "standardised": {
                "scan": examples.scan(loo_accuracy=[0.7, 0.6, 0.5], loo_error=[0.9, 0.8, 0.85]),
                "spectrum": {"effective_rank": 12.0, "alignment": None},
            }
        },
    )
    failed = examples.nngp_row(1, None)
    signals = by_name(source(row, failed))
    best = signals["nngp/standardised_loo_accuracy@best"]
    np.testing.assert_array_equal(best.values, [0.7, np.nan])
    assert best.label == "leave-one-out accuracy, standardised kernel, all images"
    np.testing.assert_array_equal(best.cost_multiply_adds, [240_000, 240_000])
    error = signals["nngp/-standardised_loo_error@best"]
    np.testing.assert_array_equal(error.values, [-0.8, np.nan])
    assert best.is_shown
    assert error.is_shown
    assert not signals["nngp/-standardised_loo_nll@best"].is_shown
    assert not [name for name in signals if "standardised_test" in name]

    profile = {name: signal for name, signal in signals.items() if signal.in_profile}
    assert set(profile) == {
        *(f"nngp/standardised_loo_accuracy@{value}" for value in ("0.001", "0.1", "10")),
        *(f"nngp/-standardised_loo_error@{value}" for value in ("0.001", "0.1", "10")),
        *("nngp/standardised_effective_rank", "nngp/standardised_alignment"),
    }
    ranks = profile["nngp/standardised_effective_rank"]
    np.testing.assert_array_equal(ranks.values, [12.0, np.nan])
    assert not any(signal.is_shown for signal in profile.values())


def test_older_runs():
    """Their leave-one-out over all images is of the plain kernel, and without errors."""
    scan = examples.scan(loo_accuracy=[0.7, 0.6, 0.5])
    del scan["loo_error"]
    row = examples.nngp_row(0, [0.1, 0.2, 0.3], scan_all=scan)
    del row["scan"]["loo_error"]
    signals = by_name(source(row))
    np.testing.assert_array_equal(signals["nngp/plain_loo_accuracy@best"].values, [0.7])
    # Not even as missing values, which would leave every architecture out.
    assert not [name for name in signals if "loo_error" in name]


def test_different_regularisers_in_one_run_are_refused():
    other = examples.scan() | {"diag_reg": [1.0, 2.0, 3.0]}
    rows = [examples.nngp_row(0, [0.1] * 3), examples.nngp_row(1, [0.1] * 3, scan=other)]
    with pytest.raises(ValueError, match="2 different lists of regularisers"):
        source(*rows)


def test_structure_of_cells():
    signals = by_name(source(examples.nngp_row(0, [0.1, 0.2, 0.3]), space="nasbench101"))
    expected = structure(Cell.from_text(examples.CELL))
    found = {s.name: s.values for s in signals.values() if s.kind == STRUCTURE}
    assert {f"nngp/{name}": [number] for name, number in expected.items()} == found
    assert not any(s.is_shown or s.cost_seconds.any() for s in signals.values() if s.name in found)


def test_other_spaces_have_no_structure():
    row = examples.nngp_row(0, [0.1, 0.2, 0.3]) | {"architecture": "r1_k3_s11_e1_i32_o16_se0.25"}
    signals = by_name(source(row, space="mnas"))
    assert not any(signal.kind == STRUCTURE for signal in signals.values())
