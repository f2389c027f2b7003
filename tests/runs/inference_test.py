"""From networks to rows: what is in them, what a second run computes, what happens on failure."""

import dataclasses
import json
import math
import platform

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.data.images import load_images
from nngp_tf.gaussian_process import profile, scan_diag_reg
from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.models import Nasbench101Network
from nngp_tf.runs import failures, inference, status
from nngp_tf.runs.errors import LostWorkerError, TooManyFailuresError
from nngp_tf.runs.store import RunDirectory
from nngp_tf.search_spaces.nasbench101 import Cell
from tests import golden

pytestmark = pytest.mark.slow

NUM_TRAIN, NUM_TEST = 30, 20
SETTINGS = inference.KernelSettings(2, seed=3, batch_norm="one_update", compute_dtype="float32")
CONFIG = {"what": "tests"}


def network(cell, stem_filters=4):
    return Nasbench101Network(cell, stem_filters=stem_filters, num_stacks=2, modules_per_stack=1)


# One vertex feeds each output, so they share a program.
NETWORKS = [
    network(golden.RESNET),
    network(Cell.from_text("010/001/000:input,conv3x3-bn-relu,output")),
    network(Cell.from_text("010/001/000:input,maxpool3x3,output")),
]


def kernel(network, images):
    """The kernel of a network under `SETTINGS`."""
    return monte_carlo_kernel(
        network,
        images.x_train,
        images.x_test,
        2,
        seed=3,
        batch_norm="one_update",
        compute_dtype="float32",
        keep_features=True,
    )


@pytest.fixture(scope="module")
def images():
    return load_images("digits", NUM_TRAIN, NUM_TEST, seed=3)


@pytest.fixture(scope="module")
def rows(images, tmp_path_factory):
    """The rows of an uninterrupted run."""
    directory = RunDirectory(tmp_path_factory.mktemp("run"), CONFIG)
    return inference.run_inference(NETWORKS, images, SETTINGS, directory)


@pytest.fixture
def counted(monkeypatch):
    """Collects the networks that are computed."""
    computed = []
    infer = inference.infer

    def counting(network, *arguments):
        computed.append(network)
        return infer(network, *arguments)

    monkeypatch.setattr(inference, "infer", counting)
    return computed


@pytest.fixture
def kernel_instead(monkeypatch, images):
    """Puts a kernel that has some property in the place of the networks' own."""
    own = kernel(NETWORKS[2], images)

    def put(**changes):
        given = {}

        def changed(*arguments, **options):
            given.update(options)
            return [dataclasses.replace(own, **changes)]

        monkeypatch.setattr(inference, "running_kernels", changed)
        return given

    return put


def test_a_row_is_complete(rows, images):
    assert [row["key"] for row in rows] == [n.key for n in NETWORKS]
    for row, made_of in zip(rows, NETWORKS, strict=True):
        assert set(row) == {
            *("key", "architecture", "status", "error", "seconds", "seconds_by_phase"),
            *("parameters", "multiply_adds", "num_images", "num_inits", "batch_norm"),
            *("compute_dtype", "kernel_spread", "varying_share", "rounding_share", "scan"),
        }
        assert json.loads(json.dumps(row, allow_nan=False)) == row
        assert Cell.from_text(row["architecture"]) == made_of.cell
        assert (row["status"], row["error"]) == ("ok", None)
        variables = made_of.build().trainable_variables
        assert row["parameters"] == sum(math.prod(v.shape) for v in variables)
        assert (row["num_inits"], row["batch_norm"]) == (2, "one_update")
        assert row["compute_dtype"] == "float32"
        assert row["multiply_adds"] == made_of.multiply_adds
        assert row["num_images"] == NUM_TRAIN + NUM_TEST
        assert row["kernel_spread"] > 0
        assert set(row["seconds_by_phase"]) == {"kernel", "solve"}
        assert math.isclose(sum(row["seconds_by_phase"].values()), row["seconds"])
        assert {name: len(values) for name, values in row["scan"].items()} == dict.fromkeys(
            (
                *("diag_reg", "failed", "test_accuracy", "test_nll"),
                *("loo_accuracy", "loo_nll", "loo_error", "log_marginal_likelihood"),
            ),
            20,
        )


