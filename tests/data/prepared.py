"""Prepared TFDS data sets for tests, to which no code belongs."""

import pathlib

import numpy as np
import tensorflow_datasets as tfds


def write(data_dir, full_name: str, *, images=None, splits=("train",), shape=(2, 2, 3)):
    """Writes a data set of the classes x, y and z.

    Args:
      data_dir: The directory of prepared data sets.
      full_name: Its name, configuration if it has one, and version: dots/1.0.0, dots/small/1.0.0.
      images: Arrays [H, W, C], uint8, of each split, whose labels are 0, 1, 2, 0, ...; None for six
        random ones.
      splits: The names of its splits.
      shape: That of the images in its features.

    Returns:
      The directory of its files.
    """
    name, *config, version = full_name.split("/")
    directory = pathlib.Path(data_dir, full_name)
    directory.mkdir(parents=True)
    if images is None:
        images = np.random.default_rng(0).integers(0, 256, (6, *shape), dtype=np.uint8)
    info = tfds.core.DatasetInfo(
        builder=tfds.core.DatasetIdentity(
            name=name,
            version=tfds.core.Version(version),
            data_dir=str(directory),
            module_name=__name__,
            config_name=config[0] if config else None,
        ),
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=shape, encoding_format="png"),
                "label": tfds.features.ClassLabel(names=["x", "y", "z"]),
            }
        ),
        supervised_keys=("image", "label"),
    )
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=10)
    writer.initialize_splits(list(splits))
    examples = [{"image": image, "label": i % 3} for i, image in enumerate(images)]
    for split in splits:
        writer.add_examples({split: examples})
    writer.close_all()
    return directory
