"""The peer of `benchmarks.kernel`, for an interpreter that has neural-tangents; see there."""

from __future__ import annotations

import importlib

import numpy as np

from benchmarks import timing


def prepare(task):
    """Make images and network, and run one initialisation, which compiles it.

    Args:
      task: As for "convolutions" in `kernel_worker.prepare`, and `batch_size`: of the pairs of
        images, or 0 for all at once.
    """
    # Imported by name, as no environment of this project has them.
    jax = importlib.import_module("jax")
    neural_tangents = importlib.import_module("neural_tangents")
    stax = neural_tangents.stax
    shape = (task["num_train"], task["image_size"], task["image_size"], 3)
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    layers = []
    for _ in range(2):
        layers += [stax.Conv(task["width"], (3, 3), padding="SAME"), stax.Relu()]
    init_fn, apply_fn, _ = stax.serial(*layers, stax.GlobalAvgPool())

    def kernel_fn(num_inits):
        return neural_tangents.monte_carlo_kernel_fn(
            init_fn,
            apply_fn,
            jax.random.PRNGKey(0),
            num_inits,
            batch_size=task["batch_size"],
            trace_axes=(-1,),
        )

    # A function keeps what it compiled, so the timed one is the one warmed up.
    estimate = kernel_fn(task["num_inits"])

    def run():
        matrix = np.asarray(estimate(images, None, "nngp"), np.float64)
        return {
            "mean_diagonal": float(np.trace(matrix)) / len(matrix),
            "norm": float(np.linalg.norm(matrix)),
        }

    run()
    return run


if __name__ == "__main__":
    timing.serve(prepare)
