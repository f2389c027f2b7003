import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from sklearn import datasets

from nngp_tf.data import images

# The statistics of the NNGP authors' notebook.
CIFAR10_MEAN, CIFAR10_STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)


def raw(data: images.ImageData, x: np.ndarray) -> np.ndarray:
    """Undoes the standardisation."""
    return x * data.channel_std + data.channel_mean


@pytest.fixture
def folder(tmp_path):
    """Two classes of six 4x6 PNG images; the pixels of image i lie between 10 i and 10 i + 10."""
    rng = np.random.default_rng(0)
    for i in range(12):
        path = tmp_path / "images" / "ab"[i // 6] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = 10 * i + rng.integers(1, 9, size=(4, 6, 3), dtype=np.uint8)
        path.write_bytes(tf.io.encode_png(pixels).numpy())
    return tmp_path / "images"


@pytest.fixture
def splits(folder):
    """The same images as the training split, and the last ten of them as the test split."""
    root = folder.parent / "splits"
    for path in sorted(folder.glob("*/*.png")):
        for split in ("train", "test"):
            copy = root / split / path.parent.name / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if split == "train" or int(path.stem) >= 2:
                copy.write_bytes(path.read_bytes())
    return root


@pytest.mark.fast
class TestDigits:
    def test_arrays_and_description(self):
        data = images.load_images("digits", 100, 50)
        assert data.x_train.shape == (100, 32, 32, 3)
        assert data.x_test.shape == (50, 32, 32, 3)
        assert data.x_train.dtype == data.x_test.dtype == np.float32
        assert data.y_train.dtype == data.y_test.dtype == np.int64
        assert (data.num_classes, data.name) == (10, "digits")
        assert data.class_names == tuple("0123456789")

    def test_images_are_those_of_the_authors_permutation(self):
        order = np.arange(1797)
        np.random.RandomState(3).shuffle(order)
        data = images.load_images("digits", 100, 50, seed=3, image_size=8)
        expected = datasets.load_digits()
        np.testing.assert_array_equal(data.y_train, expected.target[order[:100]])
        np.testing.assert_array_equal(data.y_test, expected.target[order[-50:]])
        np.testing.assert_allclose(
            raw(data, data.x_test)[..., 0], expected.images[order[-50:]] / 16 * 255, atol=1e-3
        )

    def test_computed_statistics_standardise_the_training_images(self):
        data = images.load_images("digits", 200, 10)
        x = data.x_train.astype(np.float64)
        np.testing.assert_allclose(x.mean(axis=(0, 1, 2)), 0.0, atol=1e-5)
        np.testing.assert_allclose(x.std(axis=(0, 1, 2)), 1.0, atol=1e-5)
        assert data.channel_mean.shape == data.channel_std.shape == (3,)

    def test_given_statistics_are_used_and_returned(self):
        computed = images.load_images("digits", 50, 10)
        given = images.load_images("digits", 50, 10, channel_mean=127.5, channel_std=(50, 60, 70))
        np.testing.assert_array_equal(given.channel_mean, [127.5] * 3)
        np.testing.assert_array_equal(given.channel_std, [50.0, 60.0, 70.0])
        for x in ("x_train", "x_test"):
            np.testing.assert_allclose(
                raw(given, getattr(given, x)), raw(computed, getattr(computed, x)), atol=1e-3
            )

    def test_no_test_images(self):
        data = images.load_images("digits", 20, 0)
        assert data.x_test.shape == (0, 32, 32, 3)
        assert data.y_test.shape == (0,)

    def test_everything(self):
        data = images.load_images("digits", 1000, 797, image_size=8)
        assert len(data.y_train) + len(data.y_test) == 1797

    def test_seed_decides_alone(self):
        first, again, other = (images.load_images("digits", 30, 5, seed=s) for s in (1, 1, 2))
        np.testing.assert_array_equal(first.x_train, again.x_train)
        assert not np.array_equal(first.x_train, other.x_train)

    def test_result_is_frozen(self):
        data = images.load_images("digits", 5, 5)
        with pytest.raises(dataclasses.FrozenInstanceError):
            data.num_classes = 3


@pytest.mark.fast
class TestFolders:
    def test_authors_subset_comes_from_the_one_folder(self, folder):
        order = np.arange(12)
        np.random.RandomState(0).shuffle(order)
        data = images.load_images(str(folder), 5, 4)
        np.testing.assert_array_equal(raw(data, data.x_train)[:, 0, 0, 0] // 10, order[:5])
        np.testing.assert_array_equal(raw(data, data.x_test)[:, 0, 0, 0] // 10, order[-4:])
        np.testing.assert_array_equal(data.y_train, order[:5] // 6)
        assert data.class_names == ("a", "b")
        assert data.name == str(folder)

    def test_splits_subset_comes_from_both_splits(self, splits):
        train_order, test_order = np.arange(12), np.arange(10)
        np.random.RandomState(4).shuffle(train_order)
        np.random.RandomState(4).shuffle(test_order)
        data = images.load_images(splits, 12, 6, seed=4, subset="splits")
        np.testing.assert_array_equal(raw(data, data.x_train)[:, 0, 0, 0] // 10, train_order)
        np.testing.assert_array_equal(raw(data, data.x_test)[:, 0, 0, 0] // 10, test_order[:6] + 2)

    def test_authors_subset_leaves_the_test_split_alone(self, splits):
        with pytest.raises(ValueError, match=r"make 13 images, but .*train has 12"):
            images.load_images(splits, 6, 7)

    def test_splits_without_test_images(self, folder):
        # Nothing is asked of a test split that is not there.
        data = images.load_images(folder, 6, 0, subset="splits")
        assert data.x_test.shape == (0, 4, 6, 3)

    def test_image_size_of_two_sides(self, folder):
        assert images.load_images(folder, 6, 2, image_size=(8, 3)).x_test.shape == (2, 8, 3, 3)

    def test_training_and_test_images_of_different_size(self, splits):
        for path in splits.glob("test/*/*.png"):
            path.write_bytes(tf.io.encode_png(np.eye(8, dtype=np.uint8)[..., None]).numpy())
        with pytest.raises(
            ValueError, match=r"train/./\d+\.png has 4x6 .*test/./\d+\.png has 8x8 .*image_size"
        ):
            images.load_images(splits, 6, 4, subset="splits")
        assert images.load_images(splits, 6, 4, subset="splits", image_size=4).x_test.shape[1] == 4

    def test_chosen_classes_are_balanced_and_renumbered(self, folder):
        for path in sorted(folder.glob("b/*.png"))[2:]:
            path.rename(folder / "a" / path.name)
        (folder / "c").mkdir()
        (folder / "a" / "00.png").rename(folder / "c" / "00.png")
        (folder / "a" / "01.png").rename(folder / "c" / "01.png")
        arguments = {"classes": ["c", "a"], "balanced": True}
        data = images.load_images(folder, 2, 2, **arguments)
        assert data.class_names == ("c", "a")
        assert data.num_classes == 2
        for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
            np.testing.assert_array_equal(np.sort(y), [0, 1])
            # Images 0 and 1 are those of c, 6 and 7 of b: the rest is of a.
            number = raw(data, x)[:, 0, 0, 0] // 10
            np.testing.assert_array_equal(number < 2, y == 0)
            assert not np.isin(number, (6, 7)).any()
        with pytest.raises(ValueError, match=r"takes 3 images of each .* 'c' has 2 in the"):
            images.load_images(folder, 4, 2, **arguments)
        with pytest.raises(ValueError, match=r"make 11 images, but the choice of 2 .* has 10"):
            images.load_images(folder, 8, 3, classes=["c", "a"])

    def test_balanced_splits(self, splits):
        data = images.load_images(splits, 6, 4, subset="splits", balanced=True)
        np.testing.assert_array_equal(np.bincount(data.y_train), [3, 3])
        np.testing.assert_array_equal(np.bincount(data.y_test), [2, 2])
        # The test split has four images of a, which training images do not run short of.
        with pytest.raises(ValueError, match=r"takes 5 images .* 'a' has 4 in .*test"):
            images.load_images(splits, 12, 10, subset="splits", balanced=True)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_rounded_images(self, folder, dtype):
        given = {"channel_mean": 60.0, "channel_std": (30.0, 31.0, 32.0)}
        for statistics in ({}, given):
            exact = images.load_images(folder, 6, 3, **statistics)
            rounded = images.load_images(folder, 6, 3, dtype=dtype, **statistics)
            for name in ("x_train", "x_test"):
                one, two = getattr(rounded, name), getattr(exact, name)
                assert one.dtype.name == dtype
                assert two.dtype == np.float32
                # Rounded once, after standardising.
                np.testing.assert_array_equal(one, two.astype(one.dtype))

    def test_corrupt_image_is_named(self, folder):
        (folder / "b" / "07.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        with pytest.raises(ValueError, match=r"b/07\.png does not decode"):
            images.load_images(folder, 10, 2)

    def test_constant_channel(self, folder):
        for path in folder.glob("*/*.png"):
            pixels = tf.io.decode_png(path.read_bytes()).numpy()
            pixels[..., 1] = 9
            path.write_bytes(tf.io.encode_png(pixels).numpy())
        with pytest.raises(ValueError, match=r"Channel 1 has the same value.*give channel_std"):
            images.load_images(folder, 6, 2)
        data = images.load_images(folder, 6, 2, channel_std=1.0)
        assert not data.x_train[..., 1].any()

    def test_constant_images(self, folder):
        for path in folder.glob("*/*.png"):
            path.write_bytes(tf.io.encode_png(np.full((4, 6, 3), 7, np.uint8)).numpy())
        with pytest.raises(ValueError, match=r"x_train is 7\.0 everywhere"):
            images.load_images(folder, 6, 2, channel_std=1.0)

    def test_how_a_directory_is_told_from_a_name(self, folder, monkeypatch):
        monkeypatch.chdir(folder.parent)
        for name in ("images", "./images", "../" + folder.parent.name + "/images", str(folder)):
            assert images.load_images(name, 4, 2).num_classes == 2
        assert images.load_images(pathlib.Path("images"), 4, 2, data_dir="x").num_classes == 2
        assert images.load_images("./images", 4, 2, data_dir="x").num_classes == 2
        # A bare name is the data set's once there is a directory for those.
        with pytest.raises(ValueError, match=r"neither a directory nor .*\./images"):
            images.load_images("images", 4, 2, data_dir="x")


class TestCifar10:
    """On the data of TFDS's cifar10; skipped where they are absent."""

    @pytest.fixture
    def data_dir(self, shared_data):
        path = shared_data / "tensorflow_datasets"
        if not path.is_dir():
            pytest.skip(f"no TFDS data at {path}")
        return path

    def test_images_are_those_of_the_notebook(self, data_dir):
        data = images.load_images(
            "cifar10",
            500,
            200,
            seed=0,
            data_dir=data_dir,
            channel_mean=CIFAR10_MEAN,
            channel_std=CIFAR10_STD,
        )
        assert data.x_train.shape == (500, 32, 32, 3)
        assert data.name == "cifar10/3.0.2"
        assert data.class_names[:3] == ("airplane", "automobile", "bird")

        order = np.arange(50000)
        np.random.RandomState(0).shuffle(order)
        train_place = {index: place for place, index in enumerate(order[:500])}
        test_place = {index: place for place, index in enumerate(order[-200:])}
        compared = 0
        stream = tfds.load("cifar10", split="train", data_dir=data_dir, as_supervised=True)
        for i, (image, label) in enumerate(stream.take(1500).as_numpy_iterator()):
            for place, x, y in (
                (train_place.get(i), data.x_train, data.y_train),
                (test_place.get(i), data.x_test, data.y_test),
            ):
                if place is not None:
                    expected = (image - np.array(CIFAR10_MEAN)) / np.array(CIFAR10_STD)
                    np.testing.assert_allclose(x[place], expected, atol=1e-5)
                    assert y[place] == label
                    compared += 1
        assert compared >= 10

    def test_test_split_and_statistics(self, data_dir):
        data = images.load_images("cifar10", 2000, 100, data_dir=data_dir, subset="splits")
        # Of all images: 125.3, 122.9, 113.9 and about 63, 62, 67.
        np.testing.assert_allclose(data.channel_mean, CIFAR10_MEAN, atol=3.0)
        np.testing.assert_allclose(data.channel_std, CIFAR10_STD, atol=1.5)

        order = np.arange(10000)
        np.random.RandomState(0).shuffle(order)
        stream = tfds.load("cifar10", split="test", data_dir=data_dir, as_supervised=True)
        labels = np.array([label for _, label in stream.take(2000).as_numpy_iterator()])
        known = order[:100] < 2000
        np.testing.assert_array_equal(data.y_test[known], labels[order[:100][known]])

    def test_directory_of_one_version(self, data_dir):
        by_path = images.load_images(data_dir / "cifar10" / "3.0.2", 1, 0)
        by_name = images.load_images("cifar10", 1, 0, data_dir=data_dir / "cifar10" / "3.0.2")
        np.testing.assert_array_equal(by_path.x_train, by_name.x_train)


@pytest.mark.fast
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_train": 0}, "num_train=0, expected an integer of at least 1"),
        ({"num_train": -5}, "num_train=-5"),
        ({"num_train": 2.5}, r"num_train=2\.5"),
        ({"num_train": True}, "num_train=True"),
        ({"num_test": -1}, "num_test=-1, expected an integer of at least 0"),
        ({"num_test": None}, "num_test=None"),
        (
            {"num_train": 1797, "num_test": 1},
            "make 1798 images, but the data set 'digits' has 1797",
        ),
        ({"num_train": 1798, "subset": "splits", "num_test": 0}, r"num_train=1798, but .* 1797"),
        ({"subset": "splits"}, r"digits has no test or validation split.*subset='authors'"),
        ({"subset": "random"}, r"subset='random', expected one of \('authors', 'splits'\)"),
        ({"seed": -1}, "seed=-1, expected an integer of at least 0 and at most 4294967295"),
        ({"seed": 2**32}, "seed=4294967296"),
        ({"classes": ["zero", 1]}, "names 'zero', but digits has no such class among its 10"),
        ({"classes": 11}, "classes=11, expected a number of classes of at least 2 and at most 10"),
        ({"balanced": 1}, "balanced=1, expected True or False"),
        (
            {"balanced": True, "num_test": 0, "num_train": 15},
            "num_train=15 is not a multiple",
        ),
        ({"balanced": True, "classes": 4, "num_test": 0}, "num_train=10 .* 4 classes.* 8 or 12"),
        ({"preprocessing": "crop"}, "preprocessing='crop', expected one of"),
        ({"preprocessing": "mnasnet"}, "crops a square, got image_size=None"),
        ({"dtype": "int8"}, "dtype='int8', expected one of"),
        ({"image_size": 0}, "image_size=0, expected an integer of at least 1"),
        ({"image_size": (8, 8, 3)}, r"image_size=\(8, 8, 3\), expected an integer or \(height"),
        ({"image_size": (8, 2.5)}, r"image_size=2\.5"),
        ({"channel_mean": (1.0, 2.0)}, "channel_mean has 2 values, but the images have 3"),
        ({"channel_mean": float("nan")}, "channel_mean=nan, expected a finite number"),
        ({"channel_std": (1.0, 2.0)}, "channel_std has 2 values, but the images have 3"),
        ({"channel_std": 0.0}, r"channel_std=0\.0, expected values above zero"),
        ({"channel_std": (1.0, -1.0, 1.0)}, "expected values above zero"),
        ({"dataset": ""}, "dataset='', expected a name or a path"),
        ({"dataset": None}, "dataset=None, expected a name or a path"),
        ({"dataset": "/no/such/place"}, "There is no directory /no/such/place"),
        (
            {"dataset": "cifar100", "data_dir": "/no/such/place"},
            r"looked in /no/such/place/cifar100",
        ),
        ({"dataset": "digit"}, r"'digit' is neither a directory nor a data set"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        images.load_images(**{"dataset": "digits", "num_train": 10, "num_test": 5, **arguments})
    assert "\n" not in str(error.value)
