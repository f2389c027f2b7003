"""Every program of the launchers lowers for a TPU by the operations that TensorFlow has for one.

It takes TensorFlow's TPU wheel and no TPU: an operation without a kernel for TPUs is named.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.data.images import load_images
from nngp_tf.kernels import mnas_step, network, step, tpu_compile
from nngp_tf.kernels.tpu_compile import Compilation, Topology
from nngp_tf.models import Nasbench101Network
from nngp_tf.runs import mnas_preflight, preflight
from nngp_tf.training import input as input_lib
from nngp_tf.training import recipes, short
from tests.golden import RESNET

pytestmark = pytest.mark.tpu

TOPOLOGY = Topology.parse("v5e:2x2")
SIZES = {"num_train": 10, "num_test": 6, "num_inits": 2}


def lower(function, specs):
    """Return the module of XLA that a function becomes on a TPU.

    Raises:
      ValueError: If it has an operation that a TPU lacks.
    """
    concrete = tpu_compile.trace(function, specs)

    @tf.function(jit_compile=True, autograph=False)
    def compiled(*flat):
        return concrete(*tf.nest.pack_sequence_as(specs, flat))

    return compiled.experimental_get_compiler_ir(*tf.nest.flatten(specs))(platform_name="TPU")


@pytest.fixture
def preflights(monkeypatch):
    """Has the preflights lower their programs instead of compiling them."""

    def lowered(function, specs, topology):
        assert lower(function, specs).startswith("HloModule")
        return Compilation(0.0, 0.0, flops=0.0, bytes_accessed=0.0, peak_memory=0)

    for module in (preflight, mnas_preflight):
        monkeypatch.setattr(module, "compile_function", lowered)


@pytest.mark.parametrize("num_feeders", [0, 2])
@pytest.mark.usefixtures("preflights")
def test_cells(num_feeders):
    protocol = preflight.Protocol((16, 16, 3), stem_filters=8, **SIZES)
    (row,) = preflight.compile_families(protocol, TOPOLOGY, [num_feeders])
    assert row["compiles"]


@pytest.mark.parametrize("batch_norm", ["one_update", "initial"])
@pytest.mark.usefixtures("preflights")
def test_mobile_networks(batch_norm):
    protocol = mnas_preflight.MnasProtocol((32, 32, 3), batch_norm=batch_norm, **SIZES)
    rows = list(mnas_preflight.compile_families(protocol, TOPOLOGY))
    assert {row["program"] for row in rows} == {"begin", "batch", "end", "pool"} | {
        "prepare",
        "forward",
    }


def test_sums_over_replicas():
    protocol = mnas_preflight.MnasProtocol((32, 32, 3), **SIZES)
    spec = protocol.spec(TOPOLOGY.cores)
    assert spec.division.image_groups == 2

    def over_replicas(values):
        groups = [list(range(TOPOLOGY.cores))]
        return tf.nest.map_structure(
            lambda value: tf.raw_ops.CrossReplicaSum(input=value, group_assignment=groups), values
        )

    _, _, end = mnas_step.replica_programs(spec, "TPU", over_replicas)
    scalar = tf.TensorSpec([], tf.int32)
    z = [tf.TensorSpec([spec.division.batch_size, 1280])] * spec.division.batches
    # The features, which two replicas share, and three sums.
    assert lower(end, [scalar, scalar, scalar, z]).count(" all-reduce(") >= 4


def own_model(*layers):
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(8, 3),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.ReLU(),
            keras.layers.SeparableConv2D(8, 3, strides=2),
            keras.layers.GroupNormalization(2),
            keras.layers.Dropout(0.2),
            *layers,
            keras.layers.GlobalAveragePooling2D(name="features"),
            keras.layers.Dense(3),
        ]
    )


def lower_kernel(model, weights):
    protocol = preflight.Protocol((16, 16, 3), **SIZES)
    images = np.zeros((SIZES["num_train"], 16, 16, 3), np.float32)
    resolved = network.resolve(
        model, images, "features", None, "bfloat16", tf.distribute.get_strategy(), weights
    )
    spec = preflight.step_spec(protocol, resolved.family, num_features=8, cores=TOPOLOGY.cores)
    inputs = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), resolved.inputs)
    scalar = tf.TensorSpec([], tf.int32)
    padded = tf.TensorSpec([spec.num_placed, 16, 16, 3])
    specs = [scalar, inputs, scalar, scalar, scalar, padded]
    return lower(step.replica_program(spec, "TPU"), specs)


@pytest.mark.parametrize("weights", ["drawn", "as_given"])
def test_own_model(weights):
    assert lower_kernel(own_model(), weights).startswith("HloModule")


@keras.saving.register_keras_serializable(package="tpu_lowering_test")
class LowerUpper(keras.layers.Layer):
    """An operation that runs on CPU and not on TPU."""

    def call(self, x):
        wide = tf.cast(x[:, :4, :4, :1], tf.float32)
        return x + tf.cast(tf.reduce_sum(tf.linalg.lu(wide[..., 0]).lu), x.dtype)


def test_an_operation_that_a_tpu_lacks():
    with pytest.raises(ValueError, match="XLA_TPU_JIT: Lu "):
        lower_kernel(own_model(LowerUpper()), "drawn")


# How a program without variables has what reads and assigns them: the operation, of which inputs.
WITHOUT_VARIABLES = {
    "ReadVariableOp": ("Identity", slice(0, 1)),
    "AssignVariableOp": ("Identity", slice(1, 2)),
    "AssignSubVariableOp": ("Sub", slice(0, 2)),
    "AssignAddVariableOp": ("AddV2", slice(0, 2)),
}


def without_variables(concrete):
    """Return a traced program as a function of its variables, and their specs.

    It returns all that is assigned. Lowering for a TPU that is not there takes no variables.
    """
    definition = concrete.graph.as_graph_def()
    specs = {id(v.handle): tf.TensorSpec(v.shape, v.dtype) for v in concrete.variables}
    variables = {inner.op.name: specs[id(handle)] for handle, inner in concrete.graph.captures}
    assigned = []
    for node in definition.node:
        if node.name in variables:
            node.attr["dtype"].type = variables[node.name].dtype.as_datatype_enum
            del node.attr["shape"]
        elif node.op in WITHOUT_VARIABLES:
            if node.op != "ReadVariableOp":
                assigned.append(f"{node.name}:0")
            dtype = node.attr["dtype"].type
            node.op, inputs = WITHOUT_VARIABLES[node.op]
            after = [name for name in node.input if name.startswith("^")]
            kept = [*node.input[inputs], *after]
            del node.input[:]
            node.input.extend(kept)
            node.attr.clear()
            node.attr["T"].type = dtype
    names = [*variables, *(tensor.op.name for tensor in concrete.graph.inputs[: -len(variables)])]

    def program(*values):
        mapped = dict(zip(names, values, strict=True))
        return tf.graph_util.import_graph_def(definition, mapped, return_elements=assigned)

    return program, list(variables.values())


@pytest.mark.parametrize("part", ["train", "validate"])
def test_short_training(part):
    images = load_images("digits", 128, 64)
    trained = Nasbench101Network(
        RESNET, (32, 32, 3), 10, stem_filters=4, num_stacks=1, modules_per_stack=1
    )
    recipe = recipes.get("nasbench101", batch_size=64)
    settings = short.TrainingSettings(recipe, num_epochs=1, compute_dtype="bfloat16")
    model = short._compiled(trained, images, settings, tf.distribute.get_strategy())
    if part == "train":
        run = model.train_step
        batches = input_lib.training_batches(images, 64, recipe.augmentation, 0, 1)
        changed = [*model.trainable_variables, *model.optimizer.variables]
    else:
        run = model.test_step
        batches = input_lib.validation_batches(images, 64)
        changed = model.metrics_variables
    specs = [tf.TensorSpec([64, *spec.shape[1:]], spec.dtype) for spec in batches.element_spec]
    program, variables = without_variables(tpu_compile.trace(lambda *data: run(data), specs))
    assert len(variables) >= len(changed)
    # Forwards; and backwards by the images, but for the first, and by the weights.
    convolutions = sum(len(variable.shape) == 4 for variable in model.trainable_variables)
    expected = 3 * convolutions - 1 if part == "train" else convolutions
    lowered = lower(program, [*variables, *specs])
    assert lowered.count(" convolution(") == expected
