"""Inputs are sent to the devices once a run, whatever reads them there."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.kernels import monte_carlo_kernel, placement, rounding, running_kernels
from nngp_tf.models import Nasbench101Network
from tests.golden import INCEPTION, RESNET
from tests.kernels.mnas_examples import mixed

SHAPE = (16, 16, 3)
OPTIONS = {"compute_dtype": "float32", "calibration_size": 5, "batch_size": 4}


def data(seed=0):
    """Training and test images."""
    images = np.random.default_rng(seed).normal(size=(14, *SHAPE)).astype("float32")
    return images[:9], images[9:]


def nasbench101(cell):
    return Nasbench101Network(cell, SHAPE, stem_filters=4, num_stacks=1, modules_per_stack=1)


def own_model():
    return keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Conv2D(2, 3), keras.layers.GlobalAveragePooling2D()]
    )


@pytest.fixture
def sent(monkeypatch):
    """Which parts were sent, one entry a time; nothing has been yet."""
    calls = []
    place = placement.place

    def counting(parts, strategy):
        calls.append(parts)
        return place(parts, strategy)

    monkeypatch.setattr(placement, "place", counting)
    monkeypatch.setattr(placement, "_placed", {})
    return calls


@pytest.mark.slow
def test_once_for_networks_of_all_kinds_their_rounds_and_batches(sent):
    x_train, x_test = data()
    networks = [nasbench101(INCEPTION), nasbench101(RESNET), mixed(SHAPE), mixed(SHAPE)]
    for network in networks:
        assert len(list(running_kernels(network, x_train, x_test, (1, 3), **OPTIONS))) == 2
    model = own_model()
    list(running_kernels(model, x_train, x_test, (1, 3), feature_layer=None, **OPTIONS))
    # Another batch size and new arrays of the same images change nothing.
    monte_carlo_kernel(
        model, x_train.copy(), x_test, 2, feature_layer=None, **OPTIONS | {"batch_size": 6}
    )
    assert len(sent) == 1


@pytest.mark.fast
class TestPlaced:
    def test_what_a_device_holds(self, sent):
        x_train, x_test = data()
        probes = x_train[: rounding.NUM_PROBES] * np.float32(1 + 1e-6)
        value = placement.placed([x_train, x_test, probes], tf.distribute.get_strategy())
        np.testing.assert_array_equal(value, np.concatenate([x_train, x_test, probes]))
        # As the module's formula has it.
        number = len(x_train) + len(x_test) + min(len(x_train), rounding.NUM_PROBES)
        assert value.numpy().nbytes == number * np.prod(SHAPE) * 4

    def test_of_two_precisions_both_stay_and_a_third_goes(self, sent):
        strategy = tf.distribute.get_strategy()
        one, two, three = ([data(seed)[0]] for seed in range(3))
        for parts in (one, two, one, two, one):
            placement.placed(parts, strategy)
        assert len(sent) == 2
        placement.placed(three, strategy)
        placement.placed(one, strategy)
        assert len(sent) == 3
        placement.placed(two, strategy)
        assert len(sent) == 4

    def test_each_strategy_has_its_own(self, sent):
        parts = [data()[0]]
        cpu = tf.distribute.OneDeviceStrategy("/cpu:0")
        for strategy in (tf.distribute.get_strategy(), cpu, cpu):
            placement.placed(parts, strategy)
        assert len(sent) == 2

    def test_shapes_and_dtypes_tell_arrays_apart(self, sent):
        strategy = tf.distribute.get_strategy()
        zeros = np.zeros([4, 6], "float32")
        for array in (zeros, zeros.reshape(6, 4), zeros.astype("int32"), zeros[:2]):
            placed = placement.placed([array], strategy)
            assert (placed.shape, placed.dtype.name) == (array.shape, array.dtype.name)


@pytest.mark.slow
def test_images_that_changed_in_place_are_sent_again(sent):
    def kernel(x):
        return monte_carlo_kernel(model, x, None, 1, feature_layer=None, **OPTIONS).train_train

    model = own_model()
    x, _ = data()
    before = kernel(x)
    x[3] *= 2.0
    after = kernel(x)
    assert len(sent) == 2
    # Without padding and bias the features of an image are linear in it.
    factors = np.where(np.arange(9) == 3, 2.0, 1.0)
    np.testing.assert_allclose(after, before * np.outer(factors, factors), rtol=1e-5, atol=1e-9)
