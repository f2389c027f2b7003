"""Sources by path: what kind of run it is, and what it is called."""

import pytest

from nngp_tf.analysis import sources
from nngp_tf.runs.store import RunDirectory
from tests.analysis import examples

pytestmark = pytest.mark.fast


def write_run(path, *rows):
    with RunDirectory(path, examples.CONFIG) as directory:
        for row in rows:
            directory.append(row)
    return str(path)


@pytest.fixture
def paths(tmp_path):
    """An NNGP run, a training run and a table."""
    nngp = write_run(tmp_path / "nngp.1", examples.nngp_row(0, [0.1, 0.2, 0.3]))
    short = write_run(tmp_path / "short", examples.training_row(0, {1: 0.5}))
    return nngp, short, str(examples.write_table(tmp_path / "bench.csv", [0.9]))


def test_kinds_and_names(paths):
    nngp, short, bench = paths
    found = sources.load([f"{nngp}/", f"a-name={short}"], [bench])
    assert [source.name for source in found] == ["nngp.1", "a-name", "bench"]
    assert [source.is_table for source in found] == [False, False, True]
    assert found[0].signals[0].name == "nngp.1/test_accuracy@best"
    assert found[1].signals[0].name == "a-name/validation_accuracy_1"
    assert found[0].path == nngp


def test_equal_names_are_refused(paths):
    nngp, short, _ = paths
    with pytest.raises(
        ValueError, match="2 runs or tables are called 'x': tell them apart by NAME"
    ):
        sources.load([f"x={nngp}", f"x={short}"], [])


def test_runs_without_results(tmp_path):
    with RunDirectory(tmp_path / "empty", examples.CONFIG) as directory:
        directory.append({"key": "a", "status": "failed"})
    with pytest.raises(ValueError, match="empty has 1 rows but no scores: name one with results"):
        sources.load([str(tmp_path / "empty")], [])
    with pytest.raises(ValueError, match="there is no run at"):
        sources.load([str(tmp_path / "none")], [])
