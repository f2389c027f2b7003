"""Directories of images, one folder per class."""

import os

import numpy as np
import tensorflow as tf
from absl import logging

from nngp_tf.data import class_folders, decoding, image_files, places, splits

# Names that a warning lists at most.
_LISTED = 3


def open_folder(path: str) -> splits.Source:
    """Find the images of a directory.

    Its folders are the classes, by sorted name, and the images of a class come by sorted name. If
    it has folders `train` and `test` (or `val`, `validation`, `valid`), in small or capital
    letters, which themselves hold folders, these are the splits and the classes are those of
    `train`. What is read is every kind
    of image that Pillow decodes; see `image_files.decode` for how it becomes RGB. Hidden files and
    folders are skipped, and files that are no images with a warning.

    Args:
      path: The directory, gs:// included.

    Raises:
      ValueError: If `path` is no directory, has fewer than two classes or a class without images
        or with an image of a kind that is not read, or its test split has a class which `train`
        lacks.
    """
    if not tf.io.gfile.isdir(path):
        kind = "is a file" if tf.io.gfile.exists(path) else "does not exist"
        raise ValueError(
            f"There is no directory {path}, it {kind}: {places.near_images(path)}, "
            "or give the name of a TFDS data set."
        )
    train_path, test_path = class_folders.find_splits(path)
    class_names = class_folders.folders(train_path)
    if class_names and all(map(class_folders.is_split, class_names)):
        raise ValueError(
            f"{path} holds splits ({', '.join(class_names)}), expected train, and a test split if "
            f"it has one, with a folder per class in each: {places.near_images(path)}."
        )
    if len(class_names) < 2:
        raise ValueError(
            f"{train_path} holds {len(class_names)} class folders, expected at least 2: "
            f"{places.near_images(path)}."
        )

    def find_test():
        if test_path:
            return _split(test_path, class_names, path)
        if whole := places.directory_of_split(path):
            raise ValueError(
                f"{path} is one split of the images and has no test split of its own: give "
                f"{whole}, which holds both."
            )
        return None

    return splits.Source(
        name=path,
        class_names=tuple(class_names),
        channels=3,
        train=_split(train_path, class_names, path),
        find_test=find_test,
    )


def _split(path: str, class_names: list[str], dataset: str) -> splits.Split:
    """List the images of the classes in `path`, of the data set that the user named `dataset`.

    A class may be missing from it.
    """
    unknown = [name for name in class_folders.folders(path) if name not in class_names]
    if unknown:
        raise ValueError(
            f"{path} has a folder {unknown[0]!r} which the training images lack: "
            "both splits need the same classes."
        )
    paths, labels = [], []
    stray = set(class_folders.images(path)).difference(class_names)
    skipped = sorted(
        [os.path.join(path, name) for name in stray] + class_folders.broken_links(path)
    )
    for label, name in enumerate(class_names):
        folder = os.path.join(path, name)
        if not tf.io.gfile.isdir(folder):
            continue
        images, other_images, others = image_files.sort_names(class_folders.names(folder))
        if other_images:
            raise ValueError(
                f"{os.path.join(folder, other_images[0])} is an image of a kind that is not read, "
                f"one of {len(other_images)} in {folder}: convert to PNG or JPEG, or remove."
            )
        if not images:
            raise ValueError(
                f"The class folder {folder} holds no image, expected files such as 0.jpg or "
                f"0.png: {places.near_images(dataset)}, or remove the folder."
            )
        paths += [os.path.join(folder, file) for file in images]
        labels += [label] * len(images)
        skipped += [os.path.join(folder, file) for file in others]
    if skipped:
        logging.warning(
            "%s: skipped %d files that are no images of a class: %s",
            path,
            len(skipped),
            ", ".join(skipped[:_LISTED]) + (", ..." if len(skipped) > _LISTED else ""),
        )
    # Python's strings, since NumPy's own take four bytes a character of the longest.
    paths, labels = np.array(paths, object), np.array(labels, np.int64)
    return splits.Split(
        path, len(paths), _reader(paths, labels), labels.copy, lambda i: str(paths[i])
    )


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
    pixels = tf.numpy_function(image_files.decode, [tf.io.read_file(path)], tf.uint8)
    pixels.set_shape([None, None, 3])
    return pixels
