"""Tests of cutting models at their features."""

import keras
import numpy as np
import pytest

from nngp_tf.models import features

pytestmark = pytest.mark.fast


def small_model():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.GlobalAveragePooling2D(name="features"),
            keras.layers.Dense(2, name="logits"),
        ],
        name="small",
    )


def test_cuts_before_the_classifier_and_shares_variables():
    model = small_model()
    cut = features(model)
    assert cut.output_shape == (None, 4)
    model.get_layer("conv").bias.assign(np.full(4, 3.0))
    np.testing.assert_allclose(cut(np.zeros((1, 8, 8, 3))), np.full((1, 4), 3.0))


def test_named_layer_of_an_application():
    model = keras.applications.ResNet50V2(weights=None, input_shape=(32, 32, 3))
    assert features(model, "avg_pool").output_shape == (None, 2048)


def test_own_output():
    model = features(small_model())
    assert features(model, None) is model


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("pool", "model 'small' has no layer named 'pool'.*conv, features, logits"),
        ("conv", r"has shape \(None, 6, 6, 4\), but features must be \[N, C\]"),
    ],
)
def test_bad_layer(layer, message):
    with pytest.raises(ValueError, match=message):
        features(small_model(), layer)


def test_subclassed_model_has_no_graph_to_cut():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="Subclassed has no graph"):
        features(Subclassed())


def test_not_a_model():
    with pytest.raises(ValueError, match=r"expected a keras\.Model, got int"):
        features(3)
