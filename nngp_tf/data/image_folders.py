"""Directories of images, one folder per class."""

import os

import numpy as np
import tensorflow as tf

from nngp_tf.data import decoding, splits

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
_TEST_FOLDERS = ("test", "val", "validation")


def open_folder(path: str) -> splits.Source:
    """Find the images of a directory.

    Its folders are the classes, by sorted name, and the images of a class come by sorted name. If
    it has folders `train` and `test` (or `val`, `validation`) which themselves hold folders, these
    are the splits and the classes are those of `train`. Grey images become RGB, transparency is
    dropped, and of an animation the first frame is taken. Hidden folders are skipped.

    Args:
      path: The directory, gs:// included.

    Raises:
      ValueError: If `path` is no directory, has fewer than two classes or a class without images,
        or its test split has a class which `train` lacks.
    """
    if not tf.io.gfile.isdir(path):
        raise ValueError(
            f"There is no directory {path}: "
            "give one that holds a folder of images per class, or the name of a TFDS data set."
        )
    folders = _folders(path)
    train_path, test_path = path, None
    if "train" in folders and _folders(os.path.join(path, "train")):
        tests = [os.path.join(path, name) for name in _TEST_FOLDERS if name in folders]
        test_path = next((test for test in tests if _folders(test)), None)
        # A class may be called `train`: alone or beside a test split it is a split.
        if test_path or folders == ["train"]:
            train_path = os.path.join(path, "train")

    class_names = _folders(train_path)
    if len(class_names) < 2:
        raise ValueError(
            f"{train_path} holds {len(class_names)} class folders, expected at least 2: "
            f"put the images into one folder per class ({', '.join(_SUFFIXES)})."
        )
    return splits.Source(
        name=path,
        class_names=tuple(class_names),
        channels=3,
        train=_split(train_path, class_names),
        find_test=lambda: _split(test_path, class_names) if test_path else None,
    )


def _split(path: str, class_names: list[str]) -> splits.Split:
    """List the images of the classes in `path`; a class may be missing from it."""
    unknown = [name for name in _folders(path) if name not in class_names]
    if unknown:
        raise ValueError(
            f"{path} has a folder {unknown[0]!r} which the training images lack: "
            "both splits need the same classes."
        )
    paths, labels = [], []
    for label, name in enumerate(class_names):
        folder = os.path.join(path, name)
        if not tf.io.gfile.isdir(folder):
            continue
        images = _images(folder)
        if not images:
            raise ValueError(
                f"The class folder {folder} holds no image, expected files with the suffixes "
                f"{', '.join(_SUFFIXES)}: add some or remove the folder."
            )
        paths += [os.path.join(folder, file) for file in images]
        labels += [label] * len(images)
    # Python's strings, since NumPy's own take four bytes a character of the longest.
    paths, labels = np.array(paths, object), np.array(labels, np.int64)
    return splits.Split(path, len(paths), _reader(paths, labels), labels.copy)


def _reader(paths: np.ndarray, labels: np.ndarray) -> splits.ReadFn:
    """Return the function which reads the images at some indices of `paths` [N]."""

    def read(indices, preprocessing):
        selected = paths[indices]
        return decoding.collect_images(
            tf.data.Dataset.from_tensor_slices(
                (np.arange(len(indices)), labels[indices], selected)
            ),
            len(indices),
            decode=_decode_file,
            preprocessing=preprocessing,
            describe=lambda i: str(selected[i]),
        )

    return read


def _decode_file(path: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    pixels.set_shape([None, None, 3])
    return pixels


def _folders(path: str) -> list[str]:
    """Return the sorted names of the folders in `path`."""
    names = []
    for name in tf.io.gfile.listdir(path):
        # Object stores end the names of folders with a slash, which spares asking for each.
        if name.startswith(".") or name.lower().endswith(_SUFFIXES):
            continue
        if name.endswith("/") or tf.io.gfile.isdir(os.path.join(path, name)):
            names.append(name.rstrip("/"))
    return sorted(names)


def _images(path: str) -> list[str]:
    """Return the sorted names of the image files in `path`."""
    names = tf.io.gfile.listdir(path)
    return sorted(n for n in names if n.lower().endswith(_SUFFIXES) and not n.startswith("."))
