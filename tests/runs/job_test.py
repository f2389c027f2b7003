"""An inference job is a value that other processes get as text."""

import dataclasses

import pytest

from nngp_tf.runs import job

pytestmark = pytest.mark.fast

JOB = job.InferenceJob(
    space="nasbench101",
    architectures="range:0:3",
    num_architectures=None,
    dataset="digits",
    subset="authors",
    num_train=30,
    num_test=20,
    num_inits=2,
    seed=0,
    batch_norm="one_update",
    stem_filters=4,
    num_stacks=3,
    modules_per_stack=3,
    image_size=None,
    channel_mean=None,
    channel_std=[1.0],
    classes=["0", "1"],
    balanced=False,
    preprocessing="resize",
    compute_dtype="float32",
    batch_size=None,
    calibration_size=None,
    report_inits=(1,),
    leave_one_out=("plain", "cosine"),
    save_features=False,
)


def test_a_job_survives_as_text():
    assert job.from_json(JOB.to_json()) == JOB


def test_what_is_no_json_is_refused_before_any_worker_gets_it():
    bad = dataclasses.replace(JOB, channel_mean={1.0})
    with pytest.raises(ValueError, match="set is not JSON serializable: write numbers, texts"):
        bad.to_json()


def test_it_selects_what_it_names():
    assert len(JOB.select()) == 3
