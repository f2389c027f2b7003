"""An inference run as a value of JSON's types, which any process prepares in the same way.

job.select()                    architectures
job.prepare(strategy, run_dir)  images, settings, extras, and the run directory's configuration
prepared.networks(...)          architectures -> networks
job.to_json() -> elsewhere -> from_json: the same job
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from nngp_tf.data import preprocessing
from nngp_tf.data.images import ImageData, load_images
from nngp_tf.kernels import arguments, features, precision
from nngp_tf.runs import architectures as architectures_lib
from nngp_tf.runs import files, rescoring
from nngp_tf.runs.inference import Extras, KernelSettings
from nngp_tf.runs.networks import Network, build_networks

# These choose among results or say how fast they come, or where images are found; the others decide
# what the numbers are.
_NOT_IN_CONFIG = ("num_architectures", "batch_size", "data_dir", "download")
# Fields that runs of earlier versions do not know, and the values that change nothing.
_LATER = {
    "report_inits": (),
    "leave_one_out": (),
    "save_features": False,
    "classes": None,
    "balanced": False,
    "preprocessing": "resize",
    "num_stacks": 3,
    "modules_per_stack": 3,
}


@dataclasses.dataclass(frozen=True)
class InferenceJob:
    """What is evaluated, on what, and how.

    Attributes:
      space: "nasbench101" or "mnas".
      architectures: How they are chosen; see `nngp_tf.runs.architectures.select`.
      num_architectures: How many; None for all.
      dataset: See `nngp_tf.data.images.load_images`, as for the next three.
      subset: Rule by which images are chosen.
      num_train: Training images.
      num_test: Test images; 0 leaves leave-one-out.
      num_inits: Initialisations; see `nngp_tf.kernels.running_kernels`, as for the next two.
      seed: Of images, architectures and initialisations.
      batch_norm: "one_update", "batch_statistics" or "initial".
      stem_filters: Width of the networks of NAS-Bench-101.
      num_stacks: Their stacks of cells.
      modules_per_stack: Cells in a stack.
      image_size: Side to which images are resized; None for their own.
      channel_mean: Of the standardisation; None computes it.
      channel_std: Of the standardisation; None computes it.
      classes: Names or indices of the classes used, or how many are drawn; None for all.
      balanced: Whether every class has equally many images.
      preprocessing: "resize" or "mnasnet".
      compute_dtype: Precision of the features, or several to try in turn; see
        `nngp_tf.kernels.running_kernels`. None for the device's default.
      batch_size: Images in a batch; None for the default.
      calibration_size: Images that calibrate batch normalisation; None for the default.
      report_inits: See `nngp_tf.runs.inference.Extras`, as for the next.
      leave_one_out: Kernels of which leave-one-out is scanned.
      save_features: Whether features are kept, in the run directory's `features`.
      data_dir: Directory of TFDS data sets; None for the default.
      download: Whether TFDS may download a data set.
    """

    space: str
    architectures: str
    num_architectures: int | None
    dataset: str
    subset: str
    num_train: int
    num_test: int
    num_inits: int
    seed: int
    batch_norm: str
    stem_filters: int
    num_stacks: int
    modules_per_stack: int
    image_size: int | None
    channel_mean: float | Sequence[float] | None
    channel_std: float | Sequence[float] | None
    classes: int | Sequence[str | int] | None
    balanced: bool
    preprocessing: str
    compute_dtype: str | Sequence[str] | None
    batch_size: int | None
    calibration_size: int | None
    report_inits: tuple[int, ...]
    leave_one_out: tuple[str, ...]
    save_features: bool
    data_dir: str | None = None
    download: bool = False

    def to_json(self) -> str:
        """Return it as text.

        Raises:
          ValueError: If a field is not of JSON's types.
        """
        try:
            return json.dumps(dataclasses.asdict(self))
        except TypeError as error:
            raise ValueError(f"{error}: write numbers, texts and lists in gin") from error

    def select(self) -> Sequence[architectures_lib.Architecture]:
        """List the architectures; see `nngp_tf.runs.architectures.select`."""
        return architectures_lib.select(
            self.space, self.architectures, self.num_architectures, self.seed
        )

    def prepare(self, strategy: tf.distribute.Strategy, run_dir: str) -> Prepared:
        """Load the images, and settle what depends on them and on the device.

        Args:
          strategy: Where networks will run; its device decides the default precision.
          run_dir: Of the results.

        Raises:
          ValueError: As `nngp_tf.data.images.load_images`, or for settings of the kernel that fit
            no network: here, so that no run directory is made for them.
        """
        arguments.check_counts((*self.report_inits, self.num_inits), 0, self.seed)
        features.check_batch_norm(self.batch_norm)
        dtypes = precision.compute_dtypes(self.compute_dtype, strategy)
        compute_dtype = dtypes[0] if len(dtypes) == 1 else dtypes
        images = load_images(
            self.dataset,
            self.num_train,
            self.num_test,
            seed=self.seed,
            data_dir=self.data_dir,
            subset=self.subset,
            image_size=self.image_size,
            channel_mean=self.channel_mean,
            channel_std=self.channel_std,
            classes=self.classes,
            balanced=self.balanced,
            preprocessing=self.preprocessing,
            # What every network would round them to.
            dtype=dtypes[0] if dtypes[0] in preprocessing.DTYPES else "float32",
            download=self.download,
        )
        num_train, num_test = len(images.x_train), len(images.x_test)
        arguments.check_size("batch_size", self.batch_size, 1, num_train + num_test)
        arguments.check_size("calibration_size", self.calibration_size, 1, num_train)
        settings = KernelSettings(
            num_inits=self.num_inits,
            seed=self.seed,
            batch_norm=self.batch_norm,
            compute_dtype=compute_dtype,
            batch_size=self.batch_size,
            calibration_size=self.calibration_size,
        )
        extras = Extras(
            report_inits=self.report_inits,
            leave_one_out=self.leave_one_out,
            features_dir=files.join(run_dir, rescoring.FEATURES) if self.save_features else None,
        )
        config = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in _NOT_IN_CONFIG
        }
        # What is not asked for leaves the configuration as it was before it could be.
        for name, unasked in _LATER.items():
            if config[name] == unasked:
                del config[name]
        config |= {"dataset": images.name, "compute_dtype": settings.compute_dtype}
        sizes = {
            name: getattr(self, name)
            for name in ("stem_filters", "num_stacks", "modules_per_stack")
        }
        return Prepared(images, settings, extras, config, sizes)


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """What a process needs to evaluate the networks of a job.

    Attributes:
      images: Training and test images.
      settings: Of the kernel, with a precision.
      extras: What is reported besides the scan.
      config: What the numbers depend on; see `nngp_tf.runs.store.RunDirectory`.
      sizes: Of networks of NAS-Bench-101; see `InferenceJob`.
    """

    images: ImageData
    settings: KernelSettings
    extras: Extras
    config: dict[str, Any]
    sizes: dict[str, int]

    def networks(self, architectures: Iterable[architectures_lib.Architecture]) -> list[Network]:
        """Make the network of each architecture, as a value; see `build_networks`."""
        images = self.images
        return build_networks(
            architectures, images.x_train.shape[1:], images.num_classes, **self.sizes
        )


def from_json(text: str) -> InferenceJob:
    """Return the job that was made a text."""
    fields = json.loads(text)
    for name in ("report_inits", "leave_one_out"):
        fields[name] = tuple(fields[name])
    if isinstance(fields["compute_dtype"], list):
        fields["compute_dtype"] = tuple(fields["compute_dtype"])
    return InferenceJob(**fields)
