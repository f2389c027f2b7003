"""The choice of a score: what it is among, and what it leaves out."""

import math

import numpy as np
import pytest

from nngp_tf.analysis.choice import choose
from nngp_tf.analysis.comparison import Comparison, Coverage
from nngp_tf.analysis.signals import NNGP, SIZE, Signal

pytestmark = pytest.mark.fast

TRUTH = np.array([0.1, 0.2, 0.3, 0.4])
IN_ORDER = [1.0, 2.0, 3.0, 4.0]
ONE_SWAP = [1.0, 2.0, 4.0, 3.0]  # Tau 2/3: five pairs of six agree.
REVERSED = [4.0, 3.0, 2.0, 1.0]


def signal(name, values, kind=NNGP, **more):
    return Signal(name, name, np.array(values), kind, **more)


def fixed(criterion, setting, values):
    family = f"nngp/{criterion}@fixed"
    return signal(f"nngp/{criterion}@{setting:g}", values, family=family, setting=setting)


def comparison(*signals, shown=()):
    keys = tuple("abcd")
    coverage = Coverage((), 4, 4, 4, {}, "common")
    return Comparison(keys, signal("table/truth", TRUTH, SIZE), signals, shown, coverage)


def test_each_criterion_gets_its_best_regulariser_and_the_best_of_all_is_chosen():
    found = choose(
        comparison(
            fixed("test_accuracy", 0.1, REVERSED),
            fixed("test_accuracy", 1.0, ONE_SWAP),
            fixed("loo_accuracy", 0.1, IN_ORDER),
            fixed("loo_accuracy", 1.0, ONE_SWAP),
            signal("nngp/test_accuracy@best", REVERSED),
            signal("table/parameters", IN_ORDER, SIZE),
            shown=("nngp/test_accuracy@best", "table/parameters"),
        )
    )
    assert found.fixed == ("nngp/test_accuracy@1", "nngp/loo_accuracy@0.1")
    assert (found.best, found.tau) == ("nngp/loo_accuracy@0.1", 1.0)
    # Four at single regularisers and one shown; parameters are no score of a kernel.
    assert (found.num_candidates, found.num_architectures) == (5, 4)


def test_other_criteria_have_no_best_regulariser():
    found = choose(comparison(fixed("-loo_nll", 0.1, IN_ORDER)))
    assert (found.fixed, found.num_candidates) == ((), 0)


def test_what_lacks_a_value_or_is_equal_throughout_is_not_chosen():
    found = choose(
        comparison(
            fixed("test_accuracy", 0.1, [1.0, 2.0, math.nan, 4.0]),
            fixed("test_accuracy", 1.0, [5.0] * 4),
            fixed("test_accuracy", 10.0, REVERSED),
            signal("nngp/loo_nll@best", [*IN_ORDER[:3], math.inf]),
            shown=("nngp/loo_nll@best",),
        )
    )
    assert found.fixed == (found.best,) == ("nngp/test_accuracy@10",)
    assert found.tau == -1.0
    assert found.num_candidates == 4


def test_without_fixing_regularisers_the_choice_is_among_what_is_shown():
    given = comparison(
        fixed("test_accuracy", 0.1, IN_ORDER),
        signal("nngp/test_accuracy@best", ONE_SWAP),
        shown=("nngp/test_accuracy@best",),
    )
    found = choose(given, fixes_regularisers=False)
    assert (found.fixed, found.best, found.num_candidates) == ((), "nngp/test_accuracy@best", 1)
    assert found.tau == pytest.approx(2 / 3)


def test_a_regulariser_that_is_shown_counts_once():
    given = comparison(
        fixed("test_accuracy", 0.1, IN_ORDER),
        fixed("test_accuracy", 1.0, REVERSED),
        shown=("nngp/test_accuracy@0.1",),
    )
    assert choose(given).num_candidates == 2


def test_without_a_score_of_a_kernel_nothing_is_chosen():
    found = choose(
        comparison(signal("table/parameters", IN_ORDER, SIZE), shown=("table/parameters",))
    )
    assert found.best is None
    assert math.isnan(found.tau)
