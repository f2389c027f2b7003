"""Fixtures shared by all tests."""

import os
import pathlib

import pytest


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The development data (CIFAR-10 as TFDS, NAS-Bench-101 accuracies); skips where it is absent.

    `NNGP_TF_SHARED_DATA` names the directory; `../shared/data` beside the checkout is the default.
    """
    default = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
    path = pathlib.Path(os.environ.get("NNGP_TF_SHARED_DATA", default))
    if not path.is_dir():
        pytest.skip(f"no development data at {path}; set NNGP_TF_SHARED_DATA to use another place")
    return path


@pytest.fixture(scope="session")
def xla_on_cpu() -> None:
    """Skips where XLA does not compile for the CPU, as in TensorFlow's wheels for TPU."""
    import tensorflow as tf

    try:
        tf.function(tf.negative, jit_compile=True)(1.0)
    except tf.errors.NotFoundError as error:
        pytest.skip(f"XLA does not compile for the CPU here: {error.message}")
