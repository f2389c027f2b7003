"""The scan as a value: choosing from it, and JSON."""

import copy
import json
import math
import pickle

import numpy as np
import pytest

from nngp_tf.gaussian_process import Best, Scan
from nngp_tf.gaussian_process.scan import CRITERIA, SMALLER_IS_BETTER, check_criterion

pytestmark = pytest.mark.fast

NAN = math.nan


@pytest.fixture
def scan():
    return Scan(
        diag_reg=np.array([1e-3, 1e-2, 1e-1, 1.0]),
        failed=np.array([True, False, False, False]),
        test_accuracy=np.array([NAN, 0.5, 0.75, 0.75]),
        test_nll=np.array([NAN, 3.0, -1.0, 2.0]),
        loo_accuracy=np.array([NAN, 0.625, 0.25, 0.5]),
        loo_nll=np.array([NAN, 1.0, 2.0, 0.5]),
        loo_error=np.array([NAN, 0.8, 0.4, 0.6]),
        log_marginal_likelihood=np.array([NAN, -30.0, -10.0, -20.0]),
    )


@pytest.mark.parametrize(
    ("criterion", "index", "value"),
    [
        ("test_accuracy", 2, 0.75),  # Of two equals, the smaller regulariser.
        ("test_nll", 2, -1.0),  # The smallest of the densities' negative logarithms,
        ("loo_accuracy", 1, 0.625),
        ("loo_nll", 3, 0.5),
        ("loo_error", 2, 0.4),
        ("log_marginal_likelihood", 2, -10.0),  # but the largest of their logarithms.
    ],
)
def test_best(scan, criterion, index, value):
    best = scan.best(criterion)
    assert best == value
    assert best.criterion == criterion
    assert best.index == index
    assert best.diag_reg == scan.diag_reg[index]
    for name in CRITERIA:
        assert getattr(best, name) == getattr(scan, name)[index]


def test_best_is_the_authors_score_unless_told_otherwise(scan):
    assert scan.best() == scan.best("test_accuracy") == 0.75


def test_best_without_test_labels_reads_the_test_accuracy_at_that_choice(scan):
    assert scan.best("loo_accuracy").test_accuracy == 0.5


def test_best_is_a_float(scan):
    best = scan.best()
    assert isinstance(best, float)
    assert f"{best:.2%}" == "75.00%"
    assert max([best, 0.5]) is best
    assert json.dumps(best) == "0.75"
    assert np.array([best]).dtype == np.float64


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
def test_best_survives_copies(scan, copied):
    best = copied(scan.best("loo_nll"))
    assert type(best) is Best
    assert vars(best) == vars(scan.best("loo_nll"))
    assert best == 0.5


@pytest.mark.parametrize("criterion", CRITERIA)
def test_nothing_is_best_where_all_failed(criterion):
    best = Scan.failing(np.array([0.0, 1.0])).best(criterion)
    assert math.isnan(best)
    assert best.index is None
    assert math.isnan(best.diag_reg)
    assert all(math.isnan(getattr(best, name)) for name in CRITERIA)


def test_nothing_is_best_by_a_score_that_is_missing(scan):
    scan.test_accuracy[:] = NAN
    assert math.isnan(scan.best("test_accuracy"))
    assert scan.best("test_accuracy").index is None
    assert scan.best("loo_accuracy").index == 1


def test_unknown_criterion(scan):
    message = "score must be one of test_accuracy, test_nll, .* got 'accuracy'"
    with pytest.raises(ValueError, match=message):
        scan.best("accuracy")
    with pytest.raises(ValueError, match=message):
        check_criterion("accuracy")
    # A field of the scan, but not a score.
    with pytest.raises(ValueError, match="got 'diag_reg'"):
        scan.best("diag_reg")
    assert check_criterion("loo_nll") == "loo_nll"
    assert set(SMALLER_IS_BETTER) < set(CRITERIA)


def test_failing():
    failing = Scan.failing(np.array([0.5, 1.0, 2.0]))
    assert failing.failed.tolist() == [True] * 3
    for name in CRITERIA:
        assert np.isnan(getattr(failing, name)).tolist() == [True] * 3
    # Each score has an array of its own.
    failing.test_nll[0] = 1.0
    assert np.isnan(failing.loo_nll[0])


def test_json_round_trip(scan):
    # Strictly JSON: neither NaN nor NumPy's types.
    text = json.dumps(scan.to_json(), allow_nan=False)
    assert json.loads(text)["test_accuracy"] == [None, 0.5, 0.75, 0.75]
    assert json.loads(text)["failed"] == [True, False, False, False]
    read = Scan.from_json(json.loads(text))
    for name, values in vars(scan).items():
        np.testing.assert_array_equal(getattr(read, name), values)
        assert getattr(read, name).dtype == values.dtype


def test_reads_what_an_older_version_wrote(scan):
    lists = scan.to_json()
    del lists["loo_error"]
    read = Scan.from_json(lists)
    assert np.isnan(read.loo_error).tolist() == [True] * 4
    np.testing.assert_array_equal(read.loo_nll, scan.loo_nll)


def test_json_keeps_every_digit(scan):
    scan.test_nll[:] = [0.1, 1 / 3, 1e-300, 123456789.123456789]
    read = Scan.from_json(json.loads(json.dumps(scan.to_json())))
    assert read.test_nll.tobytes() == scan.test_nll.tobytes()
