"""Rows of architectures at which an exception was raised."""

import json
import math

import pytest
import tensorflow as tf

from nngp_tf.gaussian_process import DIAG_REGS
from nngp_tf.models import Nasbench101Network
from nngp_tf.runs import failures, inference
from nngp_tf.runs.errors import LostWorkerError, TooManyFailuresError
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


def test_of_a_graphs_error_the_line_counts_that_says_what_is_wrong():
    """The text is of TensorFlow 2.21, shortened."""
    error = tf.errors.InvalidArgumentError(
        None,
        None,
        "Graph execution error:\n\nDetected at node StatelessRandomNormalV2 defined at (most "
        'recent call last):\n  File "mnas_layer.py", line 77, in prepare\n\n  File '
        '"mnas_layer.py", line 142, in _draw\n\nShape [999,999,48] would have more than 2**63 - 1 '
        "elements\n\t [[{{node stateless_random_normal/StatelessRandomNormalV2}}]] [Op:__infer]",
    )
    row = failures.failed_row(NETWORK, {}, error, 1.0)
    reason = "Shape [999,999,48] would have more than 2**63 - 1 elements"
    assert row["error"] == f"InvalidArgumentError: {reason}"


GONE = """Graph execution error:

Detected at node CollectiveReduceV2 defined at (most recent call last):
Collective ops is aborted by: recvmsg:Connection reset by peer
Additional GRPC error information from remote target /job:worker/replica:0/task:1:
"""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (tf.errors.UnavailableError(None, None, GONE), "recvmsg:Connection reset by peer"),
        (tf.errors.InternalError(None, None, GONE), "recvmsg:Connection reset by peer"),
        (tf.errors.AbortedError(None, None, "preempted\nnow"), "preempted"),
        (tf.errors.DeadlineExceededError(None, None, ""), ""),
    ],
)
def test_a_lost_worker_is_no_architectures_fault(error, reason):
    with pytest.raises(LostWorkerError) as raised:
        failures.check(error)
    assert str(raised.value) == (
        f"a worker was lost ({type(error).__name__}: {reason}): the rows written so far are kept, "
        "start all workers again with the same command to go on"
    )
    assert raised.value.__cause__ is error


def test_nor_is_what_the_system_refuses():
    with pytest.raises(OSError, match="No space left"):
        failures.check(OSError(28, "No space left on device"))


@pytest.mark.parametrize("kind", [tf.errors.ResourceExhaustedError, tf.errors.InternalError])
def test_other_errors_are(kind):
    failures.check(kind(None, None, "an allocation failed"))
    failures.check(ValueError("broken"))


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
