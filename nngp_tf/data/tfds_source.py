"""Classification data sets of TensorFlow Datasets (TFDS)."""

import os
import re

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format

from nngp_tf.data import decoding, manual_download, names, places, splits

# Labels that are handed over at a time.
_LABEL_BATCH = 1024
# What TFDS raises for a name it does not know, and for files that are damaged.
_UNREADABLE = (ValueError, AssertionError, OSError, RuntimeError, json_format.Error)
# What TensorFlow raises for files of records that are damaged or gone, or hold something else.
_DAMAGED = (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError)
_TEST_SPLITS = ("test", "validation", "val", "valid")
# What the field calls data sets that have another name in TFDS.
_FIELD_NAMES = {
    **{f"imagenet{side}x{side}": f"imagenet_resized/{side}x{side}" for side in (32, 64, 16, 8)},
    **dict.fromkeys(("imagenet1k", "ilsvrc", "ilsvrc2012"), "imagenet2012"),
}


def is_prepared_directory(path: str) -> bool:
    """Tell whether `path` is one version of a prepared data set, e.g. .../cifar10/3.0.2."""
    version = places.read_version(path)
    return version is not None and not version.missing


def open_directory(path: str) -> splits.Source:
    """Open one version of a prepared data set by its directory.

    Raises:
      ValueError: If it is not a data set of labelled images.
    """
    try:
        builder = tfds.builder_from_directory(path)
    except (*_UNREADABLE, AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"TFDS cannot read the data set in {path} ({_first_line(error)}): "
            "copy it again with all of its files, or prepare it anew."
        ) from error
    return _source(builder)


def open_by_name(name: str, data_dir: str | None, download: bool) -> splits.Source:
    """Open a data set by its TFDS name.

    Args:
      name: As for `tfds.load`: cifar10, imagenet_resized/32x32, cifar10:3.0.2.
      data_dir: The directory of prepared data sets, or one version of this data set in it; None is
        TFDS's own default.
      download: Whether TFDS may fetch and prepare a data set that is not in `data_dir`.

    Raises:
      ValueError: If TFDS does not know the name, nothing is prepared under it and `download` is
        False, or it is not a data set of labelled images. Names the names or the directory nearby
        that look right.
    """
    if data_dir is not None and is_prepared_directory(data_dir):
        return _open_version(name, data_dir)
    if data_dir is not None and tf.io.gfile.exists(data_dir) and not tf.io.gfile.isdir(data_dir):
        raise ValueError(
            f"data_dir={data_dir} is a file, expected the directory of prepared data sets, "
            f"{_near(name, data_dir) or 'such as ~/tensorflow_datasets: correct it'}."
        )
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
        # TFDS takes MNIST for mnist.
        named = builder.name + name[len(_parts(name)[0]) :]
        near = None if download else _near(named, data_dir)
        if near is None and manual_download.is_manual(builder):
            manual_download.check_files(builder)
        if not download:
            if near is None:
                prepared = ", ".join(places.prepared_names(_expanded(data_dir)))
                near = f"where {prepared or 'nothing'} is prepared: "
                near += "pass the data_dir that holds it, or download=True to fetch it"
            raise ValueError(
                f"The TFDS data set {_called(builder)!r} is not prepared, looked in "
                f"{builder.data_dir}, {near}."
            )
        builder.download_and_prepare()
    return _source(builder)


def _open_version(name: str, directory: str) -> splits.Source:
    """Open a version by its directory, and check that it is of the data set called `name`."""
    source = open_directory(directory)
    base, config, version = _parts(name)
    has = source.name.split("/")
    fits = version.replace(".", r"\.").replace("*", r"\d+") if version else ".*"
    if has[0] != base or (config and config not in has[1:-1]) or not re.fullmatch(fits, has[-1]):
        raise ValueError(
            f"data_dir={directory} holds the data set {source.name!r}, not {name!r}: "
            "name that one, or give the directory above all of its name."
        )
    return source


def _builder(
    name: str, data_dir: str | None, fallback: tfds.core.DatasetBuilder | None = None
) -> tfds.core.DatasetBuilder:
    """Return TFDS's builder; where there is none, `fallback` or else a one-sentence error."""
    try:
        return tfds.builder(name, data_dir=data_dir)
    except _UNREADABLE as error:
        if fallback is not None:
            return fallback
        start = f"{name!r} is neither a directory nor a data set that TFDS can open from"
        place = data_dir or "its default data_dir"
        if near := _near(name, data_dir):
            raise ValueError(f"{start} {place}, {near}.") from error
        offered = _nearest_names(name, data_dir)
        reason = f"close names: {', '.join(offered)}" if offered else "no name is close"
        if not isinstance(error, tfds.core.DatasetNotFoundError) and _parts(name)[0] in offered:
            # TFDS puts the call it failed in before the colon.
            reason = _first_line(error).rpartition('}": ')[2].rstrip(".")
        raise ValueError(
            f"{start} {place} ({reason}): correct the name or the data_dir, "
            f"or write a directory of images as a path (./{name})."
        ) from error


def _nearest_names(name: str, data_dir: str | None) -> list[str]:
    """Return names of data sets most like one that TFDS cannot open, those in `data_dir` first."""
    base, config, _ = _parts(name)
    known = tfds.list_builders(with_community_datasets=False)
    if base in known:
        configs = tfds.builder_cls(base).builder_configs if config else ()
        return names.nearest(f"{base}/{config}", [f"{base}/{other}" for other in configs]) or [base]
    prepared = places.prepared_names(_expanded(data_dir))
    found = names.nearest(base, ["digits", *known], first=[*prepared, *_FIELD_NAMES])
    return list(dict.fromkeys(_FIELD_NAMES.get(one, one) for one in found))


def _parts(name: str) -> tuple[str, str, str]:
    """Return the data set, configuration and version of a name, "" for what it leaves out."""
    return re.fullmatch("([^/:]*)/?([^:]*):?(.*)", name, re.DOTALL).groups()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _called(builder: tfds.core.DatasetBuilder) -> str:
    """Return the name of a data set with its configuration, without its version."""
    config = builder.builder_config
    return f"{builder.name}/{config.name}" if config else builder.name


def _expanded(data_dir: str | None) -> str:
    """Return `data_dir`, or TFDS's default where it is None, as a path from the root on."""
    return places.absolute(os.path.expanduser(data_dir or tfds.core.constants.DATA_DIR))


def _near(name: str, data_dir: str | None) -> str | None:
    """Say where the data set lies near `data_dir`, None where it does not."""
    return places.near_data_set(name, _expanded(data_dir))


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
        split = _split(builder, name)
        try:
            _, label = next(iter(_encoded(builder, name).take(1)))
        except (StopIteration, *_DAMAGED) as error:
            raise _damaged(split.description, split.size) from error
        if label >= 0:
            return split
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
        except _DAMAGED as error:
            cause = error
        if cause or sum(map(len, labels)) != size:
            raise _damaged(description, size) from cause
        return np.concatenate([np.zeros(0, np.int64), *labels])

    return splits.Split(
        description, size, read, read_labels, lambda i: f"image {i} of {description}"
    )


def _damaged(description: str, size: int) -> ValueError:
    return ValueError(
        f"The data end or are damaged in {description}, expected {size} images: "
        "prepare or copy the data set again."
    )


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
