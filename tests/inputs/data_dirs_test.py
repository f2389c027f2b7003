"""A directory too deep, too shallow or incomplete: the one that looks right is named."""

import re

import numpy as np
import pytest
from PIL import Image

from nngp_tf.data import images
from tests.data import prepared

pytestmark = pytest.mark.fast


def refusal(dataset, data_dir=None, **options):
    """The sentence with which a data set is refused."""
    with pytest.raises(ValueError, match=r"\w") as error:
        images.load_images(dataset, 2, 0, data_dir=data_dir, **options)
    message = str(error.value)
    assert "\n" not in message
    return message


def given(message, argument):
    """The path or name that a sentence tells the user to give."""
    found = re.search(rf"give {argument}=(?:'(.+?)'|(.+?)(?:\.$| to read ))", message)
    return found[1] or found[2]


@pytest.fixture
def data_dir(tmp_path):
    """A directory of prepared data sets, below `home/data`."""
    path = tmp_path / "home" / "data" / "tensorflow_datasets"
    prepared.write(path, "dots/1.0.0")
    prepared.write(path, "blots/large/2.0.0")
    return path


class TestDataDir:
    @pytest.mark.parametrize("name", ["dots", "dots:1.0.0", "blots/large", "blots/large:2.0.0"])
    @pytest.mark.parametrize(
        "wrong",
        [
            *("..", "../..", "../../.."),
            *("dots", "blots", "blots/large", "dots/9.9.9", "blots/small"),
            *("../tensorflow_dataset", "../Tensorflow-Datasets", "../../dat/tensorflow_datasets"),
        ],
    )
    def test_wrong_level_or_misspelt(self, data_dir, name, wrong):
        path = (data_dir / wrong).resolve()
        message = refusal(name, path)
        assert f"looked in {path}/" in message or f"open from {path}," in message
        found = given(message, "data_dir")
        assert found == str(data_dir)
        assert images.load_images(name, 2, 0, data_dir=found).num_classes == 3

    def test_relative_and_home(self, data_dir, monkeypatch):
        monkeypatch.chdir(data_dir)
        assert given(refusal("dots", "dots"), "data_dir") == str(data_dir)
        monkeypatch.chdir(data_dir.parent)
        assert given(refusal("dots", "."), "data_dir") == str(data_dir)
        monkeypatch.setenv("HOME", str(data_dir.parents[1]))
        assert given(refusal("dots", "~/data/"), "data_dir") == str(data_dir)

    @pytest.mark.parametrize("name", ["dots", "cifar10"])
    def test_a_file(self, data_dir, name):
        file = data_dir / "dots" / "1.0.0" / "features.json"
        message = refusal(name, file)
        assert f"data_dir={file} is a file" in message
        if name == "dots":
            assert given(message, "data_dir") == str(data_dir)

    @pytest.mark.parametrize("absent", ["dataset_info.json", "features.json"])
    @pytest.mark.parametrize("how", ["gone", "empty", "not JSON", "other JSON", "UTF-16"])
    def test_incomplete_version(self, data_dir, absent, how):
        file = data_dir / "dots" / "1.0.0" / absent
        file.unlink()
        if how != "gone":
            text = {"empty": "", "not JSON": "{,", "other JSON": "[]", "UTF-16": "{}"}[how]
            file.write_text(text, encoding="utf-16" if how == "UTF-16" else None)
        for dataset, path in (
            ("dots", file.parent),
            ("dots", data_dir / "dots"),
            ("dots", data_dir),
            ("dots", data_dir.parent),
            (file.parent, None),
            (file.parents[1], None),
        ):
            message = refusal(dataset, path)
            assert f"{file.parent} lacks a readable {absent}" in message

    def test_both_files_absent(self, data_dir):
        directory = data_dir / "dots" / "1.0.0"
        for file in ("dataset_info.json", "features.json"):
            (directory / file).unlink()
        message = refusal("dots", data_dir)
        assert f"{directory} lacks a readable dataset_info.json and features.json" in message

    def test_code_of_tfds_and_no_info(self, tmp_path):
        (prepared.write(tmp_path, "cifar10/3.0.2") / "dataset_info.json").unlink()
        message = refusal("cifar10", tmp_path)
        assert f"{tmp_path}/cifar10/3.0.2 lacks a readable dataset_info.json" in message

    def test_another_configuration_or_version(self, tmp_path):
        prepared.write(tmp_path, "imagenet_resized/32x32/0.1.0")
        for name in ("imagenet_resized", "imagenet_resized/8x8"):
            assert given(refusal(name, tmp_path), "dataset") == "imagenet_resized/32x32"
        prepared.write(tmp_path, "dots/1.0.0")
        assert given(refusal("dots:2.0.0", tmp_path), "dataset") == "dots:1.0.0"
        assert given(refusal("dots/1.0.0", tmp_path), "dataset") == "dots"

    @pytest.mark.parametrize("name", ["dots:2.0.0", "dots/small", "blots", "blots:1.0.0"])
    def test_version_directory_of_something_else(self, data_dir, name):
        directory = data_dir / "dots" / "1.0.0"
        message = refusal(name, directory)
        assert "holds the data set 'dots/1.0.0'" in message
        for name in ("dots", "dots:1.0.0", "dots:1.*.*", "dots:*.*.*"):
            assert images.load_images(name, 2, 0, data_dir=directory).num_classes == 3

    def test_renamed_directory_is_reached_by_its_version(self, tmp_path):
        path = prepared.write(tmp_path, "dots/1.0.0")
        path.parent.rename(tmp_path / "copy")
        found = given(refusal("dots", tmp_path), "data_dir")
        assert found == str(tmp_path / "copy" / "1.0.0")
        assert images.load_images("dots", 2, 0, data_dir=found).num_classes == 3

    def test_capitals_that_tfds_takes(self, tmp_path):
        prepared.write(tmp_path / "mnist_data", "mnist/3.0.1")
        for name in ("mnist", "MNIST"):
            assert given(refusal(name, tmp_path), "data_dir") == str(tmp_path / "mnist_data")

    def test_features_that_tfds_cannot_make(self, data_dir):
        file = data_dir / "dots" / "1.0.0" / "features.json"
        file.write_text('{"pythonClassName": "no.such.Class"}')
        for dataset, path in ((file.parent, None), ("dots", file.parent)):
            assert f"cannot read the data set in {file.parent}" in refusal(dataset, path)

    def test_what_is_there_instead(self, data_dir, tmp_path):
        assert "where blots/large, dots is prepared" in refusal("cifar10", data_dir)
        assert "where nothing is prepared" in refusal("cifar10", tmp_path / "nowhere" / "at_all")

    def test_the_name_of_a_path(self, data_dir):
        for path in (data_dir, data_dir / "dots", data_dir.parent):
            message = refusal(path)
            found = re.search("give (.*), which holds", message)[1]
            assert images.load_images(found, 2, 0).num_classes == 3


