"""Keras on another backend, Keras 2, or no TensorFlow: a sentence, before either is loaded."""

import json
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import nngp_tf
from nngp_tf import frameworks
from nngp_tf.training import recipes, short
from tests.environments import ROOT

pytestmark = pytest.mark.fast

# Prints what the import of the package named said, and which of the two it loaded.
IMPORT = """
import importlib, sys
try:
    importlib.import_module(sys.argv[1])
except ImportError as error:
    print(error)
print({"tensorflow", "keras"} & set(sys.modules))
"""


def python(*arguments, **environment):
    inherited = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=inherited | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )


def keras_home(path, backend):
    path.joinpath("keras.json").write_text(json.dumps({"backend": backend}))
    return str(path)


@pytest.mark.parametrize("backend", ["jax", "torch", "numpy", "no such backend"])
def test_a_launcher_ends_with_a_sentence_by_the_variable(backend):
    done = python("-m", "launchers.nngp_inference", KERAS_BACKEND=backend)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert repr(backend) in line
    assert "KERAS_BACKEND=tensorflow" in line


@pytest.mark.parametrize("value", ["1", "true", "True"])
def test_a_launcher_ends_with_a_sentence_under_legacy_keras(value):
    done = python("-m", "launchers.nngp_inference", TF_USE_LEGACY_KERAS=value)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "TF_USE_LEGACY_KERAS" in line


def test_legacy_keras_may_be_switched_off():
    done = python("-m", "launchers.status", "--run_dir=/none", TF_USE_LEGACY_KERAS="0")
    assert "TF_USE_LEGACY_KERAS" not in done.stderr


def test_a_launcher_ends_with_a_sentence_by_the_file(tmp_path):
    done = python("-m", "launchers.status", KERAS_HOME=keras_home(tmp_path, "jax"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert str(tmp_path / "keras.json") in line


@pytest.mark.parametrize("package", ["kernels", "models", "training", "data.images"])
def test_a_package_does(package):
    done = python("-c", IMPORT, f"nngp_tf.{package}", KERAS_BACKEND="torch")
    said, loaded = done.stdout.splitlines()
    assert "'torch'" in said
    assert loaded == "set()"


def test_the_variable_counts_more_than_the_file(tmp_path):
    done = python(
        "-c",
        IMPORT,
        "nngp_tf.frameworks",
        KERAS_HOME=keras_home(tmp_path, "jax"),
        KERAS_BACKEND="tensorflow",
    )
    assert done.stdout == "set()\n"


def test_search_spaces_and_measures_take_any_backend():
    code = "import nngp_tf; nngp_tf.search_spaces.nasbench101; nngp_tf.analysis.metrics"
    assert python("-c", code, KERAS_BACKEND="jax").returncode == 0


def test_keras_that_was_imported_on_another_backend(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ImportError, match="'jax'"):
        frameworks.check()


@pytest.mark.parametrize("package", ["tensorflow", "keras"])
def test_a_package_that_is_absent(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=rf"{package}.*'nngp_tf\[cpu\]'"):
        frameworks.check()


@pytest.mark.parametrize("package, version", [("tensorflow", "2.18.1"), ("keras", "2.15.0")])
def test_a_package_that_is_too_old(package, version, monkeypatch):
    versions = {"tensorflow": "2.21.0", "tensorflow-cpu": "2.21.0", "keras": "3.10.0"}
    versions |= dict.fromkeys([name for name in versions if name.startswith(package)], version)
    monkeypatch.setattr(frameworks.metadata, "version", versions.__getitem__)
    with pytest.raises(ImportError, match=rf"{package}.*{version}"):
        frameworks.check()


def test_the_oldest_versions_are_those_of_the_package():
    text = (ROOT / "setup.py").read_text()
    for package, (major, minor) in frameworks.OLDEST.items():
        assert re.search(rf'"{package}(-tpu)?>={major}\.{minor}[.,]', text)


def model_of_keras_2():
    """A model of tf_keras, or what is known of one where that is not installed."""
    try:
        import tf_keras
    except ImportError:
        base = type("Functional", (), {"__module__": "tf_keras.src.engine.functional"})
        return type("Mine", (base,), {})()
    image = tf_keras.Input((8, 8, 1))
    vector = tf_keras.layers.GlobalAveragePooling2D(name="features")(image)
    return tf_keras.Model(image, tf_keras.layers.Dense(10)(vector))


def test_a_model_of_keras_2():
    images = np.random.default_rng(0).uniform(size=(4, 8, 8, 1)).astype(np.float32)
    for call in (
        lambda model: nngp_tf.kernels.monte_carlo_kernel(model, images, num_inits=1),
        nngp_tf.models.features,
    ):
        with pytest.raises(ValueError, match=r"tf_keras.*import keras"):
            call(model_of_keras_2())


def test_a_network_that_builds_a_model_of_keras_2():
    class Network:
        key, text, trainable_parameters, multiply_adds = "k", "t", 10, 10

        def build(self, dtype_policy):
            return model_of_keras_2()

    data = nngp_tf.data.images.load_images("digits", num_train=10, num_test=10)
    recipe = recipes.get("nasbench101", batch_size=10)
    settings = short.TrainingSettings(recipe, num_epochs=1)
    with pytest.raises(ValueError, match=r"tf_keras.*import keras"):
        short.train(Network(), data, settings)


def test_another_object_is_named_with_its_module():
    with pytest.raises(ValueError, match=r"numpy\.ndarray"):
        nngp_tf.models.features(np.zeros(3))
