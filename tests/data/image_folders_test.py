import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from nngp_tf.data import image_folders
from nngp_tf.data.preprocessing import Preprocessing

pytestmark = pytest.mark.fast

RNG = np.random.default_rng(0)
ENCODERS = {".png": tf.io.encode_png, ".jpeg": tf.io.encode_jpeg, ".JPG": tf.io.encode_jpeg}


def write(path, shape=(6, 6, 3)):
    """Writes a random image and returns its pixels as they decode."""
    image = RNG.integers(0, 256, size=shape, dtype=np.uint8)
    encoded = ENCODERS[path.suffix](image)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded.numpy())
    return np.asarray(Image.open(io.BytesIO(encoded.numpy())).convert("RGB"))


def read(split):
    return split.read(np.arange(split.size), Preprocessing())


def test_classes_and_images_come_sorted(tmp_path):
    second = write(tmp_path / "cat" / "b.png")
    first = write(tmp_path / "cat" / "a.JPG")
    third = write(tmp_path / "dog" / "0.jpeg")
    (tmp_path / "notes.txt").write_text("not a class")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"not an image")
    (tmp_path / ".cache").mkdir()

    source = image_folders.open_folder(str(tmp_path))
    assert source.class_names == ("cat", "dog")
    assert source.find_test() is None
    pixels, labels = read(source.train)
    np.testing.assert_array_equal(pixels, [first, second, third])
    np.testing.assert_array_equal(labels, [0, 0, 1])
    np.testing.assert_array_equal(source.train.read_labels(), labels)


def test_only_the_chosen_images_are_read_in_the_chosen_order(tmp_path):
    images = [write(tmp_path / name / "0.png") for name in ("a", "b", "c")]
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "0.png").write_bytes(b"would not decode")
    pixels, labels = image_folders.open_folder(str(tmp_path)).train.read(
        np.array([2, 0]), Preprocessing()
    )
    np.testing.assert_array_equal(pixels, [images[2], images[0]])
    np.testing.assert_array_equal(labels, [2, 0])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_and_transparent_images_become_rgb(tmp_path, channels):
    expected = write(tmp_path / "a" / "0.png", (6, 6, channels))
    write(tmp_path / "b" / "0.png")
    pixels, _ = read(image_folders.open_folder(str(tmp_path)).train)
    np.testing.assert_array_equal(pixels[0], expected)


def test_bmp_and_first_frame_of_gif(tmp_path):
    # Two colours, 1x1 pixel each: a 24-bit BMP, and a GIF of one frame.
    bmp = bytes.fromhex(
        "424d3a0000000000000036000000280000000100000001000000010018000000000004000000"
        "00000000000000000000000000000000" + "0a141e00"
    )
    gif = bytes.fromhex("4749463839610100010080000000ff00ffffff2c00000000010001000002024401003b")
    for name, content in (("a/0.bmp", bmp), ("b/0.gif", gif)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
    pixels, _ = read(image_folders.open_folder(str(tmp_path)).train)
    np.testing.assert_array_equal(pixels[:, 0, 0], [[30, 20, 10], [0, 255, 0]])


@pytest.mark.parametrize("test_name", ["test", "val", "validation", "valid"])
def test_split_folders(tmp_path, test_name):
    for split, count in (("train", 3), (test_name, 2)):
        for name in ("a", "b", "c"):
            for i in range(count):
                write(tmp_path / split / name / f"{i}.png")
    # The test split may lack a class.
    for path in sorted((tmp_path / test_name / "b").iterdir()):
        path.unlink()
    (tmp_path / test_name / "b").rmdir()

    source = image_folders.open_folder(str(tmp_path))
    assert source.class_names == ("a", "b", "c")
    assert source.train.size == 9
    _, labels = read(source.find_test())
    np.testing.assert_array_equal(labels, [0, 0, 2, 2])


def test_unlabelled_test_folder_gives_way_to_val(tmp_path):
    for split in ("train", "val"):
        for name in ("a", "b"):
            write(tmp_path / split / name / "0.png")
    write(tmp_path / "test" / "0.png")
    assert image_folders.open_folder(str(tmp_path)).find_test().description.endswith("val")


def test_train_may_be_a_class(tmp_path):
    for name in ("bus", "test", "train"):
        write(tmp_path / name / "0.png")
    source = image_folders.open_folder(str(tmp_path))
    assert source.class_names == ("bus", "test", "train")
    assert source.train.size == 3


@pytest.mark.parametrize("content", [b"", b"no image", "truncated"])
def test_file_that_does_not_decode_is_named(tmp_path, content):
    for name in ("a", "b"):
        for i in range(3):
            write(tmp_path / name / f"{i}.png")
    bad = tmp_path / "b" / "1.png"
    bad.write_bytes(bad.read_bytes()[:60] if content == "truncated" else content)
    with pytest.raises(ValueError, match="does not decode") as error:
        read(image_folders.open_folder(str(tmp_path)).train)
    assert str(error.value).startswith(f"{bad} does not decode as an image (")
    assert "\n" not in str(error.value)


def test_no_directory(tmp_path):
    with pytest.raises(ValueError, match=r"There is no directory .*nowhere"):
        image_folders.open_folder(str(tmp_path / "nowhere"))


def test_fewer_than_two_classes(tmp_path):
    write(tmp_path / "0.png")
    with pytest.raises(ValueError, match="holds 0 class folders, expected at least 2"):
        image_folders.open_folder(str(tmp_path))
    write(tmp_path / "a" / "0.png")
    with pytest.raises(ValueError, match="holds 1 class folders"):
        image_folders.open_folder(str(tmp_path))


def test_class_without_images(tmp_path):
    write(tmp_path / "a" / "0.png")
    (tmp_path / "b").mkdir()
    with pytest.raises(ValueError, match=r"class folder .*b holds no image.*\.png"):
        image_folders.open_folder(str(tmp_path))


def test_test_class_that_train_lacks(tmp_path):
    for name in ("train/a", "train/b", "test/a", "test/z"):
        write(tmp_path / name / "0.png")
    with pytest.raises(ValueError, match="folder 'z' which the training images lack"):
        image_folders.open_folder(str(tmp_path)).find_test()
