"""Classification data sets of TensorFlow Datasets (TFDS)."""

import difflib
import os
import re

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from nngp_tf.data import decoding, manual_download, splits

# Labels that are handed over at a time.
_LABEL_BATCH = 1024
_TEST_SPLITS = ("test", "validation", "val", "valid")


def is_prepared_directory(path: str) -> bool:
    """Tell whether `path` is one version of a prepared data set, e.g. .../cifar10/3.0.2."""
    files = ("dataset_info.json", "features.json")
    return all(tf.io.gfile.exists(os.path.join(path, file)) for file in files)


def open_directory(path: str) -> splits.Source:
    """Open one version of a prepared data set by its directory.

    Raises:
      ValueError: If it is not a data set of labelled images.
    """
    return _source(tfds.builder_from_directory(path))


def open_by_name(name: str, data_dir: str | None, download: bool) -> splits.Source:
    """Open a data set by its TFDS name.

    Args:
      name: As for `tfds.load`: cifar10, imagenet_resized/32x32, cifar10:3.0.2.
      data_dir: The directory of prepared data sets, or one version of this data set in it; None is
        TFDS's own default.
      download: Whether TFDS may fetch and prepare a data set that is not in `data_dir`.

    Raises:
      ValueError: If TFDS does not know the name, nothing is prepared under it and `download` is
        False, or it is not a data set of labelled images.
    """
    if data_dir is not None and is_prepared_directory(data_dir):
        builder = tfds.builder_from_directory(data_dir)
        if builder.name != re.split("[/:]", name)[0]:
            raise ValueError(
                f"data_dir={data_dir} holds the data set {builder.name!r}, not {name!r}: "
                "name that one, or give the directory above."
            )
        return _source(builder)
    if re.search(":[A-Za-z]", name) and not download:
        raise ValueError(
            f"TFDS looks up {name!r} over the network: "
            "pass download=True to allow it, or give the name of a data set that is prepared."
        )
    builder = _builder(name, data_dir)
    if not builder.is_prepared() and ":" not in name:
        # A data set prepared by another release of TFDS may have another version than its code.
        builder = _builder(f"{name}:*.*.*", data_dir, fallback=builder)
    if not builder.is_prepared():
        if manual_download.is_manual(builder):
            manual_download.check_files(builder)
        if not download:
            raise ValueError(
                f"The TFDS data set {name!r} is not prepared, looked in {builder.data_dir}: "
                "pass the data_dir that holds it, or download=True to fetch it."
            )
        builder.download_and_prepare()
    return _source(builder)


def _builder(
    name: str, data_dir: str | None, fallback: tfds.core.DatasetBuilder | None = None
) -> tfds.core.DatasetBuilder:
    """Return TFDS's builder; where there is none, `fallback` or else a one-sentence error."""
    try:
        return tfds.builder(name, data_dir=data_dir)
    except (ValueError, AssertionError) as error:
        if fallback is not None:
            return fallback
        # TFDS puts the call it failed in before the colon.
        reason = str(error).strip().splitlines()[0].rpartition('}": ')[2].rstrip(".")
        if isinstance(error, tfds.core.DatasetNotFoundError):
            close = difflib.get_close_matches(
                name, tfds.list_builders(with_community_datasets=False)
            )
            reason = f"close names: {', '.join(close)}" if close else "no name is close"
        raise ValueError(
            f"{name!r} is neither a directory nor a data set that TFDS can open from "
            f"{data_dir or 'its default data_dir'} ({reason}): correct the name or the data_dir, "
            f"or write a directory of images as a path (./{name})."
        ) from error


