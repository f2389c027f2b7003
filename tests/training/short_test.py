"""Training of one network: it learns, goes on after a stop as if there was none, and fails well.

The networks are one or three cells deep: Keras traces a program for each, which takes seconds.
"""

import dataclasses
import gc
import importlib.util
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import logging

from nngp_tf.data.images import load_images
from nngp_tf.models import Nasbench101Network
from nngp_tf.search_spaces.nasbench101 import Cell
from nngp_tf.training import recipes, short
from tests import golden

pytestmark = pytest.mark.slow

TINY = Nasbench101Network(
    Cell.from_text("010/001/000:input,conv3x3-bn-relu,output"),
    stem_filters=4,
    num_stacks=1,
    modules_per_stack=1,
)
# With an average of the weights, which a backup has to hold, too.
RECIPE = recipes.get(
    "mnasnet",
    batch_size=32,
    learning_rate=0.1,
    batch_norm_momentum=0.5,
    augmentation="crop_and_flip",
)
SETTINGS = short.TrainingSettings(RECIPE, num_epochs=3)
CURVES = ("validation_accuracy", "train_accuracy", "train_loss")


class StoppingNetwork:
    """A network whose training is interrupted after some epochs."""

    def __init__(self, network, epochs):
        self._network, self._epochs = network, epochs

    def __getattr__(self, name):
        return getattr(self._network, name)

    def build(self, dtype_policy):
        model = self._network.build(dtype_policy)
        fit = model.fit

        def fit_and_stop(*arguments, callbacks, **options):
            stop = keras.callbacks.LambdaCallback(on_epoch_end=self._stop)
            return fit(*arguments, callbacks=[*callbacks, stop], **options)

        model.fit = fit_and_stop
        return model

    def _stop(self, epoch, _):
        if epoch + 1 == self._epochs:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def images():
    return load_images("digits", 100, 50)


@pytest.fixture(scope="module")
def whole(images):
    """The row of uninterrupted training."""
    return short.train(TINY, images, SETTINGS)


def curves(row):
    return {name: row[name] for name in CURVES}


def test_a_row_is_complete(whole):
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole
    assert set(whole) == {
        *("key", "architecture", "status", "error", "seconds", "parameters", "multiply_adds"),
        *("epochs", "recipe", "batch_size", "learning_rate", "compute_dtype"),
        *("validation_accuracy", "train_accuracy", "train_loss", "seconds_by_epoch"),
    }
    assert (whole["key"], whole["architecture"]) == (TINY.key, TINY.text)
    assert (whole["status"], whole["error"]) == ("ok", None)
    assert whole["parameters"] == TINY.trainable_parameters
    assert whole["multiply_adds"] == TINY.multiply_adds
    assert (whole["epochs"], whole["recipe"], whole["batch_size"]) == (3, "mnasnet", 32)
    assert whole["learning_rate"] == pytest.approx(0.0125)
    assert whole["compute_dtype"] == "float32"
    for name in (*CURVES, "seconds_by_epoch"):
        assert list(whole[name]) == ["1", "2", "3"]
    for accuracy in whole["validation_accuracy"].values():
        # Of 50 images: those that fill up the last batch do not count.
        assert accuracy * 50 == pytest.approx(round(accuracy * 50), abs=1e-4)
    assert sum(whole["seconds_by_epoch"].values()) < whole["seconds"]


def test_digits_are_learnt():
    images = load_images("digits", 1000, 400)
    network = Nasbench101Network(golden.RESNET, stem_filters=8, modules_per_stack=1)
    recipe = recipes.get(
        "nasbench101",
        batch_size=32,
        learning_rate=1.0,
        batch_norm_momentum=0.9,
        augmentation="none",
    )
    settings = short.TrainingSettings(recipe, num_epochs=3, report_epochs=(1, 3))
    row = short.train(network, images, settings)
    assert list(row["validation_accuracy"]) == ["1", "3"]
    assert list(row["train_loss"]) == ["1", "2", "3"]
    assert row["train_loss"]["3"] < row["train_loss"]["2"] < row["train_loss"]["1"]
    assert row["validation_accuracy"]["3"] > 0.6


