"""What lies around a path that holds no data set, and which path near it looks right.

Folders are listed up to six levels below and three above, a hundred from each of them.
"""

import collections
import dataclasses
import json
import os
import re
from collections.abc import Iterator

import tensorflow as tf

from nngp_tf.data import class_folders, image_files, names

_BELOW, _ABOVE, _FOLDERS, _ENTRIES = 6, 3, 100, 100
# Class folders deeper below a directory of prepared data sets have nothing to do with the name.
_BELOW_DATA_DIR = 2
# Where TFDS keeps what it has fetched, class folders among it.
_DOWNLOADS = "downloads"
# The files without which TFDS does not read a version of a data set.
VERSION_FILES = ("dataset_info.json", "features.json")
_SHARD = re.compile(r"\.\w+-\d{5}(-of-\d{5})?$")


@dataclasses.dataclass(frozen=True)
class Version:
    """One prepared version of a TFDS data set.

    Attributes:
      directory: Where its files lie.
      full_name: Its name, configuration if there is one, and version: imagenet_resized/32x32/0.1.0.
      missing: Those of `VERSION_FILES` that are not there or do not parse.
    """

    directory: str
    full_name: str
    missing: tuple[str, ...]

    @property
    def data_dir(self) -> str:
        """What finds it as `data_dir`: the directory above all of its name, or else its own."""
        return self.directory.removesuffix("/" + self.full_name)

    @property
    def lack(self) -> str:
        """In words, what keeps TFDS from reading it."""
        return (
            f"{self.directory} lacks a readable {' and '.join(self.missing)}, without which TFDS "
            "does not read it: copy it again with all of its files, or prepare it anew"
        )


def absolute(path: str) -> str:
    """Return a path without a slash at its end, and from the root on if it is no URL."""
    return path.rstrip("/") if "://" in path else os.path.abspath(path)


def read_version(path: str, entries: list[str] | None = None) -> Version | None:
    """Return the prepared version whose files lie in a directory, None if those are no version's.

    Args:
      path: The directory.
      entries: Its listing where that is known.
    """
    if entries is None:
        entries = class_folders.names(path) if tf.io.gfile.isdir(path) else []
    if not any(name in VERSION_FILES or _SHARD.search(name) for name in entries):
        return None
    missing = [name for name in VERSION_FILES if name not in entries]
    full_name = "/".join(path.rstrip("/").split("/")[-2:])
    for file in VERSION_FILES:
        if file in missing:
            continue
        try:
            with tf.io.gfile.GFile(os.path.join(path, file)) as opened:
                content = json.load(opened)
            if file == "features.json":
                _ = content["pythonClassName"]
            else:
                parts = (content["name"], content.get("configName"), content["version"])
                full_name = "/".join(part for part in parts if part)
        except (ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError):
            missing.append(file)
    return Version(path.rstrip("/"), full_name, tuple(missing))


def near_data_set(name: str, data_dir: str) -> str | None:
    """Say where a TFDS data set lies that was not found in `data_dir`, and how to reach it.

    Args:
      name: The data set as the user named it, e.g. cifar10 or imagenet_resized/32x32:0.1.0.
      data_dir: The directory in which it was looked for; need not exist.

    Returns:
      The end of a sentence; None where nothing near looks right.
    """
    data_dir = absolute(data_dir)
    base = re.split("[/:]", name)[0]
    around = list(_versions_around(base, data_dir))
    of_name = [v for v in around if base in v.full_name.split("/")[:1]]
    complete = [version for version in of_name if not version.missing]
    here = [version for version in complete if version.data_dir == data_dir]
    if here:
        # Of this data set another configuration or version than the one that was asked for.
        *dataset, version = here[0].full_name.split("/")
        dataset = "/".join(dataset) + (f":{version}" if ":" in name else "")
        listed = ", ".join(dict.fromkeys(version.full_name for version in here))
        return f"but {listed} is prepared there: give dataset={dataset!r}"
    if complete:
        return f"but it lies in {complete[0].directory}: give data_dir={complete[0].data_dir}"
    incomplete = [v for v in around if v.missing and base in v.directory.split("/")[-3:]]
    if incomplete:
        return f"and {incomplete[0].lack}"
    if tree := _tree_around(data_dir, _BELOW_DATA_DIR):
        return f"but {tree} holds class folders of images: give dataset={tree} to read those"
    return None


