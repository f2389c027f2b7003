"""Files in class folders: every kind is read or refused by its name."""

import os

import numpy as np
import pytest
from absl import logging
from PIL import Image, features

from nngp_tf.data import images
from tests.data import prepared

pytestmark = pytest.mark.fast

RNG = np.random.default_rng(0)


def save(path, shape=(6, 8, 3), **options):
    """Writes a random image of the kind that the suffix says, and returns its pixels."""
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


@pytest.fixture
def folder(tmp_path):
    """Classes a and b of three PNG images each."""
    for name in "ab":
        for i in range(3):
            save(tmp_path / name / f"{i}.png")
    return tmp_path


def load(folder, count, **options):
    """Reads all images, raw, in the order of their classes."""
    data = images.load_images(folder, count, 0, channel_mean=0.0, channel_std=1.0, **options)
    return data.x_train[np.argsort(data.y_train, kind="stable")]


@pytest.mark.parametrize(
    "suffix", [".PNG", ".tif", ".tiff", ".TIFF", ".ppm", ".bmp", ".dib", ".tga", ".pcx", ".ico"]
)
def test_other_kinds_are_read(folder, suffix):
    for path in (folder / "a").iterdir():
        path.unlink()
    expected = save(folder / "a" / f"0{suffix}", (16, 16, 3))
    for path in (folder / "b").iterdir():
        save(path, (16, 16, 3))
    np.testing.assert_array_equal(load(folder, 4)[0], expected)


@pytest.mark.parametrize("kind, lossless", [("webp", True), ("avif", False), ("jpg_2000", True)])
def test_newer_kinds_are_read(folder, kind, lossless):
    if not features.check(kind):
        pytest.skip(f"Pillow was built without {kind}")
    suffix = {"jpg_2000": "jp2"}.get(kind, kind)
    path = folder / "a" / f"3.{suffix}"
    options = {"lossless": True} if kind == "webp" else {}
    save(path, **options)
    shown = np.asarray(Image.open(path).convert("RGB"))
    distances = np.abs(load(folder, 7) - shown).max(axis=(1, 2, 3))
    assert (distances == 0).sum() == 1


@pytest.mark.parametrize(
    "name", ["3.heic", "3.HEIF", "3.svg", "3.jxl", "3.exr", "3.nef", "3.eps", "3.npy", "3.dcm"]
)
def test_images_that_are_not_read_are_refused_by_name(folder, name):
    (folder / "b" / name).write_bytes(b"whatever")
    with pytest.raises(ValueError, match=f"b/{name} is an image of a kind that is not read"):
        load(folder, 6)


def test_files_that_are_no_images_are_skipped_with_a_word(folder, monkeypatch):
    warnings = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: warnings.append(text % values))
    (folder / "a" / ".DS_Store").write_bytes(b"")
    (folder / "a" / "._0.png").write_bytes(b"")
    assert load(folder, 6).shape[0] == 6
    assert not warnings
    for name in ("a/Thumbs.db", "a/notes.txt", "b/labels.csv", "b/3"):
        (folder / name).write_bytes(b"whatever")
    (folder / "b" / "more").mkdir()
    save(folder / "0.png")
    (folder / "c").symlink_to(folder / "nowhere")
    assert load(folder, 6).shape[0] == 6
    (warning,) = warnings
    assert "skipped 7 files" in warning
    assert str(folder / "a" / "Thumbs.db") in warning


def test_the_content_tells_the_kind(folder):
    expected = save(folder / "a" / "0.png")
    (folder / "a" / "0.png").rename(folder / "a" / "0.jpg")
    np.testing.assert_array_equal(load(folder, 6)[:, :, :, 0].max(), 255)
    distances = np.abs(load(folder, 6) - expected).max(axis=(1, 2, 3))
    assert (distances == 0).sum() == 1


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp"])
@pytest.mark.parametrize("kept", [0, 0.03, 0.5])
def test_file_that_is_cut_off_is_named(folder, suffix, kept):
    path = folder / "b" / f"3.{suffix}"
    save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=rf"b/3\.{suffix} does not decode as an image") as error:
        load(folder, 7)
    assert "\n" not in str(error.value)


