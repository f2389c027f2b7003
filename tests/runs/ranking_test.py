"""The table at the end of a run, and its agreement with the truth."""

import numpy as np
import pytest
import scipy.stats

from nngp_tf.data import benchmark_table
from nngp_tf.gaussian_process import Scan
from nngp_tf.runs import ranking
from nngp_tf.search_spaces import nasbench101

pytestmark = pytest.mark.fast

CELLS = list(nasbench101.enumerate_cells(0, 40))
HASHES = [cell.key for cell in CELLS]


def row(index, accuracy, nll=0.0, seconds=1.0):
    """The row of architecture `index`; an accuracy of None is a failure."""
    scan = Scan.failing(np.array([0.1, 1.0]))
    if accuracy is not None:
        scan.failed[1] = False
        scan.test_accuracy[1] = accuracy
        scan.test_nll[1] = nll
    return {
        "key": HASHES[index],
        "architecture": f"architecture {index}",
        "status": "failed" if accuracy is None else "ok",
        "seconds": seconds,
        "parameters": 1000 * (index + 1),
        "scan": scan.to_json(),
    }


@pytest.fixture
def truth(tmp_path):
    """A table of the first five of the six architectures."""
    lines = ["module_hash,adjacency,operations,trainable_parameters,test_accuracy_108"]
    for index, accuracy in enumerate([0.91, 0.92, 0.93, 0.94, 0.95]):
        matrix, _, operations = CELLS[index].text.partition(":")
        lines.append(f'{HASHES[index]},{matrix.replace("/", "")},"{operations}",1,{accuracy}')
    (tmp_path / "truth.csv").write_text("\n".join(lines) + "\n")
    return benchmark_table.load(tmp_path / "truth.csv")


def ranked(text):
    """The architectures of the table, in its order."""
    return [
        int(line.split()[-1])
        for line in text.splitlines()
        if line.split()[-2:-1] == ["architecture"]
    ]


def test_best_first():
    text = ranking.report([row(0, 0.25), row(1, 0.75), row(2, 0.5)], "test_accuracy")
    assert ranked(text) == [1, 2, 0]
    header, first, *_, seconds = text.splitlines()
    assert header.split() == ["test_accuracy", "parameters", "trained", "architecture"]
    assert first.split() == ["1", "0.7500", "2,000", "architecture", "1"]
    # Columns line up, whatever is in them.
    assert header.index("architecture") == first.index("architecture")
    assert seconds.startswith("3 architectures (0 failed)")


def test_smaller_is_better_for_negative_log_densities():
    rows = [row(0, 0.5, nll=3.0), row(1, 0.5, nll=-2.0), row(2, 0.5, nll=1.0)]
    assert ranked(ranking.report(rows, "test_nll")) == [1, 2, 0]


@pytest.mark.parametrize("criterion", ["test_accuracy", "test_nll"])
def test_failed_ones_are_last_and_counted(criterion):
    rows = [row(0, None), row(1, 0.5, nll=1.0), row(2, None), row(3, 0.5, nll=1.0)]
    text = ranking.report(rows, criterion)
    assert ranked(text) == [1, 3, 0, 2]
    assert "4 architectures (2 failed)" in text
    assert "nan" in text.splitlines()[3]


def test_equals_stay_in_their_order():
    rows = [row(i, 0.5 if i % 2 else 0.25) for i in range(40)]
    text = ranking.report(rows, "test_accuracy", num_best=40)
    assert ranked(text) == [*range(1, 40, 2), *range(0, 40, 2)]


def test_number_of_lines():
    rows = [row(i, 0.1 * i) for i in range(6)]
    assert ranked(ranking.report(rows, "test_accuracy", num_best=2)) == [5, 4]
    assert len(ranked(ranking.report(rows, "test_accuracy"))) == 6


def test_seconds():
    text = ranking.report([row(0, 0.5, seconds=s) for s in (1.0, 2.0, 6.0)], "test_accuracy")
    assert text.splitlines()[-1] == (
        "3 architectures (0 failed), 3.00 s each on average, 2.00 s in the median"
    )


def test_agreement_with_the_truth(truth):
    accuracies = [0.3, 0.2, 0.5, 0.4, 0.6, 0.7]
    rows = [row(i, a) for i, a in enumerate(accuracies)]
    text = ranking.report(rows, "test_accuracy", truth)
    # The sixth is not in the table of truth.
    tau = scipy.stats.kendalltau([0.91, 0.92, 0.93, 0.94, 0.95], accuracies[:5]).statistic
    line = text.splitlines()[-1]
    assert line.startswith(
        f"Kendall's tau of test_accuracy with the trained test accuracy: {tau:.3f} ["
    )
    assert line.endswith("(95% bootstrap interval, 5 architectures)")
    first, second = text.splitlines()[1:3]
    assert first.split() == ["1", "0.7000", "6,000", "architecture", "5"]
    assert second.split() == ["2", "0.6000", "5,000", "0.9500", "architecture", "4"]
    assert first.index("architecture") == second.index("architecture")


def test_agreement_is_positive_where_small_is_good_and_says_so(truth):
    rows = [row(i, 0.5, nll=-i) for i in range(5)]
    line = ranking.report(rows, "test_nll", truth).splitlines()[-1]
    assert line.startswith("Kendall's tau of -test_nll with the trained test accuracy: 1.000 [")


def test_failed_ones_play_no_part_in_the_agreement(truth):
    rows = [row(0, 0.2), row(1, None), row(2, 0.3), row(3, 0.4)]
    line = ranking.report(rows, "test_accuracy", truth).splitlines()[-1]
    assert line.endswith("1.000 [1.000, 1.000] (95% bootstrap interval, 3 architectures)")


@pytest.mark.parametrize(
    ("rows", "known"),
    [
        ([row(5, 0.5)], 0),
        ([row(0, 0.5), row(5, 0.5)], 1),
        ([row(0, 0.5), row(1, None), row(5, 0.5)], 1),
    ],
)
def test_too_little_truth(truth, rows, known):
    line = ranking.report(rows, "test_accuracy", truth).splitlines()[-1]
    assert line == (f"truth is known for {known} of {len(rows)} architectures: too few to compare")