def write_tree(path, folders, names=("0.png", "1.png")):
    for folder in folders:
        (path / folder).mkdir(parents=True)
        for name in names:
            pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path / folder / name)


@pytest.fixture
def tree(tmp_path):
    """ImageNet's directories: two splits of two classes."""
    path = tmp_path / "ILSVRC" / "Data" / "CLS-LOC"
    write_tree(path, ["train/n01", "train/n02", "val/n01", "val/n02"])
    (tmp_path / "ILSVRC" / "Annotations").mkdir()
    return path


class TestClassFolders:
    @pytest.mark.parametrize(
        "wrong",
        [
            *("..", "../..", "../../.."),
            *("train/n01", "val/n02", "train/n01/0.png", "train/n03"),
            *("../CLS_LOC", "../cls-loc", "../../data/CLS-LOC"),
        ],
    )
    def test_wrong_level_or_misspelt(self, tree, wrong):
        message = refusal((tree / wrong).resolve())
        found = re.search("give (.*?), which holds class folders", message)[1]
        assert found in (str(tree), str(tree / "train"))
        assert images.load_images(found, 2, 0).class_names == ("n01", "n02")
        if "n03" not in wrong:
            assert found == str(tree)

    def test_misspelt_split(self, tree):
        assert f"give {tree / 'train'}, which" in refusal(tree / "trian")

    def test_one_split_without_the_other(self, tree):
        with pytest.raises(ValueError, match=f"give {tree}, which holds both"):
            images.load_images(tree / "train", 2, 2, subset="splits")
        assert images.load_images(tree, 2, 2, subset="splits").num_classes == 2

    @pytest.mark.parametrize("name", ["imagenet2012", "cifar10", "dots", "ImageNet"])
    @pytest.mark.parametrize("level", [".", "..", "train", "train/n01"])
    def test_as_a_data_dir(self, tree, name, level):
        assert given(refusal(name, (tree / level).resolve()), "dataset").startswith(str(tree))

    def test_flat_validation_images(self, tmp_path):
        """As ImageNet comes: the validation and test images lie in no folders of classes."""
        write_tree(tmp_path, ["train/n01", "train/n02", "val", "test"])
        assert f"give {tmp_path / 'train'}, which" in refusal(tmp_path)

    @pytest.mark.parametrize(
        "folders", [["test", "train"], ["train", "val"], ["test", "val"], ["test", "train", "val"]]
    )
    def test_splits_without_classes(self, tmp_path, folders):
        write_tree(tmp_path, folders)
        assert f"holds splits ({', '.join(folders)}), expected train" in refusal(tmp_path)

    def test_images_below_the_class_folders(self, tmp_path):
        """As Tiny ImageNet comes."""
        write_tree(tmp_path, ["train/n01/images", "train/n02/images"])
        message = refusal(tmp_path)
        assert f"{tmp_path / 'train' / 'n01'} holds no image" in message
        assert f"images lie in {tmp_path / 'train' / 'n01' / 'images'}" in message

    def test_class_that_is_called_like_a_file(self, tmp_path):
        names = ("001.toad", "big.jpg", "no.raw", "open.ai")
        write_tree(tmp_path, names)
        assert images.load_images(tmp_path, 2, 0).class_names == names

    def test_splits_in_capital_letters(self, tmp_path):
        write_tree(tmp_path, ["Train/a", "Train/b", "TEST/a", "TEST/b"])
        data = images.load_images(tmp_path, 2, 2, subset="splits")
        assert data.class_names == ("a", "b")
        with pytest.raises(ValueError, match=f"give {tmp_path}, which holds both"):
            images.load_images(tmp_path / "Train", 2, 2, subset="splits")

    def test_splits_by_other_names(self, tmp_path):
        write_tree(tmp_path, ["testing/a", "testing/b", "training/a", "training/b"])
        assert f"give {tmp_path / 'training'}, which" in refusal(tmp_path)

    def test_images_without_folders(self, tmp_path):
        write_tree(tmp_path, ["pictures"])
        assert "holds 0 class folders" in refusal(tmp_path / "pictures")

    def test_nothing_near(self, tmp_path):
        for path in (tmp_path, tmp_path / "nowhere" / "at_all"):
            assert str(path) in refusal(path)

    def test_a_large_directory_is_looked_at_in_part(self, tmp_path):
        for i in range(300):
            (tmp_path / f"{i:03d}" / "deeper" / "still").mkdir(parents=True)
        assert "none was found near it" in refusal(tmp_path / "000" / "deeper" / "still")
