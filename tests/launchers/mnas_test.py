"""The launchers on mobile networks: shipped configurations, photographs in folders, bad input."""

import functools
import json
import re

import numpy as np
import pytest

from launchers import nngp_inference, short_training
from nngp_tf.gaussian_process import Scan
from nngp_tf.models import MnasNetwork
from nngp_tf.search_spaces import mnas
from tests.data import photographs
from tests.launchers import launching

pytestmark = pytest.mark.slow

# One layer a block: their programs are made in seconds.
SMALL = [
    mnas.Network.from_blocks(
        [(1, block_fn, 3, 3, 0.25, filters) for filters in (8, 8, 16, 16, 16, 24, 32)], 8
    )
    for block_fn in ("conv", "mbconv")
]
A1 = mnas.MNASNET_A1.text


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """The gin value of `architectures` that names the small networks."""
    path = tmp_path_factory.mktemp("networks") / "networks.txt"
    path.write_text("".join(f"{network.text}\n" for network in SMALL))
    return f'"file:{path}"'


def launch(launcher, config, run_dir, **parameters):
    name = launcher.__name__.rpartition(".")[2]
    return launching.launch(
        launcher,
        *([f"--gin_file={config}"] if config else []),
        f"--run_dir={run_dir}",
        *(f"--gin_param={name}.{key} = {value}" for key, value in parameters.items()),
    )


def rows(run_dir):
    files = sorted(run_dir.glob("results*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_the_digits_configuration_runs(tmp_path):
    """As it is shipped, but for the number of networks."""
    config = "configs/mnas_digits.gin"
    code, _, error = launch(nngp_inference, config, tmp_path, num_architectures=1)
    assert code == 0, error
    (row,) = rows(tmp_path)
    network = mnas.sample(np.random.default_rng(0))
    assert (row["key"], row["architecture"]) == (network.key, network.text)
    assert row["num_images"] == 200
    # Chance is 0.1; 0.61 when this was written.
    assert Scan.from_json(row["scan"]).best("test_accuracy") > 0.4


def test_the_digits_training_configuration_runs(networks, tmp_path):
    """As it is shipped, but for a network whose program is made in seconds, and fewer steps."""
    config = "configs/mnas_digits_training.gin"
    changes = {"architectures": networks, "num_architectures": 1, "num_epochs": 1, "num_train": 200}
    code, _, error = launch(short_training, config, tmp_path, **changes)
    assert code == 0, error
    (row,) = rows(tmp_path)
    assert (row["key"], row["recipe"], row["epochs"]) == (SMALL[0].key, "mnasnet", 1)
    # A loss that is not finite makes a failed row.
    assert row["status"] == "ok", row["error"]
    assert set(row["validation_accuracy"]) == set(row["train_loss"]) == {"1"}


def test_a_folder_of_photographs_from_files_to_a_ranking(shared_data, networks, tmp_path):
    """JPEGs of CIFAR-10 in folders; MnasNet's preprocessing; a choice of classes; twice the run."""
    for name, encoded in photographs.by_class(shared_data, 12).items():
        (tmp_path / "photographs" / name).mkdir(parents=True)
        for index, content in enumerate(encoded):
            (tmp_path / "photographs" / name / f"{index}.jpg").write_bytes(content)
    run = functools.partial(
        launch,
        nngp_inference,
        None,
        tmp_path / "run",
        space="'mnas'",
        architectures=networks,
        dataset=f"'{tmp_path}/photographs'",
        classes="('airplane', 'truck', 'frog')",
        balanced=True,
        num_train=24,
        num_test=12,
        preprocessing="'mnasnet'",
        image_size=64,
        num_inits=2,
        leave_one_out="('plain',)",
    )
    code, out, error = run()
    assert code == 0, error
    first = rows(tmp_path / "run")
    assert [row["key"] for row in first] == [network.key for network in SMALL]
    for row, network in zip(first, SMALL, strict=True):
        assert row["status"] == "ok", row["error"]
        model = MnasNetwork(network, (64, 64, 3), num_classes=3)
        assert row["parameters"] == model.trainable_parameters
        assert set(row["leave_one_out"]) == {"plain"}
        assert network.text in out
    # Nothing is left to do.
    assert run() == (0, out, "")
    assert rows(tmp_path / "run") == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (A1.replace("s11", "s1"), "strides 's1' must be two digits, write 's11'"),
        (A1.replace("k3", "x3"), "unknown token 'x3'"),
        (A1.replace("_o24", ""), "'o' for the output filters is missing"),
        (A1.rpartition("/")[0], "a network has 7 blocks, got 6"),
        (f"{A1}/r1_k3_s11_e1_i320_o320", "a network has 7 blocks, got 8"),
    ],
)
def test_bad_networks(tmp_path, text, message):
    (tmp_path / "networks.txt").write_text(f"# header\n{text}\n")
    architectures = f"'file:{tmp_path}/networks.txt'"
    for launcher in (nngp_inference, short_training):
        refused = launch(
            launcher, None, tmp_path / "run", space="'mnas'", architectures=architectures
        )
        name = launcher.__name__.rpartition(".")[2]
        launching.assert_refused(name, refused, f"networks.txt:2: .*{re.escape(message)}")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"image_size": 16}, "images of 16 x 16 are too small for the strides .* at least 32 x 32"),
        ({"classes": "('3', 'cat')"}, "classes names 'cat', but digits has no such class"),
        ({"classes": "(0, 10)"}, "classes has the entry 10, expected a name or an index in 0..9"),
        ({"classes": 11}, "classes=11, expected a number of classes of at least 2 and at most 10"),
        ({"architectures": "'range:0:4'"}, "architectures must be one of sample, sample:REFERENCE"),
        ({"architectures": "'sample:resnet'"}, "reference must be one of mobilenet_v2, mnasnet_a1"),
    ],
)
def test_bad_parameters(tmp_path, parameters, message):
    for launcher in (nngp_inference, short_training):
        refused = launch(launcher, None, tmp_path / "run", space="'mnas'", **parameters)
        launching.assert_refused(launcher.__name__.rpartition(".")[2], refused, message)
    assert not (tmp_path / "run" / "run.json").exists()
