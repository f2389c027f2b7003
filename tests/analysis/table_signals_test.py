"""Signals of a benchmark table: every accuracy it records, sizes, and costs."""

import numpy as np
import pytest
import scipy.stats

from nngp_tf.analysis.table_signals import table_source
from nngp_tf.data import benchmark_table
from tests.analysis import examples

pytestmark = pytest.mark.fast


def test_accuracies_sizes_and_costs(tmp_path):
    found = table_source(examples.table(tmp_path, [0.9, 0.8]), "bench")
    signals = {signal.name: signal for signal in found.signals}
    assert set(signals) == {
        "bench/validation_accuracy_4",
        "bench/test_accuracy_108",
        "bench/parameters",
        "bench/multiply_adds",
    }
    assert found.truth == "bench/test_accuracy_108"
    assert found.is_table
    early = signals["bench/validation_accuracy_4"]
    np.testing.assert_array_equal(early.values, [0.45, 0.4])
    assert early.label == "validation accuracy after 4 epochs"
    # 3 passes x 40,000 images x 4 epochs x 100.
    np.testing.assert_array_equal(early.cost_multiply_adds, [48_000_000] * 2)
    # 4 of 108 epochs of 1,080 seconds.
    np.testing.assert_allclose(early.cost_seconds, [40.0, 1081 * 4 / 108])
    assert early.cost_note == "seconds of 108 epochs in proportion"
    truth = signals["bench/test_accuracy_108"]
    np.testing.assert_array_equal(truth.cost_seconds, [1080, 1081])
    assert truth.cost_note == ""
    np.testing.assert_array_equal(signals["bench/parameters"].values, [1000, 1001])
    assert {name for name, signal in signals.items() if signal.is_shown} == {
        "bench/validation_accuracy_4",
        "bench/parameters",
        "bench/multiply_adds",
    }


def test_the_shared_table_predicts_as_its_description_says(shared_data):
    # data/README.md gives these over 30,001 architectures, of which the file holds 20,001: the
    # standard error of the difference is about 0.003.
    table = benchmark_table.load(shared_data / "nasbench101_20k.csv.gz")
    signals = {signal.name: signal for signal in table_source(table, "bench").signals}
    truth = signals["bench/test_accuracy_108"].values
    for name, expected in (
        ("bench/validation_accuracy_4", 0.318),
        ("bench/validation_accuracy_12", 0.444),
        ("bench/validation_accuracy_36", 0.690),
        ("bench/parameters", 0.303),
    ):
        tau = scipy.stats.kendalltau(truth, signals[name].values).statistic
        np.testing.assert_allclose(tau, expected, atol=0.01, err_msg=name)
