"""One score from many: fitted to other architectures only."""

import dataclasses

import numpy as np
import pytest

from nngp_tf.analysis import metrics
from nngp_tf.analysis.comparison import compare
from nngp_tf.analysis.profile import add_profiles
from nngp_tf.analysis.signals import NNGP, SIZE, STRUCTURE, Signal, Source

pytestmark = pytest.mark.fast

NUM = 120


def comparison(seed=0, informative=True, size=NUM):
    """Two parts of a profile whose difference is the truth, or says nothing of it."""
    rng = np.random.default_rng(seed)
    level, truth, noise = rng.normal(size=(3, size))
    known = truth if informative else noise
    parts = {"first": level + 0.3 * known, "second": level}
    signals = [
        Signal(f"nngp/{name}", name, values, NNGP, is_shown=False, in_profile=True)
        for name, values in parts.items()
    ]
    failing = np.where(np.arange(size) == 3, np.nan, truth)
    signals += [
        Signal("nngp/failing", "failing", failing, NNGP, is_shown=False, in_profile=True),
        Signal("nngp/other", "other", level, NNGP),
        Signal("nngp/truth", "truth", truth, NNGP, is_shown=False),
    ]
    keys = tuple(f"{number:032x}" for number in range(size))
    return compare([Source("nngp", "run", keys, tuple(signals))], truth="nngp/truth")


def tau(found):
    return metrics.kendall_tau(found.truth.values, found["nngp/profile"].values).value


def test_predicts_what_no_part_does():
    whole = comparison()
    alone = metrics.kendall_tau(whole.truth.values, whole["nngp/first"].values).value
    found = add_profiles(whole, None, seed=0)
    assert tau(found) > 0.7 > 0.4 > alone
    assert found.shown == ("nngp/other", "nngp/profile", "nngp/profile_and_size")
    signal = found["nngp/profile"]
    # The part that failed somewhere is left out.
    assert signal.label == "profile (2 numbers, cross-validated)"
    assert not signal.in_profile


def test_does_not_see_the_truth_of_those_it_predicts():
    taus = [tau(add_profiles(comparison(s, informative=False), None, s)) for s in range(5)]
    assert abs(np.mean(taus)) < 0.15


def test_is_fitted_to_the_other_half():
    fitted, reported = comparison().halves(seed=0)
    found = add_profiles(reported, fitted, seed=0)
    assert tau(found) > 0.7
    assert "fitted to the other half" in found["nngp/profile"].label
    # Whatever the truth of those predicted is.
    truth = dataclasses.replace(reported.truth, values=reported.truth.values[::-1])
    again = add_profiles(dataclasses.replace(reported, truth=truth), fitted, seed=0)
    np.testing.assert_array_equal(again["nngp/profile"].values, found["nngp/profile"].values)


def test_size_helps_where_it_counts():
    whole = comparison(informative=False)
    size = Signal("nngp/parameters", "parameters", np.exp(whole.truth.values), SIZE)
    with_size = dataclasses.replace(whole, signals=(*whole.signals, size))
    found = add_profiles(with_size, None, seed=0)
    assert abs(tau(found)) < 0.3
    values = found["nngp/profile_and_size"].values
    assert metrics.kendall_tau(found.truth.values, values).value > 0.8
    assert found["nngp/profile_and_size"].label == "profile and size (3 numbers, cross-validated)"


def test_beside_what_can_be_read_off_the_architecture():
    whole = comparison()
    rng = np.random.default_rng(1)
    half = whole.truth.values + rng.normal(size=NUM)
    structure = Signal("nngp/num_edges", "num edges", half, STRUCTURE, is_shown=False)
    parameters = Signal("nngp/parameters", "parameters", rng.normal(size=NUM), SIZE)
    known = dataclasses.replace(whole, signals=(*whole.signals, parameters, structure))
    found = add_profiles(known, None, seed=0)
    assert found.shown[1:] == (
        "nngp/profile",
        "nngp/profile_and_size",
        "nngp/profile_size_and_structure",
        "nngp/size_and_structure",
    )
    taus = {
        name: metrics.kendall_tau(found.truth.values, found[name].values).value
        for name in found.shown
    }
    assert taus["nngp/size_and_structure"] < taus["nngp/profile"]
    assert taus["nngp/profile_and_size"] < taus["nngp/profile_size_and_structure"]
    assert found["nngp/profile_size_and_structure"].kind == NNGP
    assert found["nngp/size_and_structure"].kind == STRUCTURE
    assert found["nngp/size_and_structure"].label.startswith("size and structure (2 numbers")


def test_without_profiles_nothing_changes():
    whole = comparison()
    bare = dataclasses.replace(
        whole, signals=tuple(dataclasses.replace(s, in_profile=False) for s in whole.signals)
    )
    assert add_profiles(bare, None, seed=0) is bare
    few = comparison(size=9)
    assert add_profiles(few, None, seed=0) is few
