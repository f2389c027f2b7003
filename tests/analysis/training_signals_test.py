"""Signals of training runs: accuracies by epoch, what they cost, and runs that diverged."""

import numpy as np
import pytest

from nngp_tf.analysis.training_signals import training_source
from tests.analysis import examples

pytestmark = pytest.mark.fast


def source(*rows, **config):
    return training_source(examples.run(*rows, **config), "short")


def test_epochs_and_their_costs():
    seconds = {"1": 5.0, "2": 3.0, "3": 4.0}
    found = source(examples.training_row(0, {1: 0.5, 3: 0.7}, seconds=seconds))
    signals = {signal.name: signal for signal in found.signals}
    assert set(signals) == {
        "short/validation_accuracy_1",
        "short/validation_accuracy_3",
        "short/parameters",
        "short/multiply_adds",
    }
    last = signals["short/validation_accuracy_3"]
    np.testing.assert_array_equal(last.values, [0.7])
    # All that was spent until then, validated or not.
    np.testing.assert_array_equal(last.cost_seconds, [12.0])
    # 3 passes x 300 images x 3 epochs x 100.
    np.testing.assert_array_equal(last.cost_multiply_adds, [270_000])
    assert found.truth == last.name
    assert last.label == "validation accuracy after 3 epochs"
    assert signals["short/validation_accuracy_1"].label == "validation accuracy after 1 epoch"


def test_a_run_that_diverged_has_what_it_got_to():
    found = source(
        examples.training_row(0, {1: 0.5, 2: 0.7}),
        examples.training_row(1, {1: 0.4}, status="failed"),
        {"key": examples.key(2), "status": "failed", "validation_accuracy": {}},
    )
    signals = {signal.name: signal for signal in found.signals}
    assert found.num_failed == 2
    np.testing.assert_array_equal(signals["short/validation_accuracy_1"].values, [0.5, 0.4, np.nan])
    last = signals["short/validation_accuracy_2"]
    np.testing.assert_array_equal(last.values, [0.7, np.nan, np.nan])
    np.testing.assert_array_equal(last.cost_seconds, [6.0, np.nan, np.nan])


def test_costs_that_are_not_known():
    row = examples.training_row(0, {1: 0.5})
    del row["multiply_adds"], row["seconds_by_epoch"]
    first = source(row).signals[0]
    assert first.cost_multiply_adds is None
    assert first.cost_seconds is None
