"""Names of data sets that are not known: the nearest is offered."""

import re

import pytest

from nngp_tf.data import images
from tests.data import prepared

pytestmark = pytest.mark.fast


def offered(name, data_dir):
    """The names that the refusal of `name` offers."""
    with pytest.raises(ValueError, match=re.escape(repr(name))) as error:
        images.load_images(name, 2, 0, data_dir=data_dir)
    assert "\n" not in str(error.value)
    return re.search("close names: (.*?)\\)", str(error.value))[1].split(", ")


@pytest.mark.parametrize(
    "name, nearest",
    [
        ("CIFAR10", "cifar10"),
        ("CIFAR-10", "cifar10"),
        ("cifar_10", "cifar10"),
        ("Cifar-100", "cifar100"),
        ("cifar", "cifar10"),
        ("ImageNet", "imagenet2012"),
        ("imagenet-1k", "imagenet2012"),
        ("ILSVRC2012", "imagenet2012"),
        ("ImageNet32x32", "imagenet_resized/32x32"),
        ("ImageNet16-120", "imagenet_resized/16x16"),
        ("imagenet_resized/32X32", "imagenet_resized/32x32"),
        ("fashion-mnist", "fashion_mnist"),
        ("SVHN", "svhn_cropped"),
        ("STL-10", "stl10"),
        ("EMNIST-", "emnist"),
        ("digit", "digits"),
        ("Digits", "digits"),
        ("eurosat_", "eurosat"),
    ],
)
def test_nearest_name_is_offered_first(tmp_path, name, nearest):
    assert offered(name, tmp_path)[0] == nearest


def test_data_set_of_ones_own(tmp_path):
    prepared.write(tmp_path, "my_cifar/1.0.0")
    assert offered("My-CIFAR", tmp_path)[0] == "my_cifar"


def test_prepared_one_goes_before_equally_near_ones(tmp_path):
    assert offered("CIFAR", tmp_path)[:2] == ["cifar10", "cifar100"]
    prepared.write(tmp_path, "cifar100/3.0.2")
    assert offered("CIFAR", tmp_path)[:2] == ["cifar100", "cifar10"]


def test_nothing_near(tmp_path):
    with pytest.raises(ValueError, match="no name is close"):
        images.load_images("qqqqqqqq", 2, 0, data_dir=tmp_path)


@pytest.mark.parametrize("name, known", [("MNIST", "mnist"), ("FashionMNIST", "fashion_mnist")])
def test_capitals_that_tfds_takes(tmp_path, name, known):
    message = f"'{known}' is not prepared, looked in {tmp_path}/{known}/"
    with pytest.raises(ValueError, match=message):
        images.load_images(name, 2, 0, data_dir=tmp_path)


def test_classes_likewise(tmp_path):
    directory = prepared.write(tmp_path, "letters/1.0.0")
    with pytest.raises(ValueError, match="no such class among its 3, close to it are x: choose"):
        images.load_images(directory, 2, 0, classes=["X", "y"])
