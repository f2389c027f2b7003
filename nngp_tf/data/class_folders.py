"""How a directory of class folders is laid out: its splits, its classes, its files."""

import os
from collections.abc import Iterable

import tensorflow as tf

from nngp_tf.data import image_files

TEST_FOLDERS = ("test", "val", "validation", "valid")
_COMMON = (".jpg", ".jpeg", ".png", ".bmp", ".gif")


def find_splits(path: str) -> tuple[str, str | None]:
    """Return the directories of the training and the test classes of a directory.

    These are `path` and None, unless it has folders `train` and one of TEST_FOLDERS which
    themselves hold folders, or only `train`. A class may be called `train`: alone or beside a test
    split it is a split.
    """
    names = folders(path)
    train = os.path.join(path, "train")
    if "train" in names and folders(train):
        tests = [os.path.join(path, name) for name in TEST_FOLDERS if name in names]
        test = next((test for test in tests if folders(test)), None)
        if test or names == ["train"]:
            return train, test
    return path, None


def folders(path: str) -> list[str]:
    """Return the sorted names of the folders in a directory, hidden ones left out."""
    return sorted(only_folders(path, tf.io.gfile.listdir(path)))


def only_folders(path: str, names: Iterable[str]) -> list[str]:
    """Return those of some names in a directory that are folders, hidden ones left out."""
    # An object store ends the names of folders with a slash, which spares asking for each; so does
    # the suffix of a common image, of which a directory may hold very many.
    asks = not path.startswith("gs://")
    return [
        name.rstrip("/")
        for name in names
        if not name.startswith(".")
        and not name.lower().endswith(_COMMON)
        and (name.endswith("/") or (asks and tf.io.gfile.isdir(os.path.join(path, name))))
    ]


def images(path: str) -> list[str]:
    """Return the sorted names of the images in a directory that are read."""
    return image_files.sort_names(tf.io.gfile.listdir(path))[0]


def holds_classes(path: str) -> bool:
    """Tell whether a directory has at least two folders, the first two of which hold images."""
    names = folders(path)[:2]
    return len(names) == 2 and all(images(os.path.join(path, name)) for name in names)