def test_the_seed_decides(whole, images):
    other = short.train(TINY, images, dataclasses.replace(SETTINGS, seed=1))
    assert other["train_loss"] != whole["train_loss"]


@pytest.mark.parametrize("epochs", [1, 3])
def test_interrupted_training_goes_on(whole, images, tmp_path, epochs):
    backup = str(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        stopping = StoppingNetwork(TINY, epochs)
        short.train(stopping, images, SETTINGS, backup_dir=backup)
    before = json.loads((tmp_path / "backup" / "curve.json").read_text())
    assert len(before["epochs"]) == epochs
    row = short.train(TINY, images, SETTINGS, backup_dir=backup)
    # Bit for bit, dropped images, augmentation, optimiser and average included.
    assert curves(row) == curves(whole)
    # Time until the interruption counts.
    for epoch in range(epochs):
        assert row["seconds_by_epoch"][str(epoch + 1)] == before["epochs"][epoch]["seconds"]
    assert row["seconds"] > before["seconds"]


@pytest.mark.parametrize("damage", ["no curve", "older curve", "torn weights"])
def test_a_half_written_backup_is_dropped(whole, images, tmp_path, damage):
    backup = tmp_path / "backup"
    with pytest.raises(KeyboardInterrupt):
        stopping = StoppingNetwork(TINY, 2)
        short.train(stopping, images, SETTINGS, backup_dir=str(backup))
    curve = backup / "curve.json"
    if damage == "no curve":
        curve.unlink()
    elif damage == "older curve":
        record = json.loads(curve.read_text())
        record["epochs"].pop()
        record["iterations"] = 3
        curve.write_text(json.dumps(record))
    else:
        weights = backup / "keras" / "latest.weights.h5"
        weights.write_bytes(weights.read_bytes()[:1000])
    row = short.train(TINY, images, SETTINGS, backup_dir=str(backup))
    assert curves(row) == curves(whole)


def test_training_that_diverges_at_once(images):
    recipe = dataclasses.replace(RECIPE, learning_rate=1e30)
    row = short.train(TINY, images, dataclasses.replace(SETTINGS, recipe=recipe))
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert row["status"] == "failed"
    assert "in epoch 1: try a lower learning_rate" in row["error"]
    assert row["validation_accuracy"] == row["train_loss"] == {}


def test_training_that_diverges_later(whole, images, tmp_path):
    # From the second epoch on.
    recipe = dataclasses.replace(
        RECIPE, warmup_epochs=0, decay_epochs=1, decay_rate=1e35, ema_momentum=None
    )
    settings = dataclasses.replace(SETTINGS, recipe=recipe)
    backup = str(tmp_path / "backup")
    row = short.train(TINY, images, settings, backup_dir=backup)
    assert row["status"] == "failed"
    assert "in epoch 2: try a lower learning_rate" in row["error"]
    # What it got to.
    for name in CURVES:
        assert list(row[name]) == ["1"]
    # A process that is killed before the row is written comes to the same.
    again = short.train(TINY, images, settings, backup_dir=backup)
    assert curves(again) == curves(row)
    assert again["error"] == row["error"]


@pytest.mark.parametrize("compute_dtype", ["bfloat16", "float16"])
def test_mixed_precision(whole, images, compute_dtype):
    built = []

    class Watched(Nasbench101Network):
        def build(self, dtype_policy):
            built.append(super().build(dtype_policy))
            return built[-1]

    network = Watched(**vars(TINY))
    row = short.train(network, images, dataclasses.replace(SETTINGS, compute_dtype=compute_dtype))
    (model,) = built
    convolution = model.get_layer("stem_conv")
    assert convolution.compute_dtype == compute_dtype
    assert convolution.kernel.dtype == "float32"
    assert (row["status"], row["compute_dtype"]) == ("ok", compute_dtype)
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (compute_dtype == "float16")
    losses, expected = row["train_loss"].values(), whole["train_loss"].values()
    np.testing.assert_allclose(list(losses), list(expected), rtol=0.1)
    assert row["train_loss"] != whole["train_loss"]


def test_slow_statistics_are_warned_of(images, caplog):
    # Said once a process: forget what other tests have made it say.
    logging._log_counter_per_token.clear()
    recipe = dataclasses.replace(RECIPE, batch_norm_momentum=None)
    short.train(TINY, images, dataclasses.replace(SETTINGS, recipe=recipe, num_epochs=1))
    # 0.997 ** 3
    assert "the 3 steps of training leave 99% of the first moving statistics" in caplog.text


def test_tensorboard(images, tmp_path):
    logs = tmp_path / "logs"
    if importlib.util.find_spec("tensorboard") is None:
        with pytest.raises(ValueError, match="TensorBoard logs need its package: pip install"):
            short.train(TINY, images, SETTINGS, tensorboard_dir=str(logs))
        assert not logs.exists()
        return
    short.train(TINY, images, SETTINGS, tensorboard_dir=str(logs))
    assert {path.name for path in logs.iterdir()} == {"train", "validation"}
    assert all(list(path.iterdir()) for path in logs.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_epochs": 0}, "num_epochs must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0 and below 2"),
        ({"seed": 2**31}, "seed must be at least 0 and below 2"),
        ({"compute_dtype": "float64"}, "compute_dtype must be one of float32, .* got 'float64'"),
        ({"report_epochs": (1, 4)}, r"report_epochs must be some of the epochs 1 to 3, got \(1, 4"),
        ({"report_epochs": ()}, "report_epochs must be some of the epochs 1 to 3"),
        ({"jit_compile": "yes"}, "jit_compile must be True, False or 'auto', got 'yes'"),
        ({"steps_per_execution": 0}, "steps_per_execution must be at least 1 or None, got 0"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SETTINGS, **changes)


def test_what_does_not_go_together(images):
    with pytest.raises(ValueError, match="validated on the test images, got none"):
        short.check(dataclasses.replace(images, x_test=images.x_test[:0]), SETTINGS)
    large = dataclasses.replace(SETTINGS, recipe=dataclasses.replace(RECIPE, batch_size=101))
    with pytest.raises(ValueError, match="at most the 100 training images, got 101"):
        short.train(TINY, images, large)
    with pytest.raises(ValueError, match="steps_per_execution must divide the 3 steps"):
        short.check(images, dataclasses.replace(SETTINGS, steps_per_execution=2))
    # A batch of all the images will do.
    short.check(
        images, dataclasses.replace(SETTINGS, recipe=dataclasses.replace(RECIPE, batch_size=100))
    )


def test_steps_per_execution(whole, images):
    # All steps of an epoch, and more than validation has.
    row = short.train(TINY, images, dataclasses.replace(SETTINGS, steps_per_execution=3))
    for name in CURVES:
        np.testing.assert_allclose(list(row[name].values()), list(whole[name].values()), rtol=1e-4)


def test_one_device_by_strategy(whole, images):
    row = short.train(TINY, images, SETTINGS, strategy=tf.distribute.OneDeviceStrategy("/cpu:0"))
    for name in CURVES:
        np.testing.assert_allclose(list(row[name].values()), list(whole[name].values()), rtol=1e-4)
    assert math.isfinite(row["seconds"])


def test_no_graph_outlives_training(whole, images):
    def operations():
        gc.collect()
        return sum(isinstance(each, tf.Operation) for each in gc.get_objects())

    before = operations()
    short.train(TINY, images, dataclasses.replace(SETTINGS, num_epochs=1))
    # A program has thousands.
    assert operations() < before + 100
