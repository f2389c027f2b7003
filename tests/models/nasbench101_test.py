"""Tests of the NAS-Bench-101 builder."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.data import benchmark_table
from nngp_tf.models import build_nasbench101, features
from nngp_tf.models.nasbench101 import vertex_channels
from nngp_tf.search_spaces.nasbench101 import CONV1X1, CONV3X3, INPUT, MAXPOOL3X3, OUTPUT, Cell
from tests.golden import INCEPTION, RESNET

pytestmark = pytest.mark.fast

# Trainable parameters of the benchmark, from an independent enumeration of the whole space.
GOLDEN_PARAMETERS = [
    (INCEPTION, 2_694_282),
    (
        Cell.from_text(
            "0110011/0000010/0001000/0000100/0000010/0000001/0000000:"
            f"{INPUT},{CONV1X1},{CONV3X3},{MAXPOOL3X3},{CONV3X3},{CONV3X3},{OUTPUT}"
        ),
        32_426_634,
    ),
    (RESNET, 20_346_506),
    (Cell.from_text(f"01/00:{INPUT},{OUTPUT}"), 882_570),
    (Cell.from_text(f"010/001/000:{INPUT},{MAXPOOL3X3},{OUTPUT}"), 882_570),
    (Cell.from_text(f"010/001/000:{INPUT},{CONV3X3},{OUTPUT}"), 10_177_674),
    (Cell.from_text(f"010/001/000:{INPUT},{CONV1X1},{OUTPUT}"), 1_920_138),
]


def trainable_parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def small(cell, **options):
    options = {"input_shape": (16, 16, 3), "stem_filters": 8, "modules_per_stack": 1} | options
    return build_nasbench101(cell, **options)


@pytest.mark.parametrize(("cell", "expected"), GOLDEN_PARAMETERS)
def test_parameter_counts_are_the_benchmarks(cell, expected):
    assert trainable_parameters(build_nasbench101(cell)) == expected


def test_parameter_counts_of_tabulated_cells(shared_data):
    table = benchmark_table.load(shared_data / "nasbench101_20k.csv.gz")
    for row in np.random.default_rng(7).choice(len(table), size=6, replace=False):
        model = build_nasbench101(table.cell(row))
        assert trainable_parameters(model) == table.trainable_parameters[row], table.cell(row)


@pytest.mark.parametrize(
    ("input_channels", "output_channels", "edges", "expected"),
    # Test vectors of nasbench/tests/model_builder_test.py.
    [
        (8, 16, [(0, 1), (1, 2), (2, 3)], [8, 16, 16, 16]),
        (5, 1, [(0, 1)], [5, 1]),
        (8, 15, [(0, 1), (0, 2), (1, 3), (2, 3)], [8, 8, 7, 15]),
        (8, 8, [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)], [8, 3, 3, 2, 8]),
        (8, 9, [(0, 1), (1, 2), (1, 3), (2, 4), (3, 4)], [8, 5, 5, 4, 9]),
        (8, 15, [(0, 1), (0, 3), (1, 2), (1, 4), (2, 3), (3, 4)], [8, 8, 7, 7, 15]),
    ],
)
def test_vertex_channels(input_channels, output_channels, edges, expected):
    matrix = np.zeros((len(expected), len(expected)), int)
    for source, target in edges:
        matrix[source, target] = 1
    assert vertex_channels(input_channels, output_channels, matrix) == expected


def test_layers_have_the_benchmarks_constants():
    model = small(INCEPTION)
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    normalisations = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    # Stem; and in each of three modules three operations and three projections of the input, of
    # which the path conv3x3-conv3x3 needs one.
    assert len(convolutions) == len(normalisations) == 1 + 3 * 8
    for layer in convolutions:
        assert isinstance(layer.kernel_initializer, keras.initializers.LecunNormal)
        assert not layer.use_bias
    for layer in normalisations:
        assert (layer.momentum, layer.epsilon) == (0.997, 1e-5)
    assert isinstance(
        model.get_layer("logits").kernel_initializer, keras.initializers.GlorotUniform
    )


def test_module_computes_what_the_benchmark_defines():
    """The diamond with an uneven split: projections, truncation, sums and concatenation."""
    cell = Cell.from_text(
        f"01101/00111/00001/00001/00000:{INPUT},{CONV1X1},{MAXPOOL3X3},{CONV3X3},{OUTPUT}"
    )
    model = build_nasbench101(cell, (6, 6, 3), stem_filters=8, num_stacks=1, modules_per_stack=1)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(rng.uniform(0.1, 1.0, variable.shape))
    images = rng.normal(size=(2, 6, 6, 3)).astype("float32")

    def conv_bn_relu(x, name):
        layer, norm = model.get_layer(f"{name}_conv"), model.get_layer(f"{name}_bn")
        y = tf.nn.conv2d(x, layer.kernel.value, 1, "SAME")
        scale = norm.gamma / np.sqrt(norm.moving_variance + 1e-5)
        return tf.nn.relu((y - norm.moving_mean) * scale + norm.beta)

    name = "stack0_module0"
    x = conv_bn_relu(images, "stem")
    # Three vertices feed the output: 8 channels are split 3, 3, 2.
    one = conv_bn_relu(conv_bn_relu(x, f"{name}_vertex1_projection"), f"{name}_vertex1")
    two = one[..., :3] + conv_bn_relu(x, f"{name}_vertex2_projection")
    two = tf.nn.max_pool2d(two, 3, 1, "SAME")
    three = conv_bn_relu(one[..., :2], f"{name}_vertex3")
    output = tf.concat([one, two, three], -1) + conv_bn_relu(x, f"{name}_projection")
    expected = tf.reduce_mean(output, [1, 2])
    np.testing.assert_allclose(features(model)(images), expected, rtol=1e-4)


def test_options():
    model = build_nasbench101(RESNET, (20, 12, 1), 7, 4, num_stacks=2, modules_per_stack=2)
    assert model.input_shape == (None, 20, 12, 1)
    assert model.output_shape == (None, 7)
    assert features(model).output_shape == (None, 8)
    assert len([x for x in model.layers if "downsample" in x.name]) == 1


def test_trains_saves_and_loads(tmp_path):
    model = small(INCEPTION)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(8, 16, 16, 3)), rng.integers(0, 10, 8)
    before = model.get_layer("stem_conv").kernel.numpy()
    model.fit(images, labels, epochs=1, verbose=0)
    assert np.abs(model.get_layer("stem_conv").kernel.numpy() - before).max() > 0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(images, verbose=0), model.predict(images, verbose=0))


def test_mixed_precision_keeps_features_and_logits_in_float32():
    model = small(INCEPTION, dtype_policy="mixed_bfloat16")
    assert model.get_layer("stem_conv").compute_dtype == "bfloat16"
    assert model.get_layer("stem_conv").kernel.dtype == "float32"
    logits = model(np.zeros((1, 16, 16, 3), "float32"))
    assert logits.dtype == features(model)(np.zeros((1, 16, 16, 3), "float32")).dtype == "float32"


def test_builds_and_trains_under_a_strategy():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        model = small(RESNET)
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    data = tf.data.Dataset.from_tensor_slices(
        (rng.normal(size=(8, 16, 16, 3)).astype("float32"), rng.integers(0, 10, 8))
    ).batch(4)
    assert np.isfinite(model.fit(data, epochs=1, verbose=0).history["loss"][0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "num_classes must be a positive integer, got 0"),
        ({"stem_filters": 2.5}, "stem_filters must be a positive integer, got 2.5"),
        ({"stem_filters": 2}, "use at least 4 stem filters"),
        ({"input_shape": (32, 32)}, "input_shape must be"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        build_nasbench101(INCEPTION, **options)


def test_cell_outside_the_space():
    matrix = np.triu(np.ones((6, 6), int), 1)
    cell = Cell(matrix, [INPUT, *[CONV3X3] * 4, OUTPUT])
    with pytest.raises(ValueError, match="15 edges"):
        build_nasbench101(cell)