def prepared_names(data_dir: str) -> list[str]:
    """Return the names of the data sets prepared in a directory, with their configurations."""
    versions = [version for version in _versions_below(data_dir, "") if not version.missing]
    return sorted({version.full_name.rpartition("/")[0] for version in versions})


def near_images(path: str) -> str:
    """Say which path near `path` looks right for class folders of images, or what was sought."""
    path = absolute(path)
    versions = list(_versions_below(path, ""))
    if [version.directory for version in versions] == [path]:
        return versions[0].lack
    tree = _tree_around(path, _BELOW)
    if tree == path:
        return "put some into it, as into the others"
    if tree:
        return f"give {tree}, which holds class folders of images"
    for version in versions:
        if not version.missing:
            return f"give {version.directory}, which holds the TFDS data set {version.full_name}"
    if versions:
        return versions[0].lack
    for folder, entries in _walk(path, _BELOW):
        if folder != path and image_files.sort_names(entries)[0]:
            return f"images lie in {folder}, move them to where the folder of their class is"
    return "give a directory that holds a folder of images per class, none was found near it"


def directory_of_split(path: str) -> str | None:
    """Return the directory above if `path` is its training or test split of class folders."""
    path = absolute(path)
    whole = os.path.dirname(path)
    if class_folders.is_split(os.path.basename(path)):
        train, test = class_folders.find_splits(whole)
        if test and path in (train, test):
            return whole
    return None


def _versions_around(base: str, path: str) -> Iterator[Version]:
    """Find prepared versions below `path`, and of `base` above it or below where it seems to be."""
    yield from _versions_below(path, base)
    above = path
    for _ in range(_ABOVE):
        above = os.path.dirname(above)
        yield from _versions_below(os.path.join(above, base), base)
    if not tf.io.gfile.exists(path) and (corrected := _corrected(path)):
        yield from _versions_below(corrected, base)


def _versions_below(path: str, base: str) -> Iterator[Version]:
    for folder, entries in _walk(path, _BELOW, first=base):
        if version := read_version(folder, entries):
            yield version


def _tree_around(path: str, levels: int) -> str | None:
    """Return the nearest directory, so many levels below, that can be read as class folders."""
    if not tf.io.gfile.exists(path):
        path = _corrected(path) or path
    if _is_tree(path):
        return path
    # Of splits by other names (training, testing) the first is the one to train on.
    below = (f for f, entries in _walk(path, levels, first="train") if _is_tree(f))
    if tree := next(below, None):
        return tree
    for _ in range(_ABOVE):
        path = os.path.dirname(path)
        if _is_tree(path):
            return directory_of_split(path) or path
    return None


def _is_tree(path: str) -> bool:
    try:
        return tf.io.gfile.isdir(path) and class_folders.holds_classes(
            class_folders.find_splits(path)[0]
        )
    except ValueError:  # What cannot be listed cannot be offered.
        return False


def _corrected(path: str) -> str | None:
    """Return `path` with the first folder that is not there replaced by the nearest that is."""
    missing = []
    while not tf.io.gfile.isdir(path):
        path, name = os.path.split(path)
        missing.insert(0, name)
        if not path or path.endswith(":"):
            return None
    try:
        folders = class_folders.folders(path)
    except ValueError:
        return None
    close = names.nearest(missing[0], folders, count=1) if missing else []
    for corrected in (os.path.join(path, name, *missing[1:]) for name in close):
        return corrected if tf.io.gfile.isdir(corrected) else os.path.join(path, close[0])
    return None


def _walk(path: str, levels: int, first: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield (folder, names in it) of `path` and the folders below, level by level.

    Args:
      path: Where to begin; nothing is yielded if it is no directory.
      levels: How far down to go.
      first: The beginning of the names of folders that go before others.
    """
    queue = collections.deque([(path, 0)] if tf.io.gfile.isdir(path) else [])
    for _ in range(_FOLDERS):
        if not queue:
            return
        folder, level = queue.popleft()
        try:
            entries = class_folders.names(folder)
        except ValueError:
            continue
        yield folder, entries
        if level < levels:
            others = image_files.sort_names(entries)[2]
            others.sort(key=lambda name: not name.lower().startswith(first))
            for name in class_folders.only_folders(folder, others[:_ENTRIES]):
                if name != _DOWNLOADS:
                    queue.append((os.path.join(folder, name), level + 1))
