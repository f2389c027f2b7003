import pathlib

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.data import sources
from tests.data import prepared as prepared_lib

pytestmark = pytest.mark.fast


def open_source(dataset, data_dir=None):
    return sources.open_source(dataset, data_dir=data_dir, download=False)


@pytest.fixture
def folder(tmp_path):
    """A directory `pictures` of two classes with an image each."""
    for name in ("cat", "dog"):
        path = tmp_path / "pictures" / name / "0.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(tf.io.encode_png(np.zeros((2, 2, 3), np.uint8)).numpy())
    return tmp_path / "pictures"


@pytest.fixture
def prepared(tmp_path):
    """One version of a TFDS data set `nngp_tf_dots` of three classes; no code belongs to it."""
    return prepared_lib.write(tmp_path / "tensorflow_datasets", "nngp_tf_dots/1.0.0")


def test_digits_are_built_in(tmp_path, monkeypatch):
    # Even beside a directory of that name.
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert open_source("digits").train.size == 1797


def test_directory_of_images(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for name in ("pictures", "./pictures", str(folder), pathlib.Path("pictures"), folder):
        assert open_source(name).class_names == ("cat", "dog")
    monkeypatch.setenv("HOME", str(folder.parent))
    assert open_source("~/pictures").class_names == ("cat", "dog")


def test_directory_of_a_prepared_data_set(prepared):
    for name in (prepared, str(prepared)):
        source = open_source(name)
        assert source.name == "nngp_tf_dots/1.0.0"
        assert source.class_names == ("x", "y", "z")


def test_name_of_a_prepared_data_set(prepared, monkeypatch):
    data_dir = prepared.parents[1]
    assert open_source("nngp_tf_dots", data_dir).class_names == ("x", "y", "z")
    monkeypatch.setenv("HOME", str(data_dir.parent))
    assert open_source("nngp_tf_dots", "~/tensorflow_datasets").class_names == ("x", "y", "z")


def test_bare_name_is_the_data_sets_where_data_dir_is_given(prepared, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    folder.rename(folder.parent / "nngp_tf_dots")
    assert open_source("nngp_tf_dots").class_names == ("cat", "dog")
    assert open_source("nngp_tf_dots", prepared.parents[1]).class_names == ("x", "y", "z")
    assert open_source("./nngp_tf_dots", prepared.parents[1]).class_names == ("cat", "dog")


@pytest.mark.parametrize(
    "dataset, message",
    [
        ("./nowhere", r"There is no directory \./nowhere"),
        ("/no/such/place", "There is no directory /no/such/place"),
        (pathlib.Path("nowhere"), "There is no directory nowhere"),
        # A slash alone may belong to the configuration of a TFDS data set.
        ("imagenet_resized/9x9", "close names: imagenet_resized/8x8"),
        ("digit", "'digit' is neither a directory nor a data set that TFDS can open"),
    ],
)
def test_nothing_of_that_name(tmp_path, dataset, message):
    with pytest.raises(ValueError, match=message):
        open_source(dataset, tmp_path)
