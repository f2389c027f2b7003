"""Scores from the features that a run kept equal those that it computes itself."""

import shutil

import numpy as np
import pytest

from launchers import rescore
from nngp_tf.data.images import load_images
from nngp_tf.models import Nasbench101Network
from nngp_tf.runs import inference, rescoring
from nngp_tf.runs.reading import read_run
from nngp_tf.runs.store import RunDirectory
from nngp_tf.search_spaces.nasbench101 import Cell
from tests.launchers.launching import launch

pytestmark = pytest.mark.slow

CONFIG = {"what": "tests"}
SETTINGS = inference.KernelSettings(2, seed=3, batch_norm="one_update", compute_dtype="float32")
NETWORKS = [
    Nasbench101Network(Cell.from_text(text), stem_filters=4, num_stacks=2, modules_per_stack=1)
    for text in (
        "010/001/000:input,conv3x3-bn-relu,output",
        "010/001/000:input,maxpool3x3,output",
    )
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that keeps its features and scans two kernels itself."""
    path = str(tmp_path_factory.mktemp("run"))
    extras = inference.Extras((), ("plain", "standardised"), f"{path}/{rescoring.FEATURES}")
    images = load_images("digits", 30, 20, seed=3)
    with RunDirectory(path, CONFIG) as directory:
        inference.run_inference(NETWORKS, images, SETTINGS, directory, extras=extras)
    return read_run(path)


def test_equals_what_the_run_computes(run, tmp_path):
    with RunDirectory(tmp_path, CONFIG) as directory:
        rows = rescoring.rescore(run, ("standardised", "plain"), directory)
    assert [row["key"] for row in rows] == [network.key for network in NETWORKS]
    for row, own in zip(rows, run.rows, strict=True):
        assert row["scan"] == own["scan"]
        assert list(row["leave_one_out"]) == ["standardised", "plain"]
        for name, entry in row["leave_one_out"].items():
            for score in ("loo_nll", "loo_error"):
                np.testing.assert_allclose(
                    entry["scan"][score], own["leave_one_out"][name]["scan"][score], rtol=1e-4
                )
    again = [dict(row) for row in read_run(str(tmp_path)).rows]
    assert [row["leave_one_out"] for row in again] == [row["leave_one_out"] for row in rows]


def test_failed_rows_stay(run, tmp_path):
    failed = run.rows[0] | {"status": "failed"}
    del failed["leave_one_out"]
    changed = type(run)(run.path, run.config, run.about, [failed, run.rows[1]])
    with RunDirectory(tmp_path, CONFIG) as directory:
        rows = rescoring.rescore(changed, ("plain",), directory)
    assert "leave_one_out" not in rows[0]
    assert list(rows[1]["leave_one_out"]) == ["plain"]


def test_goes_on(run, tmp_path):
    with RunDirectory(tmp_path, CONFIG) as directory:
        directory.append({"key": NETWORKS[0].key, "status": "ok", "mark": 1})
        rows = rescoring.rescore(run, ("plain",), directory)
    assert rows[0]["mark"] == 1
    assert "leave_one_out" in rows[1]


def test_a_run_without_features(run, tmp_path):
    other = type(run)(str(tmp_path), run.config, run.about, run.rows)
    with (
        RunDirectory(tmp_path / "out", CONFIG) as directory,
        pytest.raises(ValueError, match=r"labels\.json cannot be read .* save_features = True"),
    ):
        rescoring.rescore(other, ("plain",), directory)


def test_the_launcher_makes_no_directory_for_it(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "bare", ignore=shutil.ignore_patterns("features"))
    flags = (f"--from_run={tmp_path / 'bare'}", f"--run_dir={tmp_path / 'out'}")
    code, _, error = launch(rescore, *flags)
    assert (code, "labels.json cannot be read" in error) == (2, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["../x", "/etc/x", "a/b"])
def test_keys_do_not_lead_out_of_the_directory(run, tmp_path, key):
    # As rows that somebody else has written may have them.
    outside = tmp_path / "x.npy"
    np.save(outside, np.zeros((1, 50, 4), np.float32))
    (tmp_path / "features").mkdir()
    for access in (
        lambda: rescoring.load_features(str(tmp_path / "features"), key),
        lambda: rescoring.save_features(str(tmp_path / "features"), key, np.ones((1, 2, 3))),
    ):
        with pytest.raises(ValueError, match=rf"'{key}\.npy' is no name of a file within"):
            access()
    assert not np.load(outside).any()
    assert list((tmp_path / "features").iterdir()) == []


def test_unreadable_features(tmp_path):
    (tmp_path / "k.npy").write_bytes(b"nonsense")
    for key in ("k", "absent"):
        with pytest.raises(ValueError, match=rf"{key}\.npy cannot be read .* save_features"):
            rescoring.load_features(str(tmp_path), key)
