"""Rows of architectures at which an exception was raised."""

import json
import math

import pytest
import tensorflow as tf

from nngp_tf.gaussian_process import DIAG_REGS
from nngp_tf.models import Nasbench101Network
from nngp_tf.runs import failures, inference
from nngp_tf.runs.errors import TooManyFailuresError
from tests import golden

pytestmark = pytest.mark.fast

NETWORK = Nasbench101Network(golden.RESNET, stem_filters=4)


def failed_row():
    try:
        raise tf.errors.InvalidArgumentError(None, None, "not finite\nand more")
    except tf.errors.InvalidArgumentError as error:
        return failures.failed_row(NETWORK, {"num_inits": 2}, error, 1.5)


def test_a_failed_row_has_the_traceback_and_what_other_rows_have():
    row = failed_row()
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert (row["key"], row["architecture"]) == (NETWORK.key, NETWORK.text)
    assert (row["status"], row["seconds"], row["num_inits"]) == ("failed", 1.5, 2)
    assert row["parameters"] == NETWORK.trainable_parameters
    assert row["error"] == "InvalidArgumentError: not finite"
    assert row["traceback"].startswith("Traceback (most recent call last):\n")
    assert "in failed_row" in row["traceback"]
    assert row["scan"]["diag_reg"] == DIAG_REGS.tolist()
    assert row["scan"]["failed"] == [True] * len(DIAG_REGS)
    for criterion in ("test_accuracy", "loo_nll", "log_marginal_likelihood"):
        assert math.isnan(inference.score(row, criterion))


def test_a_series_ends_a_run():
    series, row = failures.Series(), failed_row()
    for _ in range(3):
        for _ in range(failures.MOST_IN_A_ROW - 1):
            series.add(row)
        # A kernel that fails at every regulariser is a result.
        series.add({"key": "a", "status": "failed", "error": "no regulariser"})
    for _ in range(failures.MOST_IN_A_ROW - 1):
        series.add(row)
    with pytest.raises(TooManyFailuresError, match="20 architectures failed one after"):
        series.add(row)
