"""Every program of the launchers traces under a TPUStrategy, with the sums over its replicas.

What TPUStrategy forbids shows here: dynamic shapes, variables made on the way, eager operations.
"""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.distribute.values import PerReplicaSpec

from nngp_tf.data.images import load_images
from nngp_tf.kernels import mnas_step, monte_carlo, precision, running_kernels
from nngp_tf.models import MnasNetwork, Nasbench101Network
from nngp_tf.search_spaces import mnas
from nngp_tf.training import input as input_lib
from nngp_tf.training import recipes, short
from tests.devices.described_tpu import described_strategy
from tests.golden import INCEPTION, RESNET

pytestmark = pytest.mark.slow

# A host of one chip and of four; two hosts and eight.
SIZES = [1, 4, *(pytest.param(size, marks=pytest.mark.long) for size in (8, 32))]
NUM_TRAIN, NUM_TEST, NUM_INITS = 23, 10, 4


def own_model():
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(6, 3),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.2),
            keras.layers.GlobalAveragePooling2D(name="features"),
            keras.layers.Dense(3),
        ]
    )


def mobile_network():
    blocks = [(1, "mbconv", 3, 3, 0.25, 8)] * 7
    return MnasNetwork(mnas.Network.from_blocks(blocks, stem_filters=8), (32, 32, 3))


NETWORKS = {
    "nasbench101": lambda: Nasbench101Network(
        INCEPTION, (16, 16, 3), stem_filters=4, num_stacks=2, modules_per_stack=1
    ),
    "own": own_model,
    "mnas": mobile_network,
}


def operations(concrete):
    """From each kind of operation, in functions as well, to the shapes of their first outputs."""
    definition = concrete.graph.as_graph_def(add_shapes=True)
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    found = {}
    for node in nodes:
        shapes = node.attr["_output_shapes"].list.shape
        shape = tf.TensorShape(shapes[0]).as_list() if shapes else None
        found.setdefault(node.op, []).append(shape)
    return found


def traced(monkeypatch, network, strategy, keep_features):
    """The concrete function that sums over the replicas, and its specification of the work."""
    steps = []

    def trace(step, *arguments):
        steps.append((step, step.get_concrete_function(*arguments), arguments))

    size = 32 if isinstance(network, MnasNetwork) else 16
    images = np.random.default_rng(0).normal(size=(NUM_TRAIN + NUM_TEST, size, size, 3))
    images = np.split(images.astype("float32"), [NUM_TRAIN])
    monkeypatch.setattr(monte_carlo, "trace_step", trace)
    # It is traced at the call; nothing can run.
    running_kernels(network, *images, (NUM_INITS,), strategy=strategy, keep_features=keep_features)
    return steps[0]


def layout(replicas):
    """Groups of replicas with an initialisation of their own, and replicas in a group."""
    groups = min(NUM_INITS, replicas)
    return groups, replicas // groups


def expected_sums(replicas, keep_features, padded, width):
    """Shapes that are summed over the replicas."""
    if replicas == 1:
        return []
    groups, images = layout(replicas)
    gathered = [[groups, padded, width]] if images > 1 or keep_features else []
    return [*gathered, [NUM_TRAIN + NUM_TEST, NUM_TRAIN], [NUM_TEST], [], []]


def assert_sums(concrete, replicas, keep_features, width):
    """Check that a program runs on all replicas, and what it sums and returns."""
    found = operations(concrete)
    sums = found.get("CrossReplicaSum", [])
    padded = sums[0][1] if len(sums) == 5 else None
    expected = expected_sums(replicas, keep_features, padded, width)
    assert sorted(map(str, sums)) == sorted(map(str, expected))
    assert padded is None or padded >= NUM_TRAIN + NUM_TEST
    results = [tf.nest.flatten(r, expand_composites=True) for r in concrete.structured_outputs]
    assert [len(result) for result in results] == [replicas] * len(results)
    shapes = [result[0].shape.as_list() for result in results]
    assert shapes[:4] == [[NUM_TRAIN + NUM_TEST, NUM_TRAIN], [NUM_TEST], [], []]
    kept = [[layout(replicas)[0], NUM_TRAIN + NUM_TEST, width]] if keep_features else []
    assert shapes[4:] == kept


@pytest.mark.parametrize("replicas", SIZES)
@pytest.mark.parametrize("name", ["nasbench101", "own"])
def test_kernels(monkeypatch, name, replicas):
    keep_features = name == "own"
    strategy = described_strategy(replicas)
    _, concrete, _ = traced(monkeypatch, NETWORKS[name](), strategy, keep_features)
    width = {"nasbench101": 8, "own": 6}[name]
    assert_sums(concrete, replicas, keep_features, width)
    (replicated,) = [n for n in concrete.graph.get_operations() if n.type == "TPUReplicateMetadata"]
    assert replicated.get_attr("num_replicas") == replicas


@pytest.mark.parametrize("replicas", SIZES)
def test_kernels_of_mobile_networks(monkeypatch, replicas):
    strategy = described_strategy(replicas)
    step, _, arguments = traced(monkeypatch, NETWORKS["mnas"](), strategy, False)
    inputs, *scalars, images = arguments
    # Each layer has its programs, as on TPU, where shapes are static.
    assert len(step._programs) == 2 * len(set(step._kinds))
    assert all(kind.widths for kind in step._kinds)
    del inputs

    begin, batch, end = mnas_step._round_programs(step._spec)
    begun = begin.get_concrete_function(*scalars[:2], images)
    assert "CrossReplicaSum" not in operations(begun)
    batch.get_concrete_function(images, tf.TensorSpec([], tf.int32))
    division = step._spec.division
    z = tf.TensorSpec([division.batch_size, 1280], tf.float32)
    each = PerReplicaSpec(*[z] * replicas) if replicas > 1 else z
    ended = end.get_concrete_function(*scalars[1:], [each] * division.batches)
    assert_sums(ended, replicas, False, 1280)


@pytest.mark.parametrize("replicas", SIZES)
def test_short_training(replicas):
    strategy = described_strategy(replicas, cores_of_a_host=replicas)
    images = load_images("digits", 128, 64)
    network = Nasbench101Network(
        RESNET, (32, 32, 3), 10, stem_filters=4, num_stacks=1, modules_per_stack=1
    )
    recipe = recipes.get("nasbench101", batch_size=64)
    settings = short.resolve(short.TrainingSettings(recipe, num_epochs=1), strategy)
    assert settings.compute_dtype == "bfloat16"
    short.check(images, settings, strategy)
    model = short._compiled(network, images, settings, strategy)
    # Both steps of the epoch in one call of the device's program.
    assert model.steps_per_execution == 2
    batches = input_lib.training_batches(images, 64, recipe.augmentation, 0, 1)
    model.make_train_function()
    steps = inspect.getclosurevars(model.train_function).nonlocals["multi_step_on_iterator"]
    iterator = iter(strategy.experimental_distribute_dataset(batches))
    found = operations(steps.get_concrete_function(iterator))
    assert "TPUReplicateMetadata" in found
    gradients = [variable.shape for variable in model.trainable_variables]
    if replicas > 1:
        sums = sorted(map(str, found["CrossReplicaSum"]))
        assert sums == sorted(str(list(shape)) for shape in gradients)


def test_a_precision_of_its_own():
    assert precision.default_compute_dtype(described_strategy(1)) == "bfloat16"
