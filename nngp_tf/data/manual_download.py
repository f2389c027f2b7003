"""TFDS data sets whose files a person has to fetch: which files, and where they belong.

TFDS itself only warns where a file is missing, and prepares a data set that lacks a split.
"""

import os

import tensorflow as tf
import tensorflow_datasets as tfds

# The files without which there are no labelled images for training and for testing.
_ARCHIVES = {"imagenet2012": ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")}
_PLACES = {"imagenet2012": "https://image-net.org/download-images, which needs an account"}


def is_manual(builder: tfds.core.DatasetBuilder) -> bool:
    """Tell whether TFDS cannot fetch the files of a data set by itself."""
    return bool(builder.MANUAL_DOWNLOAD_INSTRUCTIONS)


def check_files(builder: tfds.core.DatasetBuilder) -> None:
    """Raise unless the files that a person has to fetch lie where TFDS looks for them.

    Args:
      builder: A data set for which `is_manual` holds, and that is not prepared.

    Raises:
      ValueError: If a file is missing; says which, where it comes from and where it belongs.
    """
    folder = os.path.join(os.fspath(builder.data_dir_root), "downloads", "manual")
    start = (
        f"The TFDS data set {builder.name!r} is not prepared, looked in {builder.data_dir}, and "
        "TFDS cannot download it"
    )
    end = f"into {folder}, then load it once with download=True."
    if builder.name in _ARCHIVES:
        missing = [
            name
            for name in _ARCHIVES[builder.name]
            if not tf.io.gfile.exists(os.path.join(folder, name))
        ]
        if missing:
            place = _PLACES[builder.name]
            raise ValueError(f"{start}: put {' and '.join(missing)} (from {place}) {end}")
    elif not (tf.io.gfile.isdir(folder) and tf.io.gfile.listdir(folder)):
        instructions = " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split()).rstrip(".")
        raise ValueError(f"{start}: put its files (TFDS says: {instructions}) {end}")