def _source(builder: tfds.core.DatasetBuilder) -> splits.Source:
    """Describe a prepared data set, and check that it is of labelled images."""
    info = builder.info
    keys = info.supervised_keys
    features = [info.features[key] for key in keys or () if isinstance(key, str)]
    if (
        len(features) != 2
        or not isinstance(features[0], tfds.features.Image)
        or not isinstance(features[1], tfds.features.ClassLabel)
        or features[0].np_dtype != np.uint8
        or features[0].shape[-1] is None
    ):
        raise ValueError(
            f"The TFDS data set {info.full_name!r} has supervised_keys={keys}, expected an 8-bit "
            "image and a class label: choose a data set for image classification."
        )
    if "train" not in info.splits:
        raise ValueError(
            f"The TFDS data set {info.full_name!r} has the splits {sorted(info.splits)}, expected "
            "one called 'train': choose another data set."
        )
    return splits.Source(
        name=info.full_name,
        class_names=tuple(features[1].names),
        channels=features[0].shape[-1],
        train=_split(builder, "train"),
        find_test=lambda: _find_test(builder),
    )


def _find_test(builder: tfds.core.DatasetBuilder) -> splits.Split | None:
    """Return the first test or validation split whose labels are published.

    A withheld label is -1 (imagenet2012's test split), and then that of all its images.
    """
    for name in _TEST_SPLITS:
        if name not in builder.info.splits or not builder.info.splits[name].num_examples:
            continue
        _, label = next(iter(_encoded(builder, name).take(1)))
        if label >= 0:
            return _split(builder, name)
    return None


def _split(builder: tfds.core.DatasetBuilder, name: str) -> splits.Split:
    description = f"the {name} split of TFDS data set {builder.info.full_name}"
    size = builder.info.splits[name].num_examples
    image_key, label_key = builder.info.supervised_keys

    def read(indices, preprocessing):
        # Where the i-th image of the split goes in the result, -1 for nowhere. Streaming to the
        # last image selected needs this table and no index of the files.
        positions = np.full(size, -1, np.int64)
        positions[indices] = np.arange(len(indices))
        table = tf.constant(positions)
        selected = (
            _encoded(builder, name)
            .take(int(np.max(indices)) + 1)
            .enumerate()
            .map(lambda i, example: (table[i], example[1], example[0]))
            .filter(lambda position, label, encoded: position >= 0)
        )
        in_order = np.sort(indices)
        return decoding.collect_images(
            selected,
            len(indices),
            decode=builder.info.features[image_key].decode_example,
            preprocessing=preprocessing,
            describe=lambda i: f"image {in_order[i]} of {description}",
        )

    def read_labels():
        examples = _examples(builder, name, {label_key: True})
        batches = examples.map(lambda example: example[label_key]).batch(_LABEL_BATCH)
        labels, cause = [], None
        try:
            labels.extend(batches.as_numpy_iterator())
        except tf.errors.DataLossError as error:
            cause = error
        if cause or sum(map(len, labels)) != size:
            raise ValueError(
                f"The data end or are damaged in {description}, expected {size} images: "
                "prepare or copy the data set again."
            ) from cause
        return np.concatenate([np.zeros(0, np.int64), *labels])

    return splits.Split(description, size, read, read_labels)


def _encoded(builder: tfds.core.DatasetBuilder, split: str) -> tf.data.Dataset:
    """Stream (encoded image, label) of a whole split in the order in which `tfds.load` reads it.

    Other features are not parsed, no image is decoded, and nothing is cached.
    """
    image_key, label_key = builder.info.supervised_keys
    examples = _examples(
        builder,
        split,
        {image_key: True, label_key: True},
        decoders={image_key: tfds.decode.SkipDecoding()},
    )
    return examples.map(lambda example: (example[image_key], example[label_key]))


def _examples(builder: tfds.core.DatasetBuilder, split: str, features, decoders=None):
    """Stream some features of a whole split, in the order in which `tfds.load` reads it."""
    return builder.as_dataset(
        split=split,
        shuffle_files=False,
        read_config=tfds.ReadConfig(try_autocache=False, assert_cardinality=False),
        decoders=tfds.decode.PartialDecoding(features, decoders=decoders),
    )