def test_a_row_is_what_its_parts_give(rows, images):
    own = kernel(NETWORKS[0], images)
    scan = scan_diag_reg(own, images.y_train, images.y_test, images.num_classes)
    assert scan.to_json() == rows[0]["scan"]
    assert rows[0]["kernel_spread"] == own.spread
    assert inference.score(rows[0], "test_accuracy") == scan.test_accuracy.max()
    assert inference.score(rows[0], "test_nll") == scan.test_nll.min()


def test_networks_learn_something(rows):
    # Ten classes; thirty images are enough to be better than chance.
    assert all(inference.score(row, "test_accuracy") > 0.2 for row in rows)
    assert all(inference.score(row, "loo_accuracy") > 0.2 for row in rows)


def test_the_seed_matters(rows, images):
    other = inference.infer(NETWORKS[0], images, dataclasses.replace(SETTINGS, seed=4))
    assert other["scan"]["loo_nll"] != rows[0]["scan"]["loo_nll"]


def test_a_second_run_computes_nothing(images, tmp_path, counted):
    first = inference.run_inference(NETWORKS, images, SETTINGS, RunDirectory(tmp_path, CONFIG))
    assert counted == NETWORKS
    counted.clear()
    again = inference.run_inference(NETWORKS, images, SETTINGS, RunDirectory(tmp_path, CONFIG))
    assert counted == []
    assert again == first