def test_file_that_is_gone_is_named(folder):
    (folder / "b" / "3.png").symlink_to(folder / "nowhere.png")
    with pytest.raises(ValueError, match=r"b/3\.png cannot be read .*No such file") as error:
        load(folder, 7)
    assert "\n" not in str(error.value)


def test_two_sizes_name_two_files(folder):
    save(folder / "b" / "1.png", (9, 7, 3))
    with pytest.raises(ValueError, match="image_size") as error:
        load(folder, 6)
    message = str(error.value)
    assert str(folder / "b" / "1.png") in message
    assert "9x7" in message
    assert any(str(folder / c / f"{i}.png") in message for c, i in ("a0", "a1", "a2", "b0", "b2"))
    assert "6x8" in message
    assert load(folder, 6, image_size=5).shape == (6, 5, 5, 3)


def test_two_sizes_of_training_and_test_images(tmp_path):
    for name in "ab":
        save(tmp_path / "train" / name / "0.png")
        save(tmp_path / "test" / name / "0.png", (9, 7, 3))
    with pytest.raises(ValueError, match=r"train/./0\.png has 6x8 .*test/./0\.png has 9x7"):
        images.load_images(tmp_path, 2, 2, subset="splits")


def test_two_sizes_in_a_tfds_data_set(tmp_path):
    sizes = [(4, 5), (4, 5), (4, 5), (6, 3)]
    pixels = [RNG.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    directory = prepared.write(tmp_path, "dots/1.0.0", images=pixels, shape=(None, None, 3))
    with pytest.raises(ValueError, match=r"image 0 of .*has 4x5 .*image 3 of .*has 6x3"):
        load(directory, 4)
    assert load(directory, 4, image_size=4).shape == (4, 4, 4, 3)


def test_tfds_data_set_without_its_records(tmp_path):
    directory = prepared.write(tmp_path, "dots/1.0.0")
    for path in directory.glob("*.tfrecord*"):
        path.unlink()
    with pytest.raises(ValueError, match=r"cannot be read .*No such file") as error:
        load(directory, 4)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="expected 6 images"):
        load(directory, 3, balanced=True)


@pytest.mark.parametrize("content", [None, b"", b"whatever" * 100])
def test_tfds_data_set_with_damaged_records_for_testing(tmp_path, content):
    directory = prepared.write(tmp_path, "dots/1.0.0", splits=("train", "test"))
    (path,) = directory.glob("*-test.tfrecord*")
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged in the test split .* expected 6 images"):
        images.load_images(directory, 2, 2, subset="splits")


def test_names_that_are_not_utf8(folder):
    content = (folder / "a" / "0.png").read_bytes()
    path = os.fsencode(folder / "b") + b"/\xe9.png"
    with open(path, "wb") as file:
        file.write(content)
    with pytest.raises(ValueError, match=rf"{folder / 'b'} holds a name that is not UTF-8"):
        load(folder, 6)


def test_names_that_are_not_utf8_do_not_hide_what_is_beside_them(tmp_path):
    for name in "ab":
        save(tmp_path / "images" / name / "0.png")
    os.makedirs(os.fsencode(tmp_path / "other") + b"/\xff")
    with pytest.raises(ValueError, match=f"give {tmp_path / 'images'}, which holds class folders"):
        load(tmp_path, 2)


def test_many_files_are_read_in_their_places(tmp_path):
    """Decoding in parallel keeps every image with its label."""
    for i in range(60):
        path = tmp_path / "abc"[i % 3] / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (3 + 97 * (i % 2), 2), (4 * i, i % 3, 7)).save(path)
    data = images.load_images(tmp_path, 60, 0, image_size=2, channel_mean=0.0, channel_std=1.0)
    np.testing.assert_allclose(data.x_train[:, 0, 0, 1], data.y_train, atol=1e-4)
    np.testing.assert_allclose(np.sort(data.x_train[:, 0, 0, 0]), 4 * np.arange(60), rtol=1e-5)
