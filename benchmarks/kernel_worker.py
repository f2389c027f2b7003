"""One point of `benchmarks.kernel` in a process of its own."""

from __future__ import annotations

import keras
import numpy as np

from benchmarks import networks, timing
from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.models import Nasbench101Network
from nngp_tf.search_spaces.nasbench101 import Cell


def prepare(task):
    """Make images and network, and run one initialisation, which traces the program.

    Args:
      task: `num_train`, `num_inits`, `image_size`, `width`, `compute_dtype` or None, and `network`:
        "cell", the fourth of `networks.FIXED_CELLS` with `width` stem filters, or "convolutions",
        two 3x3 convolutions of that width with ReLU under a global average.
    """
    imported = timing.peak_memory()
    shape = (task["image_size"], task["image_size"], 3)
    images = np.random.default_rng(0).normal(size=(task["num_train"], *shape)).astype(np.float32)
    if task["network"] == "cell":
        cell = Cell.from_text(networks.FIXED_CELLS[3])
        model = Nasbench101Network(cell, shape, stem_filters=task["width"])
    else:
        model = _convolutions(shape, task["width"])

    def kernel(num_inits):
        return monte_carlo_kernel(
            model, images, num_inits=num_inits, compute_dtype=task["compute_dtype"]
        )

    kernel(1)

    def run():
        matrix = kernel(task["num_inits"]).train_train
        return {
            "imported_mebibytes": imported,
            "mean_diagonal": float(np.trace(matrix)) / len(matrix) / task["width"],
            "norm": float(np.linalg.norm(matrix)) / task["width"],
        }

    return run


def _convolutions(shape, width):
    layers = [
        keras.layers.Conv2D(
            width,
            3,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            kernel_initializer="lecun_normal",
        )
        for _ in range(2)
    ]
    images = x = keras.Input(shape)
    for layer in layers:
        x = keras.layers.ReLU()(layer(x))
    pool = keras.layers.GlobalAveragePooling2D(data_format="channels_last", name="features")
    return keras.Model(images, pool(x))


if __name__ == "__main__":
    timing.serve(prepare)
