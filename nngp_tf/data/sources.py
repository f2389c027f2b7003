"""Which kind of data set a name means: the built-in digits, a directory, a TFDS data set."""

import os

import tensorflow as tf

from nngp_tf.data import digits, image_folders, splits, tfds_source


def open_source(
    dataset: str | os.PathLike, *, data_dir: str | os.PathLike | None, download: bool
) -> splits.Source:
    """Find a data set; see `nngp_tf.data.images.load_images` for how it is named.

    Raises:
      ValueError: If there is no such data set, it is not prepared, or it is not of labelled images.
    """
    path = os.path.expanduser(os.fspath(dataset))
    if data_dir is not None:
        data_dir = os.path.expanduser(os.fspath(data_dir))
    if dataset == "digits":
        return digits.open_digits()
    if isinstance(dataset, os.PathLike) or _is_directory_name(path, data_dir):
        if tfds_source.is_prepared_directory(path):
            return tfds_source.open_directory(path)
        return image_folders.open_folder(path)
    return tfds_source.open_by_name(path, data_dir, download)


def _is_directory_name(path: str, data_dir: str | None) -> bool:
    """Tell a directory of images from the name of a TFDS data set.

    A configuration of a TFDS data set has a slash too (imagenet_resized/32x32), so a relative path
    has to exist to count as a directory. A bare name is the data set's where `data_dir` is given.
    """
    if "://" in path or os.path.isabs(path) or path.startswith("."):
        return True
    return ("/" in path or data_dir is None) and tf.io.gfile.isdir(path)