def test_an_interrupted_run_goes_on_and_ends_the_same(rows, images, tmp_path, monkeypatch):
    infer, computed = inference.infer, []

    def interrupted(network, *arguments):
        if len(computed) == 2:
            raise KeyboardInterrupt
        computed.append(network)
        return infer(network, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(inference, "infer", interrupted)
        inference.run_inference(NETWORKS, images, SETTINGS, RunDirectory(tmp_path, CONFIG))
    computed.clear()
    monkeypatch.setattr(inference, "infer", lambda n, *a: computed.append(n) or infer(n, *a))
    resumed = inference.run_inference(NETWORKS, images, SETTINGS, RunDirectory(tmp_path, CONFIG))
    assert computed == NETWORKS[2:]
    assert [row["scan"] for row in resumed] == [row["scan"] for row in rows]
    (results,) = tmp_path.glob("results*.jsonl")
    lines = results.read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == [n.key for n in NETWORKS]


@pytest.fixture
def failing(monkeypatch):
    """Puts errors in the place of networks' results."""
    infer, errors = inference.infer, {}

    def fail(network, *arguments):
        if network in errors:
            raise errors[network]
        return infer(network, *arguments)

    monkeypatch.setattr(inference, "infer", fail)
    return errors


def test_an_exception_is_a_row_and_the_run_goes_on(rows, images, tmp_path, failing):
    failing[NETWORKS[0]] = tf.errors.InvalidArgumentError(None, None, "no such shape")
    failing[NETWORKS[2]] = ValueError("the last one is bad")
    directory = RunDirectory(tmp_path, CONFIG)
    got = inference.run_inference(NETWORKS, images, SETTINGS, directory)
    assert [row["status"] for row in got] == ["failed", "ok", "failed"]
    assert got[0]["error"] == "InvalidArgumentError: no such shape"
    assert "in fail\n" in got[0]["traceback"]
    assert got[1]["scan"] == rows[1]["scan"]
    # What is recorded of other rows, in full.
    shared = ("architecture", "parameters", "num_inits", "batch_norm", "compute_dtype")
    for name in shared:
        assert got[2][name] == rows[2][name]
    assert math.isnan(inference.score(got[2], "loo_accuracy"))
    # The next start leaves them, until it is told otherwise.
    failing.clear()
    again = inference.run_inference(NETWORKS, images, SETTINGS, directory)
    assert again == got
    again = inference.run_inference(NETWORKS, images, SETTINGS, directory, retry_failed=True)
    assert [row["scan"] for row in again] == [row["scan"] for row in rows]
    assert again[1] == got[1]
    directory.close()
    assert len(RunDirectory(tmp_path, CONFIG).rows) == 3


@pytest.mark.parametrize(
    ("error", "ends", "message"),
    [
        (tf.errors.UnavailableError(None, None, "it is gone"), LostWorkerError, "it is gone"),
        (OSError(28, "No space left on device"), OSError, "No space left"),
    ],
)
def test_what_is_no_networks_fault_ends_the_run(images, tmp_path, failing, error, ends, message):
    failing[NETWORKS[1]] = error
    directory = RunDirectory(tmp_path, CONFIG)
    with pytest.raises(ends, match=message):
        inference.run_inference(NETWORKS, images, SETTINGS, directory)
    assert list(directory.rows) == [NETWORKS[0].key]


def test_failures_one_after_the_other_end_the_run(images, tmp_path, failing, monkeypatch):
    monkeypatch.setattr(failures, "MOST_IN_A_ROW", 2)
    failing.update(dict.fromkeys(NETWORKS, RuntimeError("broken")))
    directory = RunDirectory(tmp_path, CONFIG)
    message = r"2 architectures failed .* 'RuntimeError: broken': see to the cause"
    with pytest.raises(TooManyFailuresError, match=message):
        inference.run_inference(NETWORKS, images, SETTINGS, directory)
    assert [row["status"] for row in directory.rows.values()] == ["failed"] * 2


def test_the_number_of_networks_is_recorded(images, tmp_path):
    directory = RunDirectory(tmp_path, CONFIG)
    inference.run_inference(NETWORKS[2:], images, SETTINGS, directory)
    assert status.Watcher(tmp_path).look().total == 1
    inference.run_inference([NETWORKS[2]], images, SETTINGS, RunDirectory(tmp_path, CONFIG))
    assert status.Watcher(tmp_path).look().is_done


def test_rows_come_in_the_order_asked_for(rows, images, tmp_path, counted):
    directory = RunDirectory(tmp_path, CONFIG)
    inference.run_inference(NETWORKS[1:2], images, SETTINGS, directory)
    counted.clear()
    asked = [NETWORKS[2], NETWORKS[1], NETWORKS[0]]
    got = inference.run_inference(asked, images, SETTINGS, directory)
    assert counted == [NETWORKS[2], NETWORKS[0]]
    assert [row["scan"] for row in got] == [rows[i]["scan"] for i in (2, 1, 0)]
    # Fewer than the directory holds.
    assert inference.run_inference(asked[:1], images, SETTINGS, directory) == got[:1]


def test_bad_settings_bind_nobody(images, tmp_path):
    bad = dataclasses.replace(SETTINGS, batch_size=51)
    with pytest.raises(ValueError, match="batch_size must lie between 1 and the 50 images, got 51"):
        inference.run_inference(NETWORKS, images, bad, RunDirectory(tmp_path, CONFIG))
    assert not (tmp_path / "run.json").exists()
    assert not list(tmp_path.glob("results*.jsonl"))


def test_without_test_images(rows, images):
    nothing = dataclasses.replace(images, x_test=images.x_test[:0], y_test=images.y_test[:0])
    row = inference.infer(NETWORKS[2], nothing, SETTINGS)
    assert row["status"] == "ok"
    assert row["scan"]["test_accuracy"] == [None] * 20
    assert math.isnan(inference.score(row, "test_accuracy"))
    # Test images have no part in these.
    for criterion in ("loo_accuracy", "loo_nll", "log_marginal_likelihood"):
        np.testing.assert_allclose(
            inference.score(row, criterion), inference.score(rows[2], criterion), rtol=1e-4
        )


def test_extras(rows, images, tmp_path):
    extras = inference.Extras((1,), ("plain", "arc_cosine"), str(tmp_path / "features"))
    directory = RunDirectory(tmp_path / "run", CONFIG)
    (row,) = inference.run_inference(NETWORKS[:1], images, SETTINGS, directory, extras=extras)
    assert row["scan"].keys() == rows[0]["scan"].keys()
    np.testing.assert_allclose(row["scan"]["loo_nll"], rows[0]["scan"]["loo_nll"], rtol=1e-4)

    one = inference.infer(NETWORKS[0], images, dataclasses.replace(SETTINGS, num_inits=1))
    assert list(row["scans_by_inits"]) == ["1"]
    np.testing.assert_allclose(
        row["scans_by_inits"]["1"]["loo_nll"], one["scan"]["loo_nll"], rtol=1e-4
    )

    features = np.load(tmp_path / "features" / f"{row['key']}.npy", allow_pickle=False)
    np.testing.assert_allclose(features, kernel(NETWORKS[0], images).features, rtol=1e-4, atol=1e-5)
    labels = np.concatenate([images.y_train, images.y_test])
    expected = profile(features, labels, images.num_classes, ("plain", "arc_cosine"))
    assert row["leave_one_out"].keys() == expected.keys()
    for name, want in expected.items():
        got = row["leave_one_out"][name]
        np.testing.assert_allclose(got["scan"]["loo_nll"], want["scan"]["loo_nll"], rtol=1e-3)
        assert got["scan"]["test_accuracy"] == [None] * 20
        np.testing.assert_allclose(
            list(got["spectrum"].values()), list(want["spectrum"].values()), rtol=1e-3
        )


def test_features_are_kept_where_they_are_fewer_than_images(images, kernel_instead):
    given = kernel_instead()
    # Twice as wide as the stem, and two initialisations of it: 28 and 32 against 30 images.
    inference.infer(network(golden.RESNET, stem_filters=7), images, SETTINGS)
    assert given["keep_features"] is True
    inference.infer(network(golden.RESNET, stem_filters=8), images, SETTINGS)
    assert given["keep_features"] is False


def test_a_kernel_that_fails_is_a_row_and_the_run_goes_on(images, kernel_instead, tmp_path):
    kernel_instead(train_train=np.full((NUM_TRAIN, NUM_TRAIN), np.nan), mean_square_norm=np.nan)
    directory = RunDirectory(tmp_path, CONFIG)
    rows = inference.run_inference(NETWORKS, images, SETTINGS, directory)
    assert [row["status"] for row in rows] == ["failed"] * 3
    assert "not finite" in rows[0]["error"]
    assert rows[0]["kernel_spread"] is rows[0]["varying_share"] is None
    assert all(rows[0]["scan"]["failed"])
    assert math.isnan(inference.score(rows[0], "test_accuracy"))
    assert RunDirectory(tmp_path, CONFIG).rows == directory.rows


def test_an_unresolved_kernel_is_a_failed_row(images, kernel_instead, tmp_path):
    kernel_instead(rounding_variance=1e9)
    directory = RunDirectory(tmp_path, CONFIG)
    rows = inference.run_inference(NETWORKS, images, SETTINGS, directory)
    assert [row["status"] for row in rows] == ["failed"] * 3
    assert "batch_statistics" in rows[0]["error"]
    assert rows[0]["rounding_share"] > rows[0]["varying_share"] > 0
    assert math.isnan(inference.score(rows[0], "test_accuracy"))


@pytest.mark.parametrize("mean_square_norm", [np.inf, np.nan])
def test_an_undefined_spread_does_not_end_the_run(
    images, kernel_instead, tmp_path, mean_square_norm
):
    # A sum of squares overflows long before the kernel.
    kernel_instead(mean_square_norm=mean_square_norm)
    directory = RunDirectory(tmp_path, CONFIG)
    (row,) = inference.run_inference(NETWORKS[:1], images, SETTINGS, directory)
    assert (row["status"], row["kernel_spread"]) == ("ok", None)


def test_about():
    about = inference.about(tf.distribute.MirroredStrategy(["/cpu:0"]))
    assert json.loads(json.dumps(about)) == about
    assert about["replicas"] == 1
    assert about["versions"]["python"] == platform.python_version()
    assert about["versions"]["tensorflow"] == tf.__version__
    assert "/device:CPU:0" in about["devices"]
