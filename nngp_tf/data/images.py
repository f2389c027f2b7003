"""Labelled images as arrays: TFDS data sets, directories of images, the built-in digits."""

import dataclasses
import operator
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

import nngp_tf.frameworks  # noqa: F401
from nngp_tf.data import (
    balance,
    checks,
    class_subsets,
    decoding,
    labels,
    sources,
    splits,
    standardisation,
    subsets,
)
from nngp_tf.data import preprocessing as preprocessing_lib

SUBSETS = ("authors", "splits")


@dataclasses.dataclass(frozen=True, eq=False)
class ImageData:
    """Training and test images of one data set, standardised alike.

    Attributes:
      x_train: [N, H, W, C], standardised, of the dtype that was asked for.
      y_train: [N], int64, 0..num_classes - 1.
      x_test: [T, H, W, C], likewise and by the same statistics; T may be 0.
      y_test: [T], int64, 0..num_classes - 1.
      num_classes: The number of classes.
      class_names: One name a class, in the order of the labels.
      channel_mean: [C], float64, raw 0..255 scale: what was subtracted.
      channel_std: [C], float64, raw 0..255 scale: what was divided by.
      name: The data set: "digits", a directory, or TFDS's full name with version.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int
    class_names: tuple[str, ...]
    channel_mean: np.ndarray
    channel_std: np.ndarray
    name: str


def load_images(
    dataset: str | os.PathLike,
    num_train: int,
    num_test: int,
    *,
    seed: int = 0,
    data_dir: str | os.PathLike | None = None,
    subset: str = "authors",
    classes: int | Sequence[str | int] | None = None,
    balanced: bool = False,
    image_size: int | tuple[int, int] | None = None,
    preprocessing: str = "resize",
    channel_mean: float | Sequence[float] | np.ndarray | None = None,
    channel_std: float | Sequence[float] | np.ndarray | None = None,
    dtype: str = "float32",
    download: bool = False,
) -> ImageData:
    """Load a seeded choice of labelled images, standardised per channel.

    Only the chosen images are decoded and held, so a subset of ImageNet needs little memory. With
    both statistics known beforehand (given, or "mnasnet"), peak memory is about that of the result:

        (N + T) H W C b + p (3 + 12) h w bytes

    where b is 4 for float32 and 2 for the other dtypes, p the images decoded at once (about one a
    core), and h w the pixels of an image as it is stored. Where the statistics are computed, the
    images are read as float32 first and then rounded: b is 6 instead of 2. What is kept of every
    image of a split, be it chosen or not, is some 40 bytes with TFDS and 300 with directories.

    Args:
      dataset: What to load.
        "digits": scikit-learn's 1,797 digits as 32x32 RGB, which need no download.
        A TFDS classification data set by name: "cifar10", "imagenet_resized/32x32".
        A directory with one folder of images per class (JPEG, PNG, WebP, TIFF and what else Pillow
        decodes), or with `train` and `test` (`val`, `validation`, `valid`) folders of such folders:
        an absolute path, one that starts with a dot, a URL such as gs://, or a relative path that
        exists. A bare name is a directory only where no `data_dir` is given. One version of a
        prepared TFDS data set will do, too.
      num_train: N, at least 1.
      num_test: T; 0 for leave-one-out, which needs no test images.
      seed: 0..2**32 - 1, chooses the images.
      data_dir: Where TFDS finds its data sets; None is TFDS's default. Unused for the other kinds.
      subset: Which images are used.
        "authors": the rule of the NNGP authors' notebook. Of a permutation of the training split
        the first N train and the last T test, so both come from that split, in that order.
        "splits": the first N of a permutation of the training split, and the first T of one of the
        test split, or of the validation split where the labels of test are not published.
      classes: Which classes are used, before any image is chosen: their names or indices in the
        order of the new labels 0..C - 1, or a number C of classes drawn by `seed`. None for all.
        The labels of the splits used are read for it, with TFDS in one more pass over the files.
      balanced: Whether each class gets N / C training and T / C test images, chosen by the rule of
        `subset` within the class. Reads the labels like `classes`.
      image_size: Height and width to resize to, an integer for both. None keeps the size of the
        images.
      preprocessing: "resize": bilinear, antialiased where it shrinks, aspect ratio not kept.
        "mnasnet": MnasNet's evaluation preprocessing of ImageNet: the central square of side
        min(h, w) image_size / (image_size + 32), resized without antialiasing, and by default
        ImageNet's channel statistics; see `nngp_tf.data.preprocessing.Preprocessing`.
      channel_mean: Scalar or [C], raw 0..255 scale; None computes it from the training images.
      channel_std: Scalar or [C], raw 0..255 scale; None computes it from the training images.
      dtype: "float32", "bfloat16" or "float16", to which the standardised images are rounded.
      download: Whether TFDS may download a data set that is not prepared.

    Returns:
      The images, their labels, and the statistics by which they were standardised.

    Raises:
      ValueError: If an argument is out of range; the data set is not found, not prepared, has too
        few images, or of a class, or none labelled for testing, or lacks a class that is named; an
        image does not decode or differs in size without `image_size`; a channel is constant, or
        the images are.
    """
    num_train = _integer("num_train", num_train, lowest=1)
    num_test = _integer("num_test", num_test, lowest=0)
    seed = _integer("seed", seed, lowest=0, highest=2**32 - 1)
    size = _parse_image_size(image_size)
    if not isinstance(balanced, bool):
        raise ValueError(f"balanced={balanced!r}, expected True or False: choose one of them.")
    if subset not in SUBSETS:
        raise ValueError(f"subset={subset!r}, expected one of {SUBSETS}: choose one of them.")
    if not isinstance(dataset, str | os.PathLike) or not os.fspath(dataset):
        raise ValueError(
            f"dataset={dataset!r}, expected a name or a path: give 'digits', "
            "the name of a TFDS data set or a directory of images."
        )
    preprocessing_lib.check_arguments(preprocessing, size, dtype)
    if preprocessing == "mnasnet":
        channel_mean = preprocessing_lib.MNASNET_MEAN if channel_mean is None else channel_mean
        channel_std = preprocessing_lib.MNASNET_STD if channel_std is None else channel_std
    if channel_mean is not None:
        channel_mean = standardisation.parse_statistic("channel_mean", channel_mean)
    if channel_std is not None:
        channel_std = standardisation.parse_standard_deviation("channel_std", channel_std)

    source = sources.open_source(dataset, data_dir=data_dir, download=download)
    preprocessing_lib.check_channels(preprocessing, source.channels)
    if channel_mean is not None:
        channel_mean = standardisation.per_channel("channel_mean", channel_mean, source.channels)
    if channel_std is not None:
        channel_std = standardisation.per_channel("channel_std", channel_std, source.channels)
    chosen = None if classes is None else class_subsets.choose(source, classes, seed)
    if balanced:
        num_classes = len(source.class_names if chosen is None else chosen)
        balance.check_counts(num_classes, num_train=num_train, num_test=num_test)
    if chosen is not None:
        source = class_subsets.restrict(source, chosen)

    known = channel_mean is not None and channel_std is not None
    steps = preprocessing_lib.Preprocessing(preprocessing, size)
    if known:
        steps = preprocessing_lib.Preprocessing(
            preprocessing, size, tuple(channel_mean), tuple(channel_std), dtype
        )
    read = _read_from_train if subset == "authors" else _read_from_splits
    x_train, y_train, x_test, y_test = read(source, num_train, num_test, seed, balanced, steps)

    checks.check_images("x_train", x_train)
    if num_test:
        checks.check_images("x_test", x_test)
    num_classes = len(source.class_names)
    y_train = labels.check_labels("y_train", y_train, num_classes)
    y_test = labels.check_labels("y_test", y_test, num_classes)
    if not known:
        mean, std = standardisation.channel_statistics(x_train)
        channel_mean = mean if channel_mean is None else channel_mean
        channel_std = _usable(std, num_train) if channel_std is None else channel_std
        for images in (x_train, x_test):
            standardisation.standardise_in_place(images, channel_mean, channel_std)
        x_train, x_test = (preprocessing_lib.to_dtype(x, dtype) for x in (x_train, x_test))
    return ImageData(
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        num_classes=num_classes,
        class_names=source.class_names,
        channel_mean=channel_mean,
        channel_std=channel_std,
        name=source.name,
    )


def _read_from_train(
    source: splits.Source,
    num_train: int,
    num_test: int,
    seed: int,
    balanced: bool,
    steps: preprocessing_lib.Preprocessing,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read training and test images out of the training split, in one pass over it."""
    split = source.train
    if num_train + num_test > split.size:
        raise ValueError(
            f"num_train={num_train} and num_test={num_test} make {num_train + num_test} images, "
            f"but {split.description} has {split.size}: ask for fewer."
        )
    if balanced:
        y = balance.read_labels(split, source.class_names, num_train + num_test)
        chosen = subsets.balanced_authors_subset(
            y, len(source.class_names), num_train, num_test, seed
        )
    else:
        chosen = subsets.authors_subset(split.size, num_train, num_test, seed)
    x, y = split.read(np.concatenate(chosen), steps)
    return x[:num_train], y[:num_train], x[num_train:], y[num_train:]


