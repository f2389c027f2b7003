"""The table of measures: each signal's row, its cost, and the difference from the reference."""

import math

import numpy as np
import pytest

from nngp_tf.analysis import metrics
from nngp_tf.analysis.bootstrap import Bootstrap
from nngp_tf.analysis.comparison import compare
from nngp_tf.analysis.inference_signals import inference_source
from nngp_tf.analysis.measures_table import table
from nngp_tf.analysis.table_signals import table_source
from tests.analysis import examples

pytestmark = pytest.mark.fast


@pytest.fixture
def comparison(tmp_path):
    """Thirty architectures whose NNGP accuracy is nearly the truth."""
    rng = np.random.default_rng(0)
    truth = np.round(rng.uniform(0.85, 0.95, 30), 4)
    bench = table_source(examples.table(tmp_path, truth, rng.random(30)), "bench")
    rows = [examples.nngp_row(i, [t + 0.005 * rng.normal(), 0.1, 0.1]) for i, t in enumerate(truth)]
    run = inference_source(examples.run(*rows), "nngp")
    shown = ["nngp/test_accuracy@best", "bench/validation_accuracy_4", "bench/parameters"]
    return compare([run, bench], signals=shown)


def test_rows(comparison):
    bootstrap = Bootstrap(30, num_resamples=200)
    found = table(comparison, bootstrap, (0.9,), 5, "bench/parameters", {"bench/parameters"})
    assert [row.name for row in found] == list(comparison.shown)
    nngp, training, parameters = found
    truth, score = comparison.truth.values, comparison["nngp/test_accuracy@best"].values
    assert nngp.num_architectures == 30
    assert nngp.kendall_tau.value == metrics.kendall_tau(truth, score).value
    assert nngp.pqetp[0].value == metrics.pqetp(truth, score, 0.9).value
    assert nngp.discovered.value == metrics.discovered_performance(truth, score, 5).value
    assert nngp.regret.value == pytest.approx(truth.max() - nngp.discovered.value)
    expected = nngp.kendall_tau.value - parameters.kendall_tau.value
    assert nngp.difference.value == pytest.approx(expected)
    assert nngp.difference.low > 0
    assert parameters.difference.value == 0
    # One training of the truth is 3 x 40,000 x 108 x 100 multiply-adds, a score 240,000.
    assert nngp.times_cheaper == pytest.approx(1_296_000_000 / 240_000)
    assert training.times_cheaper == pytest.approx(27)
    assert parameters.times_cheaper == math.inf
    assert (nngp.seconds, nngp.multiply_adds) == (10.0, 240_000)
    assert [row.is_chosen_here for row in found] == [False, False, True]


def test_k_and_the_reference_are_checked(comparison):
    bootstrap = Bootstrap(30, num_resamples=10)
    with pytest.raises(ValueError, match=r"number of architectures \(30\), got 31"):
        table(comparison, bootstrap, (0.9,), 31, "bench/parameters")
    with pytest.raises(ValueError, match="no signal 'bench/size': name one of"):
        table(comparison, bootstrap, (0.9,), 5, "bench/size")
