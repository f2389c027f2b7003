"""ImageNet's formats, filled with real photographs: from files to a kernel and its scores."""

import io
import tarfile

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from nngp_tf.data import images, preprocessing
from nngp_tf.gaussian_process import scan_diag_reg
from nngp_tf.kernels import monte_carlo_kernel
from tests.data import photographs

A_CLASS = 24
SYNSETS = ("n01440764", "n01443537", "n01484850", "n01491361")


@pytest.fixture(scope="module")
def photos(shared_data):
    return photographs.by_class(shared_data, A_CLASS)


@pytest.fixture(scope="module")
def folder(photos, tmp_path_factory):
    """One folder of JPEG files per class."""
    root = tmp_path_factory.mktemp("photographs")
    for name, encoded in photos.items():
        (root / name).mkdir()
        for i, content in enumerate(encoded):
            (root / name / f"{i:03d}.JPEG").write_bytes(content)
    return root


def add(archive, name, content):
    """Adds a file to a tar archive."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


@pytest.fixture(scope="module")
def imagenet2012(photos, tmp_path_factory):
    """A data_dir with ImageNet's two archives: four synsets of 24 images, and 40 to validate."""
    data_dir = tmp_path_factory.mktemp("tensorflow_datasets")
    manual = data_dir / "downloads" / "manual"
    manual.mkdir(parents=True)
    classes = list(photos.values())
    with tarfile.open(manual / "ILSVRC2012_img_train.tar", "w") as train:
        for synset, encoded in zip(SYNSETS, classes, strict=False):
            content = io.BytesIO()
            with tarfile.open(fileobj=content, mode="w") as inner:
                for i, image in enumerate(encoded):
                    add(inner, f"{synset}_{i}.JPEG", image)
            add(train, f"{synset}.tar", content.getvalue())
    with tarfile.open(manual / "ILSVRC2012_img_val.tar", "w") as validation:
        for i in range(40):
            add(validation, f"ILSVRC2012_val_{i + 1:08d}.JPEG", classes[4 + i % 4][i // 4])
    return data_dir


def by_tensorflow(encoded):
    """The pixels of a JPEG as TFDS decodes it."""
    return tf.io.decode_jpeg(encoded, channels=3).numpy()


def by_pillow(encoded):
    """The pixels of a JPEG as it is decoded in a class folder."""
    return np.asarray(Image.open(io.BytesIO(encoded)))


def decoded(encoded, size, decode):
    """What MnasNet's evaluation makes of a JPEG, standardised, by hand."""
    pixels = decode(encoded)
    height, width, _ = pixels.shape
    side = min(height, width) * size // (size + 32)
    top, left = (height - side + 1) // 2, (width - side + 1) // 2
    crop = pixels[top : top + side, left : left + side]
    resized = tf.compat.v1.image.resize(crop[None], (size, size))[0].numpy()
    return (resized / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


def tiny_network(shape):
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(64, 5, strides=2, activation="relu"),
            keras.layers.Conv2D(64, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(name="features"),
        ]
    )


class TestFolderOfPhotographs:
    def test_arrays(self, folder, photos):
        classes = ["ship", "frog", "deer"]
        data = images.load_images(
            folder,
            60,
            12,
            seed=1,
            classes=classes,
            balanced=True,
            image_size=48,
            preprocessing="mnasnet",
        )
        assert data.x_train.shape == (60, 48, 48, 3)
        assert data.class_names == tuple(classes)
        assert data.num_classes == 3
        np.testing.assert_array_equal(np.bincount(data.y_train), [20] * 3)
        np.testing.assert_array_equal(np.bincount(data.y_test), [4] * 3)
        np.testing.assert_array_equal(data.channel_mean, preprocessing.MNASNET_MEAN)

        # Every image is one of its class, none comes twice, and 24 of each were asked for.
        for label, name in enumerate(classes):
            expected = np.stack([decoded(encoded, 48, by_pillow) for encoded in photos[name]])
            got = np.concatenate([data.x_train[data.y_train == label]])
            got = np.concatenate([got, data.x_test[data.y_test == label]])
            distances = np.abs(got[:, None] - expected[None]).max(axis=(2, 3, 4))
            assert (distances.min(axis=1) < 1e-3).all()
            np.testing.assert_array_equal(np.sort(distances.argmin(axis=1)), np.arange(A_CLASS))

    def test_from_files_to_scores(self, folder):
        """Two classes of 16 + 8 images, held in bfloat16, tell apart planes and trucks."""
        arguments = {
            "classes": ["airplane", "truck"],
            "balanced": True,
            "image_size": 32,
            "preprocessing": "mnasnet",
        }
        kernels = {}
        for dtype in ("float32", "bfloat16"):
            data = images.load_images(folder, 32, 16, dtype=dtype, **arguments)
            assert data.x_train.dtype.name == data.x_test.dtype.name == dtype
            kernels[dtype] = monte_carlo_kernel(
                tiny_network(data.x_train.shape[1:]),
                data.x_train,
                data.x_test,
                num_inits=4,
                compute_dtype="float32",
            )
        exact, rounded = (kernels[name].train_train for name in ("float32", "bfloat16"))
        assert 0 < np.abs(rounded - exact).max() < 0.02 * np.abs(exact).max()
        assert np.linalg.eigvalsh(rounded).min() > 0
        scan = scan_diag_reg(
            kernels["bfloat16"], data.y_train, data.y_test, num_classes=data.num_classes
        )
        # Chance is a half; 15 of 16 were right when this was written.
        assert scan.best("test_accuracy") >= 0.75

    @pytest.mark.skipif(not tf.io.gfile.exists("/proc/self/clear_refs"), reason="needs Linux")
    @pytest.mark.parametrize("statistics, factor", [("known", 1), ("computed", 3)])
    def test_peak_memory_is_the_formula(self, folder, statistics, factor):
        options = {"preprocessing": "mnasnet"} if statistics == "known" else {}
        options |= {"image_size": 224, "dtype": "bfloat16"}
        images.load_images(folder, 10, 10, **options)
        before = resident_peak()
        data = images.load_images(folder, 200, 40, **options)
        array = data.x_train.nbytes + data.x_test.nbytes
        assert array == 240 * 224 * 224 * 3 * 2
        # Beside it, images in flight are less than a megabyte; the rest is the allocator's.
        assert resident_peak(reset=False) - before < factor * array + 30e6


def resident_peak(reset=True):
    """Peak of this process's memory in bytes, since the last reset."""
    if reset:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


class TestImagenet2012:
    """As TFDS prepares it from the archives that a person has put into their place."""

    def test_prepared_from_archives_and_read(self, imagenet2012, photos):
        with pytest.raises(ValueError, match=r"not prepared, looked in .*download=True"):
            images.load_images("imagenet2012", 4, 0, data_dir=imagenet2012)
        arguments = {"data_dir": imagenet2012, "image_size": 40, "preprocessing": "mnasnet"}
        data = images.load_images("imagenet2012", 60, 36, download=True, **arguments)
        assert data.name == "imagenet2012/5.1.0"
        assert data.num_classes == 1000
        np.testing.assert_array_equal(np.unique(data.y_train), [0, 1, 2, 3])

        # Once prepared it needs neither archives nor `download`.
        data = images.load_images(
            "imagenet2012", 40, 8, classes=SYNSETS[2:0:-1], balanced=True, **arguments
        )
        assert data.class_names == ("n01484850", "n01443537")
        np.testing.assert_array_equal(np.bincount(data.y_train), [20, 20])
        np.testing.assert_array_equal(np.bincount(data.y_test), [4, 4])
        for label, encoded in enumerate(list(photos.values())[2:0:-1]):
            expected = np.stack([decoded(image, 40, by_tensorflow) for image in encoded])
            got = data.x_train[data.y_train == label]
            distances = np.abs(got[:, None] - expected[None]).max(axis=(2, 3, 4))
            assert (distances.min(axis=1) < 1e-3).all()

        # Its validation images are the ones to test on; TFDS knows their labels by their names.
        data = images.load_images("imagenet2012", 20, 40, subset="splits", **arguments)
        names = tfds.builder("imagenet2012", data_dir=imagenet2012).info.features["label"].names
        assert data.class_names == tuple(names)
        assert len(np.unique(data.y_test)) > 30

        with pytest.raises(
            ValueError, match=r"num_test=14, but the choice of 2 classes .* 0 images"
        ):
            images.load_images(
                "imagenet2012",
                14,
                14,
                subset="splits",
                classes=SYNSETS[:2],
                balanced=True,
                **arguments,
            )

    def test_absent(self, tmp_path):
        for download in (False, True):
            with pytest.raises(ValueError, match=r"put ILSVRC2012_img_train\.tar and ILSVRC2012_"):
                images.load_images("imagenet2012", 4, 0, data_dir=tmp_path, download=download)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
class TestImagenetResized:
    def test_prepared(self, size, photos, tmp_path):
        builder = tfds.builder(f"imagenet_resized/{size}x{size}", data_dir=tmp_path)
        (tmp_path / "imagenet_resized" / f"{size}x{size}" / "0.1.0").mkdir(parents=True)
        writer = tfds.core.SequentialWriter(builder.info, max_examples_per_shard=100)
        writer.initialize_splits(["train", "validation"])
        for split, part in (("train", slice(8)), ("validation", slice(8, 12))):
            for label, encoded in enumerate(list(photos.values())[:3]):
                resized = [
                    tf.cast(tf.image.resize(tf.io.decode_jpeg(x), (size, size)), tf.uint8).numpy()
                    for x in encoded[part]
                ]
                writer.add_examples({split: [{"image": x, "label": label} for x in resized]})
        writer.close_all()

        data = images.load_images(
            f"imagenet_resized/{size}x{size}",
            16,
            8,
            data_dir=tmp_path,
            subset="splits",
            classes=[2, 0],
            balanced=True,
        )
        assert data.name == f"imagenet_resized/{size}x{size}/0.1.0"
        assert data.x_train.shape == (16, size, size, 3)
        assert data.x_test.shape == (8, size, size, 3)
        names = builder.info.features["label"].names
        assert data.class_names == (names[2], names[0])
        np.testing.assert_array_equal(np.bincount(data.y_train), [8, 8])
        np.testing.assert_array_equal(np.bincount(data.y_test), [4, 4])

    def test_absent(self, size, tmp_path):
        name = f"imagenet_resized/{size}x{size}"
        with pytest.raises(ValueError, match=f"{name}' is not prepared, looked in .*download=True"):
            images.load_images(name, 4, 0, data_dir=tmp_path)
