"""From networks to rows of training: what a second run computes, failures, backups, the report."""

import json

import pytest

from nngp_tf.data.images import load_images
from nngp_tf.models import Nasbench101Network
from nngp_tf.runs import training
from nngp_tf.runs.store import RunDirectory
from nngp_tf.search_spaces.nasbench101 import Cell
from nngp_tf.training import recipes, short
from tests import golden

pytestmark = pytest.mark.slow

CONFIG = {"what": "tests"}
RECIPE = recipes.get("nasbench101", batch_size=32, batch_norm_momentum=0.5)
SETTINGS = short.TrainingSettings(RECIPE, num_epochs=1)


def network(cell):
    return Nasbench101Network(cell, stem_filters=4, num_stacks=1, modules_per_stack=1)


NETWORKS = [
    network(Cell.from_text("010/001/000:input,conv3x3-bn-relu,output")),
    network(golden.RESNET),
]


class BrokenNetwork(Nasbench101Network):
    """A network that cannot be built."""

    def build(self, dtype_policy):
        """Raise an error."""
        raise RuntimeError("broken")


class WrongNetwork(Nasbench101Network):
    """A network that the settings do not suit."""

    def build(self, dtype_policy):
        """Raise an error."""
        raise ValueError("wrong")


BROKEN = BrokenNetwork(Cell.from_text("010/001/000:input,maxpool3x3,output"))


@pytest.fixture(scope="module")
def images():
    return load_images("digits", 64, 40)


@pytest.fixture(scope="module")
def run(images, tmp_path_factory):
    """The path and the rows of a run, whose second network of three is broken."""
    path = tmp_path_factory.mktemp("run")
    with RunDirectory(path, CONFIG) as directory:
        networks = [NETWORKS[0], BROKEN, NETWORKS[1]]
        return path, training.run_training(networks, images, SETTINGS, directory)


@pytest.fixture
def trained(monkeypatch):
    """Collects the networks that are trained."""
    found = []
    train = short.train

    def collecting(network, *arguments):
        found.append(network)
        return train(network, *arguments)

    monkeypatch.setattr(short, "train", collecting)
    return found


def test_rows(run):
    path, rows = run
    assert [row["key"] for row in rows] == [n.key for n in (NETWORKS[0], BROKEN, NETWORKS[1])]
    assert [row["status"] for row in rows] == ["ok", "failed", "ok"]
    with RunDirectory(path, CONFIG, writable=False) as directory:
        assert list(directory.rows.values()) == json.loads(json.dumps(rows))


def test_an_exception_is_a_row(run):
    _, (ok, failed, _) = run
    assert failed["error"] == "RuntimeError: broken"
    assert 'raise RuntimeError("broken")' in failed["traceback"]
    assert failed["validation_accuracy"] == failed["seconds_by_epoch"] == {}
    assert failed["parameters"] == BROKEN.trainable_parameters
    assert set(failed) == {*ok, "traceback"}


def test_backups_are_removed(run):
    path, _ = run
    assert list((path / "backup").iterdir()) == []


def test_a_second_run_trains_what_is_missing(images, tmp_path, trained):
    with RunDirectory(tmp_path, CONFIG) as directory:
        (first,) = training.run_training(NETWORKS[:1], images, SETTINGS, directory, backup=False)
    # Without backups, no directory of theirs.
    assert not (tmp_path / "backup").exists()
    with RunDirectory(tmp_path, CONFIG) as directory:
        rows = training.run_training(NETWORKS, images, SETTINGS, directory)
    assert trained == NETWORKS
    assert rows[0] == first


def test_settings_that_suit_no_network_end_the_run(images, tmp_path):
    wrong = WrongNetwork(golden.RESNET)
    with RunDirectory(tmp_path, CONFIG) as directory:
        with pytest.raises(ValueError, match="wrong"):
            training.run_training([wrong], images, SETTINGS, directory)
        assert not directory.rows


def test_the_report_ranks_by_the_last_epoch(run):
    _, rows = run
    first = {**rows[0], "validation_accuracy": {"2": 0.5, "10": 0.25}}
    second = {**rows[2], "validation_accuracy": {"2": 0.125, "10": 0.75}}
    assert training.last_accuracy(first) == 0.25
    header, *lines, summary = training.report([first, rows[1], second]).splitlines()
    assert header.split() == ["validation_accuracy", "parameters", "trained", "architecture"]
    assert [line.split()[1] for line in lines] == ["0.7500", "0.2500", "nan"]
    assert [line.split()[-1] for line in lines] == [
        row["architecture"] for row in (second, first, rows[1])
    ]
    assert summary.startswith("3 architectures (1 failed), ")
