"""Programs are shared by networks, and the same with shapes as without."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels import mnas_layout, mnas_programs, monte_carlo_kernel
from nngp_tf.kernels.mnas_layer import MnasFamily
from nngp_tf.models import MnasNetwork
from nngp_tf.search_spaces import mnas
from tests.kernels.mnas_examples import mixed

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")


@pytest.fixture
def traced(monkeypatch):
    """Kinds, one for each trace of a layer's program."""
    kinds = []

    class Counted(mnas_programs.LayerProgram):
        # Constructed within each trace.
        def __init__(self, family, kind, inputs):
            super().__init__(family, kind, inputs)
            kinds.append(kind)

    monkeypatch.setattr(mnas_programs, "LayerProgram", Counted)
    mnas_programs.shared_programs.cache_clear()
    return kinds


def estimate(network, images=IMAGES):
    monte_carlo_kernel(network, images, num_inits=1, compute_dtype="float32")


def small(network):
    return MnasNetwork(network, (32, 32, 3), width_multiplier=0.25)


def kinds_with_shapes(network):
    return {layer.kind for layer in mnas_layout.encode(small(network), static=True)}


def test_number_of_traces_is_bounded(traced):
    """Two for each of 13 kinds, whatever the number of networks; none once these have been met."""
    rng = np.random.default_rng(0)
    after = []
    for shape in (32, 32), (32, 32), (48, 40):
        for _ in range(40 if shape == (32, 32) else 2):
            network = MnasNetwork(mnas.sample(rng), (*shape, 3), width_multiplier=0.25)
            estimate(network, np.resize(IMAGES, (4, *shape, 3)))
        after.append(len(traced))
    assert after == [26, 26, 26]
    programs = mnas_programs.shared_programs(
        MnasFamily("one_update", "float32"), tf.distribute.get_strategy()
    )
    # And the average over the head's output.
    assert len(programs) == 27


def test_number_of_traces_with_static_shapes_is_bounded(traced, monkeypatch):
    monkeypatch.setattr("nngp_tf.kernels.network.has_static_shapes", lambda device: True)
    rng = np.random.default_rng(0)
    first, second, third = (mnas.sample(rng) for _ in range(3))
    met = set()
    for each in (first, second, third):
        estimate(small(each))
        met |= kinds_with_shapes(each)
    assert collections.Counter(traced) == dict.fromkeys(met, 2)
    # At one image size, whatever the number of networks: those that begin and end a round as well.
    space = set(mnas_layout.space_kinds(small(first)))
    assert met <= space
    assert 2 * len(space) + 1 + 3 <= 1500

    crossed = first.blocks[:2] + second.blocks[2:]
    gates = [dataclasses.replace(x, se_ratio=0.25 - x.se_ratio) for x in third.blocks]
    before = len(traced)
    for blocks in (crossed, gates):
        network = mnas.Network.from_blocks(blocks)
        assert kinds_with_shapes(network) <= met
        estimate(small(network))
    assert len(traced) == before


@pytest.mark.parametrize("batch_norm", ["one_update", "initial"])
def test_static_shapes_change_nothing(monkeypatch, batch_norm):
    options = {"compute_dtype": "float32", "batch_norm": batch_norm, "num_inits": 1}
    options |= {"batch_size": 3, "calibration_size": 4}
    network = mixed((32, 32, 3))
    expected = monte_carlo_kernel(network, IMAGES, **options)
    monkeypatch.setattr("nngp_tf.kernels.network.has_static_shapes", lambda device: True)
    got = monte_carlo_kernel(network, IMAGES, **options)
    scale = np.abs(expected.train_train).max()
    assert np.abs(got.train_train - expected.train_train).max() < 1e-5 * scale


@pytest.mark.parametrize("position", [0, 2, 6, 8, 10, 12])
@pytest.mark.usefixtures("xla_on_cpu")
def test_programs_compile_with_xla(position):
    """As on TPU: static shapes throughout, conditionals and all."""
    family = MnasFamily("one_update", "float32")
    kind, inputs = mnas_layout.encode(mixed(), static=True)[position]
    prepare = mnas_programs.prepare_program(family, kind, "CPU")
    forward = mnas_programs.forward_program(family, kind, "CPU")
    size = (5, *kind.image_size, kind.widths.input)
    x = tf.constant(np.random.default_rng(1).normal(size=size).astype("float32"))
    arguments = inputs, tf.constant(1), tf.constant(0), x
    folded, after = tf.function(prepare, jit_compile=True, autograph=False)(*arguments)
    plain, plain_after = tf.function(prepare, autograph=False)(*arguments)
    for ours, theirs in zip(tf.nest.flatten(folded), tf.nest.flatten(plain), strict=True):
        assert ours.shape == theirs.shape
        assert np.isfinite(ours).all()
    assert after.shape == plain_after.shape
    # XLA's random numbers are others, so it is the same weights that must give the same features.
    expected = tf.function(forward, autograph=False)(inputs, folded, x)
    got = tf.function(forward, jit_compile=True, autograph=False)(inputs, folded, x)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_specs_are_those_of_the_programs():
    family = MnasFamily("one_update", "bfloat16")
    for kind, _ in mnas_layout.encode(mixed(), static=True):
        shared, own = mnas_programs.prepare_specs(family, kind, 6)
        prepare = mnas_programs.prepare_program(family, kind, "TPU")
        traced = tf.function(prepare, autograph=False).get_concrete_function(*shared, *own)
        folded, x = traced.structured_outputs
        shared, (folded_specs, _) = mnas_programs.forward_specs(family, kind, 4)
        tf.nest.assert_same_structure(folded, folded_specs)
        for got, spec in zip(tf.nest.flatten(folded), tf.nest.flatten(folded_specs), strict=True):
            assert (got.shape, got.dtype) == (spec.shape, spec.dtype)
        assert x.shape[0] == 6
        assert x.shape.is_fully_defined()