def _read_from_splits(
    source: splits.Source,
    num_train: int,
    num_test: int,
    seed: int,
    balanced: bool,
    steps: preprocessing_lib.Preprocessing,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read training images out of the training split and test images out of the test split."""
    wanted = [("num_train", num_train, source.train)]
    if num_test:
        test = source.find_test()
        if test is None:
            raise ValueError(
                f"subset='splits', but {source.name} has no test or validation split with labels: "
                "use subset='authors', which takes test images from the training split."
            )
        wanted.append(("num_test", num_test, test))
    for name, count, split in wanted:
        if count > split.size:
            raise ValueError(
                f"{name}={count}, but {split.description} has {split.size} images: ask for fewer."
            )
    chosen = []
    for _, count, split in wanted:
        if balanced:
            y = balance.read_labels(split, source.class_names, count)
            indices = subsets.balanced_split_subset(y, len(source.class_names), count, seed)
        else:
            indices = subsets.split_subset(split.size, count, seed)
        chosen.append(indices)
    read = [
        split.read(indices, steps) for (_, _, split), indices in zip(wanted, chosen, strict=True)
    ]
    x_train, y_train = read[0]
    x_test, y_test = read[1] if num_test else (x_train[:0].copy(), y_train[:0].copy())
    if x_test.shape[1:] != x_train.shape[1:]:
        (_, _, train), (_, _, test) = wanted
        raise decoding.size_error(
            train.describe(chosen[0][0]),
            x_train.shape[1:],
            test.describe(chosen[1][0]),
            x_test.shape[1:],
        )
    return x_train, y_train, x_test, y_test


def _usable(std: np.ndarray, num_train: int) -> np.ndarray:
    """Return `std` [C], or raise where a channel is constant."""
    if (std == 0).any():
        raise ValueError(
            f"Channel {int(std.argmin())} has the same value in all of the num_train={num_train} "
            "training images, so its standard deviation is 0: give channel_std."
        )
    return std


def _integer(name: str, value: Any, lowest: int, highest: int | None = None) -> int:
    """Return an argument as an integer in its range, or raise ValueError."""
    at_most = "" if highest is None else f" and at most {highest}"
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < lowest or number > (highest or number):
        raise ValueError(
            f"{name}={value!r}, expected an integer of at least {lowest}{at_most}: correct it."
        )
    return number


def _parse_image_size(image_size: Any) -> preprocessing_lib.ImageSize | None:
    """Return (height, width), or None where the images keep their size."""
    if image_size is None:
        return None
    pair = image_size if isinstance(image_size, tuple | list) else (image_size, image_size)
    if len(pair) != 2:
        raise ValueError(
            f"image_size={image_size!r}, expected an integer or (height, width): give one of them."
        )
    return tuple(_integer("image_size", side, lowest=1) for side in pair)
