"""Packaging. TensorFlow comes by an extra: `nngp_tf[cpu]`, `[gpu]`, `[tpu]` or `[tpu-2.19]`."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).resolve().parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "nngp_tf" / "version.py").read_text(), re.MULTILINE
).group(1)

setuptools.setup(
    name="nngp_tf",
    version=VERSION,
    description="NNGP-guided neural architecture search in TensorFlow",
    long_description=(ROOT / "README.md").read_text() if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.14",
    # The gin files and the launchers lie at the top of the tree, and are installed in the package.
    packages=[
        *setuptools.find_packages(include=["nngp_tf*"]),
        "nngp_tf.configs",
        "nngp_tf.launchers",
    ],
    package_dir={"nngp_tf.configs": "configs", "nngp_tf.launchers": "launchers"},
    package_data={"nngp_tf.configs": ["**/*.gin"]},
    install_requires=[
        "absl-py>=2.0",
        "gin-config>=0.5",
        # TensorFlow Datasets imports it and does not say so.
        "importlib_resources>=5.0",
        "keras>=3.10,<4",
        "numpy>=1.26",
        "pandas>=2.2",
        "pillow>=11.3",
        "protobuf>=5.26",
        "scikit-learn>=1.3",
        "scipy>=1.11",
        "tensorflow-datasets>=4.9.10",
        "tqdm>=4.60",
    ],
    extras_require={
        "cpu": [
            "tensorflow-cpu>=2.20,<2.22; platform_machine in 'x86_64 AMD64'",
            "tensorflow>=2.20,<2.22; platform_machine not in 'x86_64 AMD64'",
        ],
        "gpu": ["tensorflow[and-cuda]>=2.20,<2.22"],
        # With a later libtpu, which pip would take, TensorFlow 2.20 aborts at its import.
        "tpu": ["tensorflow-tpu>=2.20,<2.21", "libtpu>=0.0.14,<0.0.32"],
        # The last that Keras' own tests hold on TPU. There is no wheel of it for Python 3.13.
        # It wants a protobuf that is too old for the next tensorflow-metadata, which says nothing.
        "tpu-2.19": [
            "tensorflow-tpu>=2.19.1,<2.20",
            "numpy>=1.26,<2.2",
            "protobuf>=4.25.2,<6",
            "tensorflow-metadata>=1.17,<1.18",
        ],
        "figures": ["matplotlib>=3.8"],
        # jax2tf and the lowering that launchers.tpu_preflight borrows of it change with versions.
        "preflight": ["jax>=0.10,<0.11", "libtpu>=0.0.52,<0.1"],
        "beam": ["apache-beam[dask]>=2.77,<3", "psutil>=5.9"],
        "fuzz": ["atheris>=3,<4"],
        "tensorboard": ["tensorboard>=2.19"],
        "search": ["pyglove>=0.4.4"],
        "test": [
            "hypothesis>=6.100",
            "psutil>=5.9",
            "pyglove>=0.4.4",
            "pytest>=8.0",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
        ],
        "lint": ["ruff==0.17.*"],
    },
    entry_points={
        "console_scripts": [
            "nngp-compare = nngp_tf.launchers.compare:run",
            "nngp-inference = nngp_tf.launchers.nngp_inference:run",
            "nngp-sweep = nngp_tf.launchers.sweep:run",
            "nngp-rescore = nngp_tf.launchers.rescore:run",
            "nngp-status = nngp_tf.launchers.status:run",
            "short-training = nngp_tf.launchers.short_training:run",
            "tpu-preflight = nngp_tf.launchers.tpu_preflight:run",
        ]
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
