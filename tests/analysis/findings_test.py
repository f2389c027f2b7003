"""Findings: every sentence, word for word, from a study of two signals."""

import dataclasses
import math

import numpy as np
import pytest

from nngp_tf.analysis.choice import Choice
from nngp_tf.analysis.combination import CombinationRow
from nngp_tf.analysis.comparison import Comparison, Coverage
from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.findings import findings
from nngp_tf.analysis.measures_table import MeasureRow
from nngp_tf.analysis.reduction import ReductionRow
from nngp_tf.analysis.signals import NNGP, TRAINING, Signal
from nngp_tf.analysis.study import PartialRow, Study

pytestmark = pytest.mark.fast

SCORE, EPOCH = "nngp/score", "short/epoch"
NOWHERE = Estimate(math.nan)
COVERAGE = Coverage((), 4, 4, 4, {}, "common")
SIGNALS = (
    Signal(SCORE, "the score", np.arange(4.0), NNGP),
    Signal(EPOCH, "the epoch", np.arange(4.0), TRAINING),
)
COMPARISON = Comparison(
    tuple("abcd"),
    Signal("table/truth", "the truth", np.arange(4.0), TRAINING),
    SIGNALS,
    (SCORE, EPOCH),
    COVERAGE,
)


def row(name, kind, tau, **more):
    values = {
        "name": name,
        "label": "",
        "kind": kind,
        "num_architectures": 4,
        "kendall_tau": Estimate(tau, tau - 0.1, tau + 0.1),
        "pearson": NOWHERE,
        "spearman": NOWHERE,
        "pqetp": (),
        "discovered": NOWHERE,
        "regret": NOWHERE,
        "difference": Estimate(0.0),
        "seconds": None,
        "multiply_adds": None,
        "times_cheaper": None,
        "cost_note": "",
        "is_chosen_here": False,
    }
    return MeasureRow(**values | more)


def study(rows, **more):
    values = {
        "whole": COMPARISON,
        "reported": COMPARISON,
        "is_split": False,
        "choice": Choice((), None, math.nan, 0, 4),
        "confidence": 0.95,
        "k": 1,
        "thresholds": (),
        "reference": SCORE,
        "score": SCORE,
        "rows": rows,
        "regularisers": [],
        "initialisations": [],
        "reductions": {},
        "combinations": [],
        "partials": [],
        "known": [],
    }
    return Study(**values | more)


def kept(fraction, **more):
    values = {
        "first": SCORE,
        "second": EPOCH,
        "fraction": fraction,
        "num_survivors": 1,
        "num_picked": 1,
        "found": Estimate(0.9, 0.8, 0.95),
        "found_at_random": Estimate(0.7),
        "best_surviving": NOWHERE,
        "mean_surviving": NOWHERE,
        "survivors": np.zeros(1),
        "multiply_adds": None,
        "seconds": None,
        "share_of_cost": None,
    }
    return ReductionRow(**values | more)


def test_what_is_compared_and_the_best_signal():
    rows = [row(SCORE, NNGP, 0.25), row(EPOCH, TRAINING, 0.5, times_cheaper=1234.5)]
    assert findings(study(rows)) == [
        "4 architectures, truth: the truth; intervals are 95% bootstrap intervals over "
        "architectures",
        "best signal of all: the epoch, Kendall's tau 0.500 [0.400, 0.600], 1.23e+03 times cheaper "
        "than the truth",
        "best NNGP score of the 1 shown: the score, Kendall's tau 0.250 [0.150, 0.350]",
    ]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"times_cheaper": math.inf}, ", free"),
        ({"is_chosen_here": True}, ", chosen on these data and so optimistic"),
    ],
)
def test_what_is_said_of_a_signal(more, words):
    _, best, _ = findings(study([row(SCORE, NNGP, 0.25, **more)]))
    assert best == f"best signal of all: the score, Kendall's tau 0.250 [0.150, 0.350]{words}"


def test_signals_without_a_tau_are_not_the_best():
    rows = [row(SCORE, NNGP, math.nan), row(EPOCH, TRAINING, -0.5)]
    _, best = findings(study(rows))
    assert best.startswith("best signal of all: the epoch")
    assert len(findings(study(rows[:1]))) == 1


@pytest.mark.parametrize(
    ("difference", "word"),
    [
        (Estimate(0.1, 0.05, 0.2), "better"),
        (Estimate(-0.1, -0.2, -0.05), "worse"),
        (Estimate(0.1, -0.05, 0.2), "not surely better"),
        (Estimate(-0.1, -0.2, 0.0), "not surely worse"),
        (Estimate(0.1), "better"),
    ],
)
def test_a_difference_is_hedged_where_its_interval_holds_zero(difference, word):
    rows = [row(SCORE, NNGP, 0.25, difference=difference)]
    last = findings(study(rows, reference=EPOCH))[-1]
    assert last == f"it is {word} than the epoch: difference {difference}"


def test_what_one_half_chose():
    choice = Choice((), SCORE, 0.75, 1234, 5678)
    last = findings(study([row(SCORE, NNGP, 0.25)], is_split=True, choice=choice))[-1]
    assert last == (
        "chosen on the other half (5,678 architectures) among 1234 NNGP scores: the score, with a "
        "tau of 0.750 there and 0.250 [0.150, 0.350] here"
    )


def test_the_reduction_nearest_to_a_quarter_is_told():
    rows = [kept(1.0), kept(0.3, share_of_cost=0.125), kept(0.15)]
    assert findings(study([], reductions={EPOCH: rows}))[1:] == [
        "reduce: of the best 30% by the score, the epoch finds 0.9000 [0.8000, 0.9500] at 12% of "
        "the cost; of as many at random 0.7000"
    ]


def test_partial_correlations_given_one_signal_are_told():
    partials = [
        PartialRow(SCORE, (EPOCH,), Estimate(0.5)),
        PartialRow(SCORE, (EPOCH, SCORE), Estimate(0.25)),
    ]
    assert findings(study([], partials=partials))[1:] == [
        "improve: partial rank correlation of the score with the truth given the epoch: 0.500"
    ]


def test_combinations_with_and_without_training():
    rows = [row(SCORE, NNGP, 0.25), row(EPOCH, TRAINING, 0.5)]
    gains = {SCORE: Estimate(0.125), EPOCH: Estimate(-0.25)}
    combinations = [
        CombinationRow((SCORE, EPOCH), "regression", Estimate(0.75), gains),
        CombinationRow((SCORE, SCORE), "rank average", Estimate(0.25), {SCORE: Estimate(0.0)}),
        CombinationRow((SCORE,), "rank average", NOWHERE, {}),
    ]
    *_, untrained, best = findings(study(rows, combinations=combinations))
    assert untrained == (
        "improve: the best combination without training is the rank average of the score, the "
        "score: tau 0.250, 0.000 over the score"
    )
    assert best == (
        "improve: the best combination of all is the regression of the score, the epoch: "
        "tau 0.750, 0.125 over the score; -0.250 over the epoch"
    )


def test_a_label_that_repeats_is_told_with_its_source():
    signals = tuple(dataclasses.replace(signal, label="accuracy") for signal in SIGNALS)
    reported = dataclasses.replace(COMPARISON, signals=signals)
    _, best, *_ = findings(study([row(SCORE, NNGP, 0.25)], reported=reported))
    assert best.startswith("best signal of all: accuracy (nngp), ")
