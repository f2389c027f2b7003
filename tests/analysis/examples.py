"""Rows, runs and tables as launchers and benchmarks write them, with invented numbers."""

import numpy as np

from nngp_tf.analysis.inference_signals import inference_source
from nngp_tf.analysis.table_signals import table_source
from nngp_tf.analysis.training_signals import training_source
from nngp_tf.data import benchmark_table
from nngp_tf.gaussian_process import Scan
from nngp_tf.gaussian_process.scan import CRITERIA
from nngp_tf.runs.reading import RunRecord
from nngp_tf.search_spaces import nasbench101

DIAG_REG = np.array([0.001, 0.1, 10.0])
SIZE = 40  # Of what `invented` invents.
# Of input -> convolution -> output: any cell does.
CELL = "010/001/000:input,conv1x1-bn-relu,output"
# In the order of their keys.
CELLS = sorted(nasbench101.enumerate_cells(0, 200), key=lambda cell: cell.key)
CONFIG = {
    "space": "nasbench101",
    "dataset": "digits",
    "num_train": 300,
    "num_test": 200,
    "num_inits": 4,
    "batch_norm": "one_update",
    "stem_filters": 16,
    "image_size": None,
    "calibration_size": None,
}


def key(number):
    return CELLS[number].key


def scan(**scores):
    """A scan whose scores are as given, [3] each, zero otherwise; it failed where one is NaN."""
    values = {name: np.array(scores.get(name, [0.0] * 3), float) for name in CRITERIA}
    failed = np.isnan(np.stack(list(values.values()))).any(axis=0)
    for column in values.values():
        column[failed] = np.nan
    return Scan(diag_reg=DIAG_REG, failed=failed, **values).to_json()


def nngp_row(number, test_accuracy, *, status="ok", seconds=10.0, **more):
    """The row of a run of NNGP inference; a test accuracy of None is a failure."""
    scores = [np.nan] * 3 if test_accuracy is None else test_accuracy
    return {
        "key": key(number),
        "architecture": CELL,
        "status": "failed" if test_accuracy is None else status,
        "seconds": seconds,
        "seconds_by_phase": {"kernel": 0.8 * seconds, "solve": 0.2 * seconds},
        "parameters": 1000 + number,
        "multiply_adds": 100,
        "num_inits": 4,
        "scan": scan(test_accuracy=scores, loo_accuracy=scores),
        **more,
    }


def training_row(number, accuracies, *, seconds=None, **more):
    """The row of a training run: accuracies by epoch."""
    return {
        "key": key(number),
        "architecture": CELL,
        "status": "ok",
        "parameters": 1000 + number,
        "multiply_adds": 100,
        "validation_accuracy": {str(epoch): value for epoch, value in accuracies.items()},
        "seconds_by_epoch": seconds or {str(e): 3.0 for e in range(1, max(accuracies) + 1)},
        **more,
    }


def run(*rows, **config):
    return RunRecord("runs/some", CONFIG | config, {}, rows)


def write_table(path, truth, short=None):
    """Write a table of the first architectures: the truth, and accuracies after 4 epochs."""
    lines = [
        "module_hash,adjacency,operations,trainable_parameters,multiply_adds,"
        "validation_accuracy_4,test_accuracy_108,training_seconds_108"
    ]
    for number, accuracy in enumerate(truth):
        early = accuracy / 2 if short is None else short[number]
        matrix, _, operations = CELLS[number].text.partition(":")
        lines.append(
            f'{key(number)},{matrix.replace("/", "")},"{operations}",{1000 + number},100,'
            f"{early},{accuracy},{1080 + number}"
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def table(tmp_path, truth, short=None):
    return benchmark_table.load(write_table(tmp_path / "table.csv", truth, short))


def invented(tmp_path, seed=0):
    """A run, a training run and a table; NNGP accuracy predicts best at diag_reg 0.1."""
    rng = np.random.default_rng(seed)
    truth = np.round(rng.uniform(0.84, 0.95, SIZE), 4)
    noise = rng.normal(size=(3, SIZE))

    def scores(i):
        return [0.1, truth[i] + 0.005 * noise[0, i], truth[i] + 0.1 * noise[1, i]]

    rows = [
        nngp_row(
            i,
            scores(i),
            scans_by_inits={"1": scan(test_accuracy=scores(i))},
            leave_one_out={
                "plain": {"scan": scan(loo_accuracy=scores(i)), "spectrum": {"log_mean": 1.0}}
            },
        )
        for i in range(SIZE)
    ]
    curves = [{1: 0.3 + 0.1 * noise[2, i], 2: truth[i] - 0.1} for i in range(SIZE)]
    trained = [training_row(i, curve) for i, curve in enumerate(curves)]
    return [
        inference_source(run(*rows), "nngp"),
        training_source(run(*trained), "short"),
        table_source(table(tmp_path, truth, rng.random(SIZE)), "bench"),
    ]
