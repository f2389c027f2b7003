import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from nngp_tf.data import tfds_source
from nngp_tf.data.preprocessing import Preprocessing

pytestmark = pytest.mark.fast

CLASSES = ("circle", "square", "star")
FEATURES = {
    "image": tfds.features.Image(shape=(5, 4, 3), encoding_format="png"),
    "label": tfds.features.ClassLabel(names=CLASSES),
    "note": tfds.features.Text(),
}
LABELS = {"train": np.arange(12) % 3, "test": np.arange(6) % 3}


class NngpTfShapes(tfds.core.GeneratorBasedBuilder):
    """A data set with code, as those that come with TFDS are."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(FEATURES))

    def _split_generators(self, dl_manager):
        raise NotImplementedError

    def _generate_examples(self):
        raise NotImplementedError


def prepare(
    data_dir,
    name="nngp_tf_shapes",
    version="1.0.0",
    labels=LABELS,
    features=FEATURES,
    keys=("image", "label"),
    shard_size=1000,
):
    """Writes random images as a prepared data set of TFDS; returns its version directory."""
    directory = f"{data_dir}/{name}/{version}"
    tf.io.gfile.makedirs(directory)
    identity = tfds.core.DatasetIdentity(
        name=name,
        version=tfds.core.Version(version),
        data_dir=directory,
        module_name=__name__,
    )
    info = tfds.core.DatasetInfo(
        builder=identity, features=tfds.features.FeaturesDict(features), supervised_keys=keys
    )
    rng = np.random.default_rng(0)
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=shard_size)
    writer.initialize_splits(list(labels))
    for split, classes in labels.items():
        images = rng.integers(0, 256, size=(len(classes), 5, 4, 3), dtype=np.uint8)
        examples = [
            {"image": image, "label": label, "note": "not read"}
            for image, label in zip(images, classes, strict=True)
        ]
        writer.add_examples({split: examples})
    writer.close_all()
    return directory


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    data_dir = str(tmp_path_factory.mktemp("tensorflow_datasets"))
    prepare(data_dir)
    return data_dir


def as_loaded(data_dir, split):
    """All images and labels, read the plain way."""
    images, labels = tfds.load(
        "nngp_tf_shapes", split=split, data_dir=data_dir, as_supervised=True, batch_size=-1
    )
    return images.numpy(), labels.numpy()


def test_chosen_images_come_in_the_chosen_order(prepared):
    source = tfds_source.open_by_name("nngp_tf_shapes", prepared, download=False)
    assert source.name == "nngp_tf_shapes/1.0.0"
    assert source.class_names == tuple(CLASSES)
    assert source.channels == 3
    assert source.train.size == 12

    images, labels = as_loaded(prepared, "train")
    chosen = np.array([7, 2, 11, 0, 5])
    pixels, classes = source.train.read(chosen, Preprocessing())
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, images[chosen])
    np.testing.assert_array_equal(classes, labels[chosen])
    np.testing.assert_array_equal(source.train.read_labels(), labels)


def test_test_split_and_resizing(prepared):
    test = tfds_source.open_by_name("nngp_tf_shapes", prepared, download=False).find_test()
    images, labels = as_loaded(prepared, "test")
    pixels, classes = test.read(np.arange(6), Preprocessing(image_size=(10, 8)))
    np.testing.assert_allclose(pixels, tf.image.resize(images, (10, 8)), atol=1e-3)
    np.testing.assert_array_equal(classes, labels)


@pytest.mark.parametrize("name", ["nngp_tf_shapes", "nngp_tf_shapes:1.0.0", "nngp_tf_shapes:1.*.*"])
def test_data_dir_may_be_one_version_of_the_data_set(prepared, name):
    source = tfds_source.open_by_name(name, f"{prepared}/nngp_tf_shapes/1.0.0", download=False)
    assert source.train.size == 12


def test_code_of_another_version_reads_what_is_prepared(prepared, monkeypatch):
    monkeypatch.setattr(NngpTfShapes, "VERSION", tfds.core.Version("2.0.0"))
    source = tfds_source.open_by_name("nngp_tf_shapes", prepared, download=False)
    assert source.name == "nngp_tf_shapes/1.0.0"


def test_data_set_without_code(tmp_path):
    directory = prepare(tmp_path, name="nngp_tf_stored", version="1.2.3")
    by_name = tfds_source.open_by_name("nngp_tf_stored", str(tmp_path), download=False)
    by_directory = tfds_source.open_directory(directory)
    for source in (by_name, by_directory):
        assert source.name == "nngp_tf_stored/1.2.3"
        pixels, _ = source.train.read(np.array([3, 1]), Preprocessing())
        assert pixels.shape == (2, 5, 4, 3)


def test_withheld_test_labels_give_way_to_validation(tmp_path):
    labels = {**LABELS, "test": np.full(6, -1), "validation": np.arange(6) % 3}
    test = tfds_source.open_directory(prepare(tmp_path, labels=labels)).find_test()
    assert test.description.startswith("the validation split")


def test_no_split_with_labels_for_testing(tmp_path):
    directory = prepare(tmp_path, labels={**LABELS, "test": np.full(6, -1)})
    assert tfds_source.open_directory(directory).find_test() is None


def test_images_of_several_files_come_in_the_order_of_tfds(tmp_path):
    # TFDS interleaves files in blocks of 16 images: not the order in which they were written.
    prepare(tmp_path, labels={"train": np.arange(120) % 3}, shard_size=30)
    source = tfds_source.open_by_name("nngp_tf_shapes", str(tmp_path), download=False)
    images, labels = as_loaded(str(tmp_path), "train")
    assert not np.array_equal(labels, np.arange(120) % 3)
    pixels, classes = source.train.read(np.arange(120), Preprocessing())
    np.testing.assert_array_equal(pixels, images)
    np.testing.assert_array_equal(classes, labels)
    np.testing.assert_array_equal(source.train.read_labels(), labels)


def test_image_that_does_not_decode_is_named(tmp_path):
    directory = prepare(tmp_path)
    (path,) = tf.io.gfile.glob(f"{directory}/*train*")
    records = [record.numpy() for record in tf.data.TFRecordDataset(path)]
    example = tf.train.Example.FromString(records[4])
    encoded = example.features.feature["image"].bytes_list
    encoded.value[:] = [encoded.value[0][:40]]
    records[4] = example.SerializeToString()
    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)

    train = tfds_source.open_directory(directory).train
    message = "image 4 of the train split of TFDS data set nngp_tf_shapes/1.0.0 does not decode"
    with pytest.raises(ValueError, match=message):
        train.read(np.array([9, 4, 1]), Preprocessing())
    # It does no harm where it is not chosen: what is not chosen is not decoded.
    train.read(np.array([9, 3, 1]), Preprocessing())


def test_damaged_file(tmp_path):
    directory = prepare(tmp_path)
    (path,) = tf.io.gfile.glob(f"{directory}/*train*")
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(content[: len(content) // 2])
    train = tfds_source.open_directory(directory).train
    with pytest.raises(
        ValueError, match="The data end or are damaged before image 11 of the train"
    ):
        train.read(np.array([11, 1]), Preprocessing())
    message = r"The data end or are damaged in the train split of TFDS .*, expected 12 images"
    with pytest.raises(ValueError, match=message):
        train.read_labels()
    # The same where the checksum of a record in the middle does not hold.
    content = bytearray(content)
    content[len(content) // 2] ^= 255
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(bytes(content))
    with pytest.raises(ValueError, match=message):
        train.read_labels()


def test_file_that_lacks_images(tmp_path):
    directory = prepare(tmp_path)
    (path,) = tf.io.gfile.glob(f"{directory}/*train*")
    records = [record.numpy() for record in tf.data.TFRecordDataset(path)]
    with tf.io.TFRecordWriter(path) as writer:
        for record in records[:-2]:
            writer.write(record)
    train = tfds_source.open_directory(directory).train
    with pytest.raises(ValueError, match=r"end or are damaged in .*, expected 12 images"):
        train.read_labels()


@pytest.mark.parametrize(
    "name, message",
    [
        ("cifar11", r"'cifar11' is neither a directory nor.*cifar10.*\./cifar11"),
        ("no_such_thing_at_all", "no name is close"),
        ("images/of/flowers", r"neither a directory nor.*\./images/of/flowers"),
        ("imagenet_resized/99x99", "close names: imagenet_resized/8x8, imagenet_resized/16x16"),
        ("cifar10:9.9.9", "cannot be loaded at version 9.9.9"),
        ("cifar100", "'cifar100' is not prepared, looked in .*empty/cifar100/.*download=True"),
        ("huggingface:mnist", "over the network: pass download=True"),
        ("kubric:movi", "over the network: pass download=True"),
    ],
)
def test_data_set_that_cannot_be_opened(tmp_path, name, message):
    with pytest.raises(ValueError, match=message) as error:
        tfds_source.open_by_name(name, str(tmp_path / "empty"), download=False)
    assert "\n" not in str(error.value)


def test_default_data_dir_is_named():
    with pytest.raises(ValueError, match=r"not prepared, looked in .*cifar100"):
        tfds_source.open_by_name("cifar100", None, download=False)


def test_version_directory_of_another_data_set(prepared):
    with pytest.raises(
        ValueError, match=r"holds the data set 'nngp_tf_shapes/1\.0\.0', not 'cifar10'"
    ):
        tfds_source.open_by_name("cifar10", f"{prepared}/nngp_tf_shapes/1.0.0", download=False)


def test_only_download_lets_tfds_prepare(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        NngpTfShapes, "download_and_prepare", lambda self: calls.append(self.data_dir)
    )
    with pytest.raises(ValueError, match="not prepared"):
        tfds_source.open_by_name("nngp_tf_shapes", str(tmp_path), download=False)
    assert not calls
    # Nothing is prepared by the stand-in, so the data set is refused after the call.
    with pytest.raises(ValueError, match="supervised_keys=None"):
        tfds_source.open_by_name("nngp_tf_shapes", str(tmp_path), download=True)
    assert calls == [f"{tmp_path}/nngp_tf_shapes/1.0.0"]


@pytest.mark.parametrize(
    "features, keys",
    [
        (FEATURES, None),
        (FEATURES, ("note", "label")),
        ({**FEATURES, "label": tfds.features.Scalar(np.int64)}, ("image", "label")),
    ],
)
def test_data_set_without_image_and_class_label(tmp_path, features, keys):
    directory = prepare(tmp_path, features=features, keys=keys)
    message = r"nngp_tf_shapes/1\.0\.0' has supervised_keys=.*expected an 8-bit image and a class"
    with pytest.raises(ValueError, match=message):
        tfds_source.open_directory(directory)


def test_data_set_without_training_split(tmp_path):
    directory = prepare(tmp_path, labels={"test": np.arange(6) % 3})
    with pytest.raises(ValueError, match=r"has the splits \['test'\], expected one called 'train'"):
        tfds_source.open_directory(directory)
