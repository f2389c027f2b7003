"""Short training: architectures in, a run directory and a ranked table out.

python -m launchers.short_training --gin_file=configs/nasbench101_digits_training.gin --run_dir=DIR
"""

from __future__ import annotations

from collections.abc import Sequence

import gin
import keras

from nngp_tf.data import benchmark_table
from nngp_tf.data.images import load_images
from nngp_tf.kernels.strategy import build_strategy, is_chief
from nngp_tf.runs import architectures as architectures_lib
from nngp_tf.runs import inference, training
from nngp_tf.runs.networks import build_networks
from nngp_tf.runs.store import RunDirectory
from nngp_tf.training import recipes, short

from . import app


@gin.configurable
def short_training(
    space: str = "nasbench101",
    architectures: str = "sample",
    num_architectures: int | None = 10,
    dataset: str = "digits",
    subset: str = "authors",
    num_train: int = 1000,
    num_test: int = 500,
    classes: int | Sequence[str | int] | None = None,
    balanced: bool = False,
    num_epochs: int = 4,
    report_epochs: Sequence[int] | None = None,
    recipe: str = "nasbench101",
    seed: int = 0,
    stem_filters: int = 128,
    num_stacks: int = 3,
    modules_per_stack: int = 3,
    image_size: int | None = None,
    preprocessing: str = "resize",
    channel_mean: Sequence[float] | None = None,
    channel_std: Sequence[float] | None = None,
    compute_dtype: str | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    augmentation: str | None = None,
    batch_norm_momentum: float | None = None,
    jit_compile: bool | str = "auto",
    steps_per_execution: int | None = None,
    tensorboard: bool = False,
    backup: bool = True,
) -> str:
    """Train architectures as the flags and gin say.

    The images and architectures are those of `nngp_inference` under the same parameters.

    Args:
      space: Search space: "nasbench101" or "mnas".
      architectures: How they are chosen; see `nngp_tf.runs.architectures.select`.
      num_architectures: How many; None for all.
      dataset: See `nngp_tf.data.images.load_images`, as are the next five.
      subset: Rule by which images are chosen.
      num_train: Training images.
      num_test: Images for validation.
      classes: Which classes are used, or how many; all unless given.
      balanced: Whether each class has as many images as another.
      num_epochs: Epochs, which the learning rate spans; run each budget by itself.
      report_epochs: The epochs after which networks are validated, (4, 12) say; all unless given.
      recipe: "nasbench101" or "mnasnet"; see `nngp_tf.training.recipes.Recipe`, as do the next.
      seed: Of images, architectures, weights, the order of the images and their augmentation.
      stem_filters: Width of the networks of NAS-Bench-101.
      num_stacks: Their stacks of cells.
      modules_per_stack: Cells in a stack.
      image_size: Side to which images are resized; their own size unless given.
      preprocessing: "resize" or "mnasnet"; see `nngp_tf.data.images.load_images`.
      channel_mean: Of the standardisation; computed unless given.
      channel_std: Of the standardisation; computed unless given.
      compute_dtype: "float32", or "bfloat16" or "float16" with variables in float32; unless given,
        bfloat16 on TPU, else float32.
      batch_size: Images in a step; the recipe's unless given, as are the next two.
      learning_rate: The peak for a batch of 256; in proportion for others.
      augmentation: "crop_and_flip", "resized_crop_and_flip" or "none".
      batch_norm_momentum: Of the moving statistics; the network's own unless given, which is too
        slow for less than some five hundred steps.
      jit_compile: Whether XLA compiles the step; see `nngp_tf.training.short.TrainingSettings`, as
        does the next.
      steps_per_execution: Steps in one call of the device's program.
      tensorboard: Whether TensorBoard's logs are written.
      backup: Whether each epoch is backed up, for runs that are killed.

    Returns:
      The line that names the results.
    """
    config = dict(locals())
    run_dir = app.required(app.RUN_DIR)
    app.check_integers(
        num_architectures=num_architectures,
        num_train=num_train,
        num_test=num_test,
        num_epochs=num_epochs,
        seed=seed,
        stem_filters=stem_filters,
        num_stacks=num_stacks,
        modules_per_stack=modules_per_stack,
        image_size=image_size,
        batch_size=batch_size,
        steps_per_execution=steps_per_execution,
    )
    app.check_booleans(balanced=balanced, tensorboard=tensorboard, backup=backup)
    if report_epochs is not None:
        report_epochs = app.increasing("report_epochs", report_epochs, below=num_epochs + 1)
    settings = short.TrainingSettings(
        recipe=recipes.get(
            recipe,
            batch_size=batch_size,
            learning_rate=learning_rate,
            augmentation=augmentation,
            batch_norm_momentum=batch_norm_momentum,
        ),
        num_epochs=num_epochs,
        seed=seed,
        compute_dtype=compute_dtype,
        report_epochs=report_epochs,
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )
    index, count = app.shard()
    # Keras would print on stdout where it stops training that diverged.
    keras.config.disable_interactive_logging()
    strategy = build_strategy(
        app.STRATEGY.value,
        app.TPU.value,
        app.LOGICAL_CPUS.value,
        compute_dtype,
        app.STARTUP_TIMEOUT.value,
    )
    settings = short.resolve(settings, strategy)
    truth = benchmark_table.load(app.TRUTH.value) if app.TRUTH.value else None
    selected = architectures_lib.select(space, architectures, num_architectures, seed)
    images = load_images(
        dataset,
        num_train,
        num_test,
        seed=seed,
        data_dir=app.DATA_DIR.value,
        subset=subset,
        image_size=image_size,
        channel_mean=channel_mean,
        channel_std=channel_std,
        classes=classes,
        balanced=balanced,
        preprocessing=preprocessing,
        download=app.DOWNLOAD.value,
    )
    short.check(images, settings, strategy, tensorboard)  # Before a run directory is made.
    networks = build_networks(
        selected,
        images.x_train.shape[1:],
        images.num_classes,
        stem_filters,
        num_stacks,
        modules_per_stack,
    )
    # These choose among results or say how fast they come; the others decide what they are.
    for name in (
        *("num_architectures", "jit_compile", "steps_per_execution", "tensorboard", "backup"),
    ):
        del config[name]
    # What is not asked for leaves the configuration as it was before it could be.
    for name in ("num_stacks", "modules_per_stack"):
        if config[name] == 3:
            del config[name]
    config |= {
        "dataset": images.name,
        "batch_size": settings.recipe.batch_size,
        "compute_dtype": settings.compute_dtype,
    }
    directory = RunDirectory(
        run_dir,
        config,
        inference.about(strategy),
        is_chief(strategy),
        resume=app.RESUME.value,
        shard=(index, count),
        patience=app.PATIENCE.value,
    )
    rows = training.run_training(
        networks[index::count],
        images,
        settings,
        directory,
        strategy,
        tensorboard,
        backup,
        app.RETRY_FAILED.value,
    )
    if not is_chief(strategy):
        return "left the results to the chief"
    directory.write_text("short_training.gin", gin.operative_config_str())
    print(training.report(rows, truth))
    return f"wrote {directory.results_path}"


def run() -> None:
    """Return the console script."""
    app.run(short_training)


if __name__ == "__main__":
    run()
