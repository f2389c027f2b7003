"""NNGP inference: architectures in, a run directory and a ranked table out.

python -m launchers.nngp_inference --gin_file=configs/nasbench101_digits.gin --run_dir=runs/digits
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gin

from nngp_tf.data import benchmark_table
from nngp_tf.gaussian_process import scan
from nngp_tf.kernels import transforms
from nngp_tf.kernels.strategy import build_strategy, is_chief
from nngp_tf.runs import inference, ranking
from nngp_tf.runs.job import InferenceJob
from nngp_tf.runs.store import RunDirectory

from . import app

_INTEGERS = (
    "num_architectures",
    "num_train",
    "num_test",
    "num_inits",
    "seed",
    "stem_filters",
    "image_size",
    "batch_size",
    "calibration_size",
)


@gin.configurable
def nngp_inference(
    space: str = "nasbench101",
    architectures: str = "sample",
    num_architectures: int | None = 10,
    dataset: str = "digits",
    subset: str = "authors",
    num_train: int = 100,
    num_test: int = 200,
    num_inits: int = 4,
    seed: int = 0,
    batch_norm: str = "one_update",
    stem_filters: int = 128,
    num_stacks: int = 3,
    modules_per_stack: int = 3,
    image_size: int | None = None,
    channel_mean: Sequence[float] | None = None,
    channel_std: Sequence[float] | None = None,
    classes: int | Sequence[str | int] | None = None,
    balanced: bool = False,
    preprocessing: str = "resize",
    compute_dtype: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    calibration_size: int | None = None,
    score: str | None = None,
    report_inits: Sequence[int] = (),
    leave_one_out: Sequence[str] = (),
    save_features: bool = False,
) -> str:
    """Evaluate architectures as the flags and gin say.

    Args:
      space: Search space: "nasbench101" or "mnas".
      architectures: How they are chosen; see `nngp_tf.runs.architectures.select`.
      num_architectures: How many; None for all.
      dataset: See `nngp_tf.data.images.load_images`, as are the next three.
      subset: Rule by which images are chosen.
      num_train: Training images.
      num_test: Test images; 0 leaves leave-one-out.
      num_inits: Initialisations; see `nngp_tf.kernels.running_kernels`, as are the next two.
      seed: Of images, architectures and initialisations.
      batch_norm: "one_update", "batch_statistics" or "initial".
      stem_filters: Width of the networks of NAS-Bench-101.
      num_stacks: Their stacks of cells.
      modules_per_stack: Cells in a stack.
      image_size: Side to which images are resized; their own size unless given.
      channel_mean: Of the standardisation; computed unless given.
      channel_std: Of the standardisation; computed unless given.
      classes: Names or indices of the classes used, or how many are drawn; all unless given.
      balanced: Whether every class has equally many images.
      preprocessing: "resize", or "mnasnet" for that network's evaluation.
      compute_dtype: Precision of the features, or several to try in turn until one tells the images
        apart; the device's default, then float32, unless given.
      batch_size: Images in a batch.
      calibration_size: Images that calibrate batch normalisation.
      score: What ranks; see `nngp_tf.gaussian_process.Scan.best`. The test accuracy that the
        authors report unless given, leave-one-out accuracy without test images.
      report_inits: Smaller numbers of initialisations, increasing, at which to scan as well.
      leave_one_out: Kernels of which leave-one-out is scanned over training and test images
        together: "plain", "standardised", "arc_cosine", "cosine", "centred"; see
        `nngp_tf.kernels.transforms`.
      save_features: Whether the features are kept, in the run directory's `features`.

    Returns:
      The line that names the results.
    """
    values = dict(locals())
    run_dir = app.required(app.RUN_DIR)
    job = checked_job(values)
    shard = app.shard()
    score = scan.check_criterion(score or ("test_accuracy" if num_test else "loo_accuracy"))
    if score.startswith("test_") and not num_test:
        raise ValueError(
            f"score {score!r} needs test images, got num_test={num_test}: ask for some, or rank by "
            "'loo_accuracy'"
        )
    strategy = build_strategy(
        app.STRATEGY.value,
        app.TPU.value,
        app.LOGICAL_CPUS.value,
        job.compute_dtype,
        app.STARTUP_TIMEOUT.value,
    )
    truth = benchmark_table.load(app.TRUTH.value) if app.TRUTH.value else None
    selected = job.select()
    prepared = job.prepare(strategy, run_dir)
    index, count = shard
    networks = prepared.networks(selected[index::count])
    directory = RunDirectory(
        run_dir,
        prepared.config,
        inference.about(strategy),
        is_chief(strategy),
        app.RESUME.value,
        shard=shard,
        patience=app.PATIENCE.value,
    )
    rows = inference.run_inference(
        networks,
        prepared.images,
        prepared.settings,
        directory,
        strategy,
        prepared.extras,
        app.RETRY_FAILED.value,
    )
    if not is_chief(strategy):
        return "left the results to the chief"
    directory.write_text("nngp_inference.gin", gin.operative_config_str())
    print(ranking.report(rows, score, truth))
    return f"wrote {directory.results_path}"


def checked_job(values: Mapping[str, Any]) -> InferenceJob:
    """Return the job that the arguments of `nngp_inference` and the flags describe.

    Raises:
      ValueError: If an argument is not of its kind.
    """
    values = {name: value for name, value in values.items() if name != "score"}
    app.check_integers(**{name: values[name] for name in _INTEGERS})
    app.check_booleans(balanced=values["balanced"], save_features=values["save_features"])
    below = max(values["num_inits"], 1)
    values["report_inits"] = app.increasing("report_inits", values["report_inits"], below)
    values["leave_one_out"] = app.names(
        "leave_one_out", values["leave_one_out"], transforms.KERNELS
    )
    return InferenceJob(**values, data_dir=app.DATA_DIR.value, download=app.DOWNLOAD.value)


def run() -> None:
    """Return the console script."""
    app.run(nngp_inference)


if __name__ == "__main__":
    run()
