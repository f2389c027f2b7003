"""What holds for every mobile network: any size, keys, training, saving, precision."""

import json

import keras
import numpy as np
import pytest

from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.kernels.weights import WeightSampler
from nngp_tf.models import build_mnas, features
from nngp_tf.search_spaces import mnas
from tests.search_spaces.mnas_examples import PLAIN, replaced

pytestmark = pytest.mark.slow

SAMPLES = [
    mnas.sample(np.random.default_rng(seed), reference, extensions)
    for seed, (reference, extensions) in enumerate(
        [("mobilenet_v2", ()), ("mnasnet_a1", ()), ("mobilenet_v2", mnas.EXTENSIONS)]
    )
]


def small(network, **options):
    return build_mnas(network, (32, 32, 3), 10, **options)


@pytest.mark.parametrize("input_shape", [(32, 32, 3), (33, 47, 1), (64, 96, 3)])
@pytest.mark.parametrize("network", SAMPLES)
def test_any_network_at_any_size(network, input_shape):
    model = build_mnas(network, input_shape, num_classes=7)
    assert model.output_shape == (None, 7)
    assert features(model).output_shape == (None, 1280)
    height, width = model.get_layer("head_relu").output.shape[1:3]
    assert (height, width) == tuple(-(-side // 32) for side in input_shape[:2])
    outputs = model(np.ones((2, *input_shape), "float32"))
    assert np.isfinite(outputs).all()


def graph(network):
    """The layers of a model and their connections, without the names."""
    model = small(network)
    text = json.dumps(model.get_config()["layers"])
    for number, layer in enumerate(model.layers):
        text = text.replace(f'"{layer.name}"', f'"#{number}"')
    return text


CONV = replaced(PLAIN, 3, block_fn="conv", num_repeats=2)
TWICE = replaced(PLAIN, 3, num_repeats=2)


@pytest.mark.parametrize(
    ("network", "others"),
    [
        (CONV, [replaced(CONV, 3, expand_ratio=6, se_ratio=0.25, skip="none")]),
        (PLAIN, [replaced(PLAIN, 3, skip="none"), replaced(PLAIN, 3, se_ratio=0.01), CONV]),
        (TWICE, [replaced(TWICE, 3, skip="none"), replaced(TWICE, 3, skip="max_pool"), CONV]),
        (
            replaced(PLAIN, 2, se_ratio=0.25),
            [replaced(PLAIN, 2, se_ratio=0.26), replaced(PLAIN, 2, se_ratio=0.5)],
        ),
        (
            replaced(TWICE, 4, output_filters=32),
            [replaced(PLAIN, 4, output_filters=32, num_repeats=2)],
        ),
        (PLAIN, [mnas.Network(PLAIN.blocks, 24), replaced(PLAIN, 1, input_filters=9)]),
    ],
)
def test_keys_are_equal_where_the_graphs_are(network, others):
    built = graph(network)
    for other in others:
        assert (other.key == network.key) == (graph(other) == built), other


def test_trains_saves_and_loads(tmp_path):
    model = small(replaced(PLAIN, 2, se_ratio=0.25))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(8, 32, 32, 3)), rng.integers(0, 10, 8)
    before = model.get_layer("block1_layer1_depthwise_conv").kernel.numpy()
    model.fit(images, labels, epochs=1, verbose=0)
    after = model.get_layer("block1_layer1_depthwise_conv").kernel.numpy()
    assert np.abs(after - before).max() > 0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(images, verbose=0), model.predict(images, verbose=0))


def test_mixed_precision_keeps_features_and_logits_in_float32():
    model = small(replaced(PLAIN, 2, se_ratio=0.25), dtype_policy="mixed_bfloat16")
    assert model.get_layer("block3_layer1_squeeze").compute_dtype == "bfloat16"
    assert model.get_layer("stem_conv").kernel.dtype == "float32"
    images = np.zeros((1, 32, 32, 3), "float32")
    assert model(images).dtype == features(model)(images).dtype == "float32"


@pytest.mark.parametrize("batch_norm", ["one_update", "batch_statistics", "initial"])
def test_kernels_in_both_precisions(batch_norm):
    """Depthwise convolutions and squeeze-excitation included."""
    model = small(replaced(PLAIN, 2, se_ratio=0.25))
    images = np.random.default_rng(0).normal(size=(24, 32, 32, 3)).astype("float32")
    kernels = [
        monte_carlo_kernel(
            model, images, num_inits=2, batch_norm=batch_norm, compute_dtype=compute_dtype
        ).train_train
        for compute_dtype in ("float32", "bfloat16")
    ]
    assert np.isfinite(kernels).all()
    np.testing.assert_allclose(*kernels, atol=0.1 * kernels[0].max())
    if batch_norm == "initial":
        np.testing.assert_allclose(kernels[0], kernel_by_hand(model, images), rtol=1e-3)


def kernel_by_hand(model, images):
    cut = features(model)
    products = []
    for initialisation in range(2):
        weights = WeightSampler(cut).draw(0, initialisation)
        outputs, _ = cut.stateless_call(weights.trainable, weights.non_trainable, images)
        products.append(np.matmul(outputs, np.transpose(outputs)))
    return np.mean(products, axis=0)
