"""Shares of a job: what is planned, and that any process computes what one run would."""

import dataclasses

import pytest
import tensorflow as tf

from nngp_tf.runs import inference, sweep
from nngp_tf.runs.job import InferenceJob
from nngp_tf.runs.reading import read_run
from nngp_tf.runs.store import RunDirectory

pytestmark = pytest.mark.slow

CELLS = "\n".join(
    f"010/001/000:input,{operation},output"
    for operation in ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
)


@pytest.fixture
def described(tmp_path):
    """A sweep of three cells on the digits."""
    (tmp_path / "cells.txt").write_text(CELLS)
    job = InferenceJob(
        space="nasbench101",
        architectures=f"file:{tmp_path}/cells.txt",
        num_architectures=None,
        dataset="digits",
        subset="authors",
        num_train=30,
        num_test=20,
        num_inits=2,
        seed=0,
        batch_norm="one_update",
        stem_filters=4,
        num_stacks=2,
        modules_per_stack=1,
        image_size=16,
        channel_mean=None,
        channel_std=None,
        classes=None,
        balanced=False,
        preprocessing="resize",
        compute_dtype="float32",
        batch_size=None,
        calibration_size=None,
        report_inits=(),
        leave_one_out=(),
        save_features=False,
    )
    return sweep.Sweep(job, str(tmp_path / "run"))


def test_shares_together_are_one_run(described, tmp_path):
    shares = sweep.plan(described, share_size=2)
    assert [(s.index, s.count, len(s.architectures)) for s in shares] == [(0, 2, 2), (1, 2, 1)]
    # As a worker gets them.
    described = sweep.Sweep.from_json(described.to_json())
    shares = [sweep.Share.from_json(share.to_json()) for share in shares]
    assert sweep.compute(shares[1], described) == {"rows": 1, "failed": 0}
    (left,) = sweep.plan(described, share_size=2)
    assert left == shares[0]
    assert sweep.compute(left, described) == {"rows": 2, "failed": 0}
    # An engine may try again what it takes for lost.
    assert sweep.compute(left, described) == {"rows": 0, "failed": 0}
    assert sweep.plan(described, share_size=2) == []

    prepared = described.job.prepare(tf.distribute.get_strategy(), str(tmp_path / "whole"))
    with RunDirectory(tmp_path / "whole", prepared.config) as directory:
        networks = prepared.networks(described.job.select())
        whole = inference.run_inference(networks, prepared.images, prepared.settings, directory)
    scans = {row["key"]: row["scan"] for row in read_run(described.run_dir).rows}
    assert scans == {row["key"]: row["scan"] for row in whole}


def test_another_run_in_the_directory(described):
    (share,) = sweep.plan(described, share_size=9)
    sweep.compute(share, described)
    other = dataclasses.replace(described, job=dataclasses.replace(described.job, seed=1))
    with pytest.raises(ValueError, match=r"another configuration .*seed is 1 here and 0 there"):
        sweep.plan(other, share_size=9)


def test_a_bad_architecture_is_a_row_and_tried_again_on_request(described, monkeypatch):
    infer, broken = inference.infer, [CELLS.splitlines()[1]]

    def fail(network, *arguments):
        if network.text in broken:
            raise RuntimeError("broken")
        return infer(network, *arguments)

    monkeypatch.setattr(inference, "infer", fail)
    (share,) = sweep.plan(described, share_size=3)
    assert sweep.compute(share, described) == {"rows": 3, "failed": 1}
    failed = [row for row in read_run(described.run_dir).rows if row["status"] != "ok"]
    assert [row["architecture"] for row in failed] == broken
    assert failed[0]["error"] == "RuntimeError: broken"
    assert 'raise RuntimeError("broken")' in failed[0]["traceback"]
    broken.clear()
    assert sweep.plan(described, share_size=3) == []
    # In shares of another number, whose shards hold none of the rows.
    again = dataclasses.replace(described, retry_failed=True)
    (share,) = sweep.plan(again, share_size=2)
    assert (share.count, len(share.architectures)) == (2, 1)
    assert sweep.compute(share, again) == {"rows": 1, "failed": 0}
    assert sweep.plan(again, share_size=2) == []
    read = read_run(described.run_dir)
    assert [row["status"] for row in read.rows] == ["ok"] * 3


def test_shares_have_a_size(described):
    with pytest.raises(ValueError, match="share_size must be at least 1, got 0"):
        sweep.plan(described, share_size=0)
