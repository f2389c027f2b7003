"""Sources joined by architecture: what is compared, what is left out, and that it is counted."""

import numpy as np
import pytest

from nngp_tf.analysis.comparison import compare
from nngp_tf.analysis.inference_signals import inference_source
from nngp_tf.analysis.table_signals import table_source
from nngp_tf.analysis.training_signals import training_source
from tests.analysis import examples

pytestmark = pytest.mark.fast


def nngp(accuracies, name="nngp"):
    """A run of some architectures: test accuracy by number, None where it failed."""
    rows = [
        examples.nngp_row(number, None if accuracy is None else [accuracy, 0.0, 0.0])
        for number, accuracy in accuracies.items()
    ]
    return inference_source(examples.run(*rows), name)


def training(curves, name):
    rows = [examples.training_row(number, curve) for number, curve in curves.items()]
    return training_source(examples.run(*rows), name)


@pytest.fixture
def bench(tmp_path):
    """A table of six architectures."""
    truth = [0.80, 0.81, 0.82, 0.83, 0.84, 0.85]
    return table_source(examples.table(tmp_path, truth), "bench")


def test_rows_are_joined_by_key_in_any_order(bench):
    found = compare([nngp({4: 0.4, 0: 0.1, 2: 0.2}), bench])
    assert found.keys == tuple(map(examples.key, (4, 0, 2)))
    assert found.truth.name == "bench/test_accuracy_108"
    np.testing.assert_array_equal(found.truth.values, [0.84, 0.80, 0.82])
    np.testing.assert_array_equal(found["nngp/test_accuracy@best"].values, [0.4, 0.1, 0.2])
    np.testing.assert_array_equal(found["bench/parameters"].values, [1004, 1000, 1002])
    np.testing.assert_array_equal(found.truth.cost_seconds, [1084, 1080, 1082])
    assert found.coverage.lines() == [
        "nngp: 3 architectures, 0 of them failed",
        "bench: 6 architectures, 0 of them failed",
        "3 are known to every source, 3 of them have a known truth, and 3 are compared",
    ]


def test_what_is_shown_by_default(bench):
    found = compare([nngp({0: 0.1, 1: 0.2}), bench])
    # The truth's own training and the run's repeated sizes are left out.
    assert [name for name in found.shown if name.startswith("bench")] == [
        "bench/validation_accuracy_4",
        "bench/parameters",
        "bench/multiply_adds",
    ]
    assert found.shown[0] == "nngp/test_accuracy@best"
    assert "nngp/parameters" not in found.shown


def test_failed_and_unknown_architectures_are_counted(bench):
    found = compare([nngp({0: 0.1, 1: None, 2: 0.3, 3: 0.2, 9: 0.5}), bench])
    assert found.keys == tuple(map(examples.key, (0, 2, 3)))
    assert found.coverage.num_known == 4
    assert found.coverage.num_compared == 3
    assert found.coverage.missing["nngp/test_accuracy@best"] == 1
    assert "nngp: 5 architectures, 1 of them failed" in found.coverage.lines()
    assert (
        "nngp/test_accuracy@best has no value for 1 of those with a known truth"
        in found.coverage.lines()
    )


def test_signals_that_are_not_shown_do_not_count(bench):
    found = compare([nngp({0: 0.1, 1: None, 2: 0.3}), bench], signals=["bench/*4", "*/parameters"])
    assert found.shown == ("bench/validation_accuracy_4", "nngp/parameters", "bench/parameters")
    assert len(found) == 3


def test_each_signal_on_its_own_architectures(bench):
    runs = [nngp({0: 0.1, 1: 0.2, 2: 0.3}), nngp({2: 0.5, 3: 0.6}, "other")]
    common = compare([nngp({0: 0.1, 1: 0.2, 2: 0.3}), nngp({1: 0.5, 2: 0.6}, "other"), bench])
    assert common.keys == tuple(map(examples.key, (1, 2)))
    each = compare([*runs, bench], architectures="each")
    # Those that a table alone knows are in no run.
    assert each.keys == tuple(map(examples.key, range(4)))
    np.testing.assert_array_equal(
        each["other/test_accuracy@best"].values, [np.nan, np.nan, 0.5, 0.6]
    )
    assert each.coverage.missing["nngp/test_accuracy@best"] == 1


def test_the_truth_may_be_a_longer_training():
    curve = {number: {1: 0.1 * number, 2: 0.2 * number} for number in range(3)}
    longer = {number: {4: 0.1, 9: 0.3 * number} for number in range(3)}
    found = compare([training(curve, "short"), training(longer, "long")])
    assert found.truth.name == "long/validation_accuracy_9"
    assert [name for name in found.shown if "validation" in name] == [
        "short/validation_accuracy_1",
        "short/validation_accuracy_2",
        "long/validation_accuracy_4",
    ]
    named = compare(
        [training(curve, "short"), training(longer, "long")], "long/validation_accuracy_4"
    )
    assert named.truth.name == "long/validation_accuracy_4"
    # What trained longer than the truth does not predict it.
    assert "long/validation_accuracy_9" not in named.shown


def test_halves_are_disjoint_and_do_not_depend_on_the_order(bench):
    accuracies = {number: 0.1 * number for number in range(6)}
    first = compare([nngp(accuracies), bench]).halves(seed=0)
    again = compare([nngp(dict(reversed(accuracies.items()))), bench]).halves(seed=0)
    assert [len(half) for half in first] == [3, 3]
    assert not set(first[0].keys) & set(first[1].keys)
    assert [set(half.keys) for half in first] == [set(half.keys) for half in again]
    expected = {examples.key(number): value for number, value in accuracies.items()}
    for half in first:
        np.testing.assert_allclose(
            half["nngp/test_accuracy@best"].values, [expected[key] for key in half.keys]
        )


def test_families(bench):
    families = compare([nngp({0: 0.1, 1: 0.2}), bench]).families("test_accuracy@fixed")
    (members,) = families.values()
    assert [member.setting for member in members] == [0.001, 0.1, 10.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"truth": "bench/test"},
            "no signal 'bench/test' for the truth: name one of nngp/test_acc",
        ),
        ({"signals": ["bench/loss*"]}, r"no signal 'bench/loss\*': name one of nngp/"),
        ({"architectures": "all"}, "architectures must be 'common' or 'each', got 'all'"),
    ],
)
def test_bad_options(bench, options, message):
    with pytest.raises(ValueError, match=message):
        compare([nngp({0: 0.1, 1: 0.2}), bench], **options)


def test_too_little_to_compare(bench):
    with pytest.raises(ValueError, match="nothing to compare: name runs with --run"):
        compare([])
    with pytest.raises(ValueError, match="truth is not known: name a table"):
        compare([nngp({0: 0.1, 1: 0.2})])
    with pytest.raises(
        ValueError, match="at least 2 architectures are needed, got 1: nngp: 3 arch"
    ):
        compare([nngp({0: 0.1, 8: 0.2, 9: 0.3}), bench])
