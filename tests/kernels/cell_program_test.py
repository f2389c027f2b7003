"""The shared programs compute what the Keras model of the same network computes."""

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels import cell_layout, monte_carlo_kernel, step
from nngp_tf.kernels.cell_program import CellFamily
from nngp_tf.models import Nasbench101Network
from nngp_tf.search_spaces import nasbench101
from tests.golden import INCEPTION, RESNET

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(3).normal(size=(24, 12, 12, 3)).astype("float32")


def with_feeders(count, number):
    """Cells whose output has so many feeders; with three or four, splits of 10 are uneven."""
    rng = np.random.default_rng(count)
    found = []
    while len(found) < number:
        cell = nasbench101.sample(rng)
        if cell.matrix[1:, -1].sum() == count and cell not in found:
            found.append(cell)
    return found


def network(cell, **options):
    """A module as wide as its input, and one of twice the width and half the size."""
    options = {"stem_filters": 10, "num_stacks": 2, "modules_per_stack": 1} | options
    return Nasbench101Network(cell, IMAGES.shape[1:], **options)


def kernels(net, **options):
    options = {
        "num_inits": 2,
        "compute_dtype": "float32",
        "batch_size": 9,
        "calibration_size": 11,
        "keep_features": True,
    } | options
    return [monte_carlo_kernel(each, IMAGES, **options) for each in (net, net.build())]


@pytest.mark.parametrize(
    ("cell", "depth"),
    [
        *((cell, {}) for cell in with_feeders(1, 3)),
        *((cell, {}) for cell in with_feeders(2, 3)),
        *((cell, {}) for cell in with_feeders(3, 4)),
        *((cell, {}) for cell in with_feeders(4, 2)),
        *((cell, {}) for cell in with_feeders(0, 1)),
        pytest.param(RESNET, {"num_stacks": 3, "modules_per_stack": 2}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_features_are_those_of_the_keras_model(cell, depth):
    shared, keras_model = kernels(network(cell, **depth))
    scale = np.abs(keras_model.features).max()
    assert scale > 0
    assert np.abs(shared.features - keras_model.features).max() < 1e-4 * scale
    np.testing.assert_allclose(shared.spread, keras_model.spread, rtol=1e-3)


@pytest.mark.parametrize("batch_norm", ["batch_statistics", "initial"])
def test_modes_of_batch_normalisation(batch_norm):
    shared, keras_model = kernels(network(INCEPTION), batch_norm=batch_norm)
    scale = np.abs(keras_model.features).max()
    assert np.abs(shared.features - keras_model.features).max() < 1e-4 * scale


def test_bfloat16_stays_within_its_rounding():
    shared, keras_model = kernels(network(INCEPTION), compute_dtype="bfloat16")
    exact, _ = kernels(network(INCEPTION))

    def error(kernel):
        difference = np.linalg.norm(kernel.train_train - exact.train_train)
        return difference / np.linalg.norm(exact.train_train)

    # Folded or not, some eighty layers of 8-bit mantissas lose the same order of digits.
    assert error(shared) < 0.05
    assert error(shared) < 3 * error(keras_model)


def test_float64_builds_the_model():
    shared, keras_model = kernels(network(RESNET), compute_dtype="float64")
    np.testing.assert_array_equal(shared.train_train, keras_model.train_train)


def test_networks_share_families():
    def family(cell, **options):
        return CellFamily.of(network(cell, **options), "one_update", "float32")

    same = {family(cell) for cell in with_feeders(2, 20)}
    assert len(same) == 1
    assert family(RESNET) not in same
    assert family(RESNET, stem_filters=12) != family(RESNET)


def test_number_of_programs_is_bounded():
    """Five families, whatever the number of cells; nothing is traced once they have been met."""
    rng = np.random.default_rng(0)
    images = IMAGES[:6, :8, :8]
    traced = []
    step.shared_step.cache_clear()
    make_step = step.make_step

    def counted(spec):
        made = make_step(spec)
        traced.append(made)
        return made

    def traces():
        return sum(made.experimental_get_tracing_count() for made in traced)

    options = {"stem_filters": 4, "num_stacks": 1, "modules_per_stack": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "make_step", counted)
        after = []
        for _ in range(2):
            for _ in range(250):
                net = Nasbench101Network(nasbench101.sample(rng), images.shape[1:], **options)
                monte_carlo_kernel(net, images, num_inits=1, compute_dtype="float32")
            after.append(traces())
    assert after == [cell_layout.MAX_FEEDERS + 1] * 2


@pytest.mark.usefixtures("xla_on_cpu")
def test_programs_compile_with_xla():
    """As on TPU: static shapes throughout, conditionals and all."""
    # XLA tries convolutions of larger images out while it compiles, which takes most of a minute.
    images = IMAGES[:4, :5, :5]
    cell = with_feeders(3, 1)[0]
    net = Nasbench101Network(
        cell, images.shape[1:], stem_filters=10, num_stacks=1, modules_per_stack=1
    )
    family = CellFamily.of(net, "one_update", "float32")

    def initialise(inputs, images):
        return family.program(inputs).initialise(1, 0, images)

    def features(inputs, drawn, images):
        return family.program(inputs).features(drawn, images)

    inputs = tf.nest.map_structure(tf.constant, cell_layout.encode(net))
    # XLA's random numbers are others, so it is the same weights that must give the same features.
    compiled = tf.function(initialise, jit_compile=True)(inputs, images)
    plain = tf.function(initialise)(inputs, images)
    for ours, theirs in zip(tf.nest.flatten(compiled), tf.nest.flatten(plain), strict=True):
        assert ours.shape == theirs.shape
        assert np.isfinite(ours).all()
    expected = tf.function(features)(inputs, compiled, images)
    got = tf.function(features, jit_compile=True)(inputs, compiled, images)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
