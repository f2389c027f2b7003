"""How a directory of class folders is laid out: its splits, its classes, its files."""

import os
from collections.abc import Iterable

import tensorflow as tf

from nngp_tf.data import image_files

TEST_FOLDERS = ("test", "val", "validation", "valid")


def find_splits(path: str) -> tuple[str, str | None]:
    """Return the directories of the training and the test classes of a directory.

    These are `path` and None, unless it has folders `train` and one of TEST_FOLDERS, in small or
    capital letters, which themselves hold folders, or only `train`. A class may be called `train`:
    alone or beside a test split it is a split.

    Raises:
      ValueError: As `names`, and so do the others below.
    """
    splits = {name.lower(): os.path.join(path, name) for name in folders(path)}
    train = splits.get("train")
    if train and folders(train):
        tests = [splits[name] for name in TEST_FOLDERS if name in splits]
        test = next((test for test in tests if folders(test)), None)
        if test or len(splits) == 1:
            return train, test
    return path, None


def is_split(name: str) -> bool:
    """Tell whether a folder is called like a split."""
    return name.lower() in ("train", *TEST_FOLDERS)


def names(path: str) -> list[str]:
    """Return the names in a directory.

    Raises:
      ValueError: If it may not be listed, or a name in it is not UTF-8, which TensorFlow needs.
    """
    try:
        return tf.io.gfile.listdir(path)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} holds a name that is not UTF-8, {error.object!r}: rename it."
        ) from error
    except tf.errors.OpError as error:
        raise ValueError(f"{path} cannot be listed: see that it may be read.") from error


def folders(path: str) -> list[str]:
    """Return the sorted names of the folders in a directory, hidden ones left out."""
    return sorted(only_folders(path, names(path)))


def only_folders(path: str, entries: Iterable[str]) -> list[str]:
    """Return those of some names in a directory that are folders, hidden ones left out."""
    # An object store ends the names of folders with a slash, which spares asking for each. On a
    # disk, where a directory may hold very many images, asking Python takes half the time.
    asks = not path.startswith("gs://")
    is_folder = tf.io.gfile.isdir if "://" in path else os.path.isdir
    return [
        name.rstrip("/")
        for name in entries
        if not name.startswith(".")
        and (name.endswith("/") or (asks and is_folder(os.path.join(path, name))))
    ]


def images(path: str) -> list[str]:
    """Return the sorted names of the images in a directory that are read."""
    return image_files.sort_names(names(path))[0]


def broken_links(path: str) -> list[str]:
    """Return the paths of links in a directory on a disk that lead nowhere, hidden ones left out.

    They may be classes, as a choice of ImageNet's is made by links.
    """
    paths = [os.path.join(path, name) for name in names(path) if not name.startswith(".")]
    return [path for path in paths if os.path.islink(path) and not os.path.exists(path)]


def holds_classes(path: str) -> bool:
    """Tell whether a directory has at least two folders, the first two of which hold images."""
    first = folders(path)[:2]
    return len(first) == 2 and all(images(os.path.join(path, name)) for name in first)
