"""Runs read for analysis: what a run directory holds, and what is refused."""

import pytest

from nngp_tf.runs.reading import read_run
from nngp_tf.runs.store import RunDirectory

pytestmark = pytest.mark.fast

CONFIG = {"num_inits": 4, "channel_mean": None}


def row(key, status="ok"):
    return {"key": key, "status": status, "scan": {"loo_nll": [0.1, None]}}


def test_rows_and_what_made_them(tmp_path):
    with RunDirectory(tmp_path / "run", CONFIG, {"devices": ["CPU"]}) as directory:
        directory.append(row("a"))
        directory.append(row("b", status="failed"))
    run = read_run(f"{tmp_path}/run/")
    assert run.path == f"{tmp_path}/run"
    assert run.config == CONFIG
    assert run.about == {"devices": ["CPU"]}
    # Failed ones are kept.
    assert run.rows == (row("a"), row("b", status="failed"))


def test_a_run_that_is_still_written(tmp_path):
    directory = RunDirectory(tmp_path, CONFIG)
    directory.append(row("a"))
    assert read_run(tmp_path).rows == (row("a"),)
    directory.append(row("b"))
    assert len(read_run(tmp_path).rows) == 2
    directory.close()


def test_no_run(tmp_path):
    with pytest.raises(ValueError, match=f"there is no run at {tmp_path}"):
        read_run(tmp_path)


def test_damage_is_refused(tmp_path):
    with RunDirectory(tmp_path, CONFIG) as directory:
        directory.append(row("a"))
    (path,) = tmp_path.glob("results*.jsonl")
    path.write_text(path.read_text().replace("0.1", "0.2"))
    with pytest.raises(ValueError, match="keep the good rows"):
        read_run(tmp_path)
