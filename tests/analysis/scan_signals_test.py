"""Signals of scans: which criteria, in which order, and how they are named and shown."""

import numpy as np
import pytest

from nngp_tf.analysis.scan_signals import Scans, scan_signals
from nngp_tf.gaussian_process.scan import CRITERIA
from tests.analysis import examples

pytestmark = pytest.mark.fast

WHOLE = {
    "source": "nngp",
    "lists": [examples.scan(loo_accuracy=[0.1, 0.3, 0.2])],
    "has_test": True,
    "kernel": "",
    "num_inits": 4,
    "is_whole": True,
    "cost_seconds": None,
    "cost_of": dict.fromkeys(CRITERIA),
}


def signals(**changes):
    return {signal.name: signal for signal in scan_signals(Scans(**WHOLE | changes))}


def test_choices_come_first_and_each_regulariser_after_them():
    names = list(signals())
    assert names[:4] == [
        "nngp/test_accuracy@best",
        "nngp/test_accuracy@loo_accuracy",
        "nngp/test_accuracy@log_marginal_likelihood",
        "nngp/loo_accuracy@best",
    ]
    fixed = [
        f"nngp/{sign}{criterion}@{setting}"
        for sign, criterion in (
            ("", "test_accuracy"),
            ("-", "test_nll"),
            ("", "loo_accuracy"),
            ("-", "loo_nll"),
            ("-", "loo_error"),
            ("", "log_marginal_likelihood"),
        )
        for setting in ("0.001", "0.1", "10")
    ]
    assert names[8:] == fixed


def test_without_test_images_there_are_no_scores_of_them():
    scans = Scans(**WHOLE | {"has_test": False})
    assert scans.criteria == [name for name in CRITERIA if not name.startswith("test_")]
    assert not any("test_" in name for name in signals(has_test=False))


def test_criteria_that_only_some_rows_have():
    older = examples.scan()
    del older["loo_error"]
    new = examples.scan(loo_error=[0.5, 0.25, 0.75])
    assert "loo_error" not in Scans(**WHOLE | {"lists": [older, None]}).criteria
    found = signals(lists=[older, None, new])["nngp/-loo_error@best"]
    np.testing.assert_array_equal(found.values, [np.nan, np.nan, -0.25])


def test_of_fewer_initialisations_there_are_choices_alone_and_none_is_shown():
    found = signals(is_whole=False, num_inits=1)
    assert all(name.endswith(",inits=1") for name in found)
    assert len(found) == 8
    assert not any(signal.is_shown for signal in found.values())
    best = found["nngp/loo_accuracy@best,inits=1"]
    assert best.label == "leave-one-out accuracy, 1 initialisation"
    assert (best.family, best.setting) == ("nngp/loo_accuracy@best,inits", 1)
    # A point of the same curve as that of all of them.
    assert signals()["nngp/loo_accuracy@best"].family == best.family
    two = signals(is_whole=False, num_inits=2)["nngp/loo_accuracy@best,inits=2"]
    assert two.label == "leave-one-out accuracy, 2 initialisations"


def test_a_kernel_of_its_own_has_its_name_everywhere():
    found = signals(has_test=False, kernel="max_scaled")
    best = found["nngp/max_scaled_loo_accuracy@best"]
    assert best.label == "leave-one-out accuracy, max-scaled kernel, all images"
    assert best.family is None
    # Likelihoods of it are on a scale of their own.
    assert [name for name, signal in found.items() if signal.is_shown] == [
        "nngp/max_scaled_loo_accuracy@best",
        "nngp/-max_scaled_loo_error@best",
    ]
    fixed = found["nngp/max_scaled_loo_accuracy@0.1"]
    assert (fixed.family, fixed.setting) == ("nngp/max_scaled_loo_accuracy@fixed", 0.1)
    assert fixed.in_profile
    assert not found["nngp/-max_scaled_loo_nll@0.1"].in_profile


def test_costs_are_those_of_the_criterion():
    costs = {criterion: np.array([float(i)]) for i, criterion in enumerate(CRITERIA)}
    found = signals(cost_of=costs, cost_seconds=np.array([7.0]))
    for index, criterion in enumerate(CRITERIA):
        (best,) = (s for name, s in found.items() if name.endswith(f"{criterion}@best"))
        np.testing.assert_array_equal(best.cost_multiply_adds, [index])
        np.testing.assert_array_equal(best.cost_seconds, [7.0])
        assert best.cost_note == ""
    assert "in proportion" in signals(is_whole=False)["nngp/-loo_nll@best,inits=4"].cost_note


def test_without_a_scan_there_is_no_signal():
    assert signals(lists=[None, None]) == {}


def test_scans_over_other_regularisers_are_refused():
    other = examples.scan() | {"diag_reg": [0.001, 0.1, 1.0]}
    with pytest.raises(ValueError, match="rows of nngp have 2 different lists of regularisers"):
        signals(lists=[examples.scan(), other])
