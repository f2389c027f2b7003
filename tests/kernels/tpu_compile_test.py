"""Descriptions of TPUs, and what is said where the compiler for them is not there."""

import sys

import pytest
import tensorflow as tf

from nngp_tf.kernels import tpu_compile
from nngp_tf.kernels.tpu_compile import Topology

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("text", "chips", "cores", "tflops", "gibibytes"),
    [
        ("v5e:2x2", 4, 4, 197.0, 16),
        ("v5e:16x16", 256, 256, 197.0, 16),
        ("v6e:1x1", 1, 1, 918.0, 32),
        # A chip of this generation counts as two devices.
        ("v4:2x2x1", 4, 8, 137.5, 16),
        ("v5p:2x2x2", 8, 8, 459.0, 95),
    ],
)
def test_topologies(text, chips, cores, tflops, gibibytes):
    topology = Topology.parse(text)
    assert str(topology) == text
    assert (topology.chips, topology.cores) == (chips, cores)
    assert topology.core_flops == tflops * 1e12
    assert topology.core_memory == gibibytes * 2**30


@pytest.mark.parametrize("text", ["", "v5e", "v5e:", "v5e:2", "2x2", "v3:2x2", "v5e:2x2,", "v5e-4"])
def test_other_names_are_refused(text):
    with pytest.raises(ValueError, match=r"TPU topology '.*' ?.*(v4, v5e, v5p, v6e|2 sides)"):
        Topology.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v5e:2x2x1", "must have 2 sides of 1 to 16 chips"),
        ("v4:2x2", "must have 3 sides"),
        ("v5p:2x2", "must have 3 sides"),
        # libtpu would end the process.
        ("v5e:32x32", "must have 2 sides of 1 to 16 chips"),
        ("v6e:0x2", "must have 2 sides of 1 to 16 chips"),
    ],
)
def test_other_grids_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Topology.parse(text)


@pytest.mark.parametrize("missing", ["jax", "libtpu"])
def test_without_the_packages(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    tpu_compile._devices.cache_clear()
    # What would tell libtpu about its surroundings does not outlive the test.
    monkeypatch.setattr(tpu_compile, "_ENVIRONMENT", {})
    topology = Topology.parse("v5e:2x2")
    with pytest.raises(ValueError, match=r"pip install 'nngp_tf\[preflight\]'"):
        tpu_compile.check_topology(topology)
    with pytest.raises(ValueError, match=r"pip install 'nngp_tf\[preflight\]'"):
        tpu_compile.compile_function(tf.negative, [tf.TensorSpec([2])], topology)
