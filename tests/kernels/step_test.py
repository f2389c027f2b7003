"""What one replica computes, apart from any strategy."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels import cell_layout, step, work
from nngp_tf.kernels.cell_program import CellFamily
from nngp_tf.models import Nasbench101Network
from tests.golden import RESNET

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).normal(size=(12, 8, 8, 3)).astype("float32")
NETWORK = Nasbench101Network(RESNET, (8, 8, 3), stem_filters=4, num_stacks=1, modules_per_stack=1)


def spec_of(num_replicas, num_inits=2):
    return step.StepSpec(
        family=CellFamily.of(NETWORK, "one_update", "float32"),
        strategy=tf.distribute.get_strategy(),
        division=work.divide(num_inits, len(IMAGES), num_replicas, 4, 6),
        num_train=8,
        num_images=len(IMAGES),
        calibration_size=6,
        keep_features=False,
    )


@pytest.fixture(scope="module")
def program():
    """The program of one of two replicas: tracing it takes seconds."""
    return tf.function(step.replica_program(spec_of(num_replicas=2), "CPU"))


def test_replicas_sum_to_the_step(program):
    inputs = tf.nest.map_structure(tf.constant, cell_layout.encode(NETWORK))
    arguments = tf.constant(3), tf.constant(0), tf.constant(2), tf.constant(IMAGES)
    spec = spec_of(num_replicas=2)
    assert (spec.division.init_groups, spec.division.image_groups) == (2, 1)
    parts = [program(tf.constant(replica), inputs, *arguments) for replica in range(2)]
    alone = step.make_step(spec_of(num_replicas=1))
    seed, _, end, images = arguments
    rounds = [alone(inputs, seed, tf.constant(start), end, images) for start in range(2)]
    for *of_replicas, first, second in zip(*parts, *rounds, strict=True):
        np.testing.assert_allclose(sum(of_replicas), first + second, rtol=1e-5)


def test_a_surplus_replica_adds_nothing(program):
    inputs = tf.nest.map_structure(tf.constant, cell_layout.encode(NETWORK))
    sums = program(tf.constant(1), inputs, *map(tf.constant, (3, 0, 1)), tf.constant(IMAGES))
    assert all(not np.any(part) for part in sums)


@pytest.mark.parametrize("keep_features", [False, True])
def test_for_tpu_the_products_are_float32(keep_features):
    spec = dataclasses.replace(spec_of(num_replicas=2, num_inits=1), keep_features=keep_features)
    assert spec.division.image_groups == 2
    inputs = tf.nest.map_structure(
        lambda value: tf.TensorSpec(value.shape, value.dtype), cell_layout.encode(NETWORK)
    )
    scalar = tf.TensorSpec([], tf.int32)
    images = tf.TensorSpec([spec.num_placed, 8, 8, 3])
    program = tf.function(step.replica_program(spec, "TPU"), autograph=False)
    traced = program.get_concrete_function(scalar, inputs, scalar, scalar, scalar, images)
    products, diagonal, norm, rounded, *features = traced.structured_outputs
    assert {each.dtype for each in (products, diagonal, norm, rounded)} == {tf.float32}
    assert products.shape == [12, 8]
    assert [each.shape for each in features] == ([[1, 12, 4]] if keep_features else [])
