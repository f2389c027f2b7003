"""Learning rates, optimiser and weight decay, each against NumPy."""

import dataclasses

import keras
import numpy as np
import pytest

from nngp_tf.models import Nasbench101Network
from nngp_tf.training import optimisation, recipes
from tests import golden

pytestmark = pytest.mark.fast

STEPS = 100
NETWORK = Nasbench101Network(golden.RESNET, stem_filters=4, num_stacks=1, modules_per_stack=1)


def rates(recipe, num_epochs, steps):
    schedule = optimisation.learning_rate(recipe, STEPS, num_epochs)
    return [float(schedule(step)) for step in steps]


def half_square(variables):
    values = [keras.ops.convert_to_numpy(variable) for variable in variables]
    return sum(0.5 * np.square(value).sum(dtype=np.float64) for value in values)


def test_cosine():
    steps = np.array([0, 1, 100, 200, 399, 400])
    expected = 0.2 * 0.5 * (1 + np.cos(np.pi * steps / 400))
    np.testing.assert_allclose(rates(recipes.NASBENCH101, 4, steps), expected, atol=1e-8)
    # By step, and to 0 at the end of this run, not of the benchmark's 108 epochs.
    assert rates(recipes.NASBENCH101, 4, [200, 400]) == pytest.approx([0.1, 0.0], abs=1e-8)


def test_staircase_of_a_long_run():
    # 5 epochs of 100 steps to warm up, and a step of the stairs every 240 steps from the first on.
    got = rates(recipes.MNASNET, 350, [0, 250, 499, 500, 719, 720, 2400])
    peak = 0.064
    expected = [0, peak / 2, peak * 0.998, peak * 0.97**2, peak * 0.97**2, peak * 0.97**3]
    np.testing.assert_allclose(got, [*expected, peak * 0.97**10], rtol=1e-5)


def test_a_short_run_warms_up_for_a_fifth():
    np.testing.assert_allclose(
        rates(recipes.MNASNET, 5, [50, 100, 239, 240]),
        [0.032, 0.064, 0.064, 0.064 * 0.97],
        rtol=1e-5,
    )


def test_no_warm_up():
    recipe = dataclasses.replace(recipes.MNASNET, warmup_epochs=0)
    np.testing.assert_allclose(rates(recipe, 5, [0, 240]), [0.064, 0.064 * 0.97], rtol=1e-5)


@pytest.mark.parametrize("initial", [1.0, 0.0])
def test_rmsprop(initial):
    recipe = dataclasses.replace(
        recipes.MNASNET, initial_mean_square=initial, ema_momentum=None, warmup_epochs=0
    )
    rng = np.random.default_rng(0)
    start, *gradients = rng.normal(size=(4, 3, 2)).astype(np.float32)
    variable = keras.Variable(start)
    optimizer = optimisation.build_optimizer(recipe, STEPS, 5)
    value, square, velocity = start.astype(np.float64), initial, 0.0
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        square = 0.9 * square + 0.1 * gradient**2
        velocity = 0.9 * velocity + 0.064 * gradient / np.sqrt(square + 1e-3)
        value = value - velocity
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-5, atol=1e-6)


def test_an_optimizer_survives_serialisation():
    optimizer = optimisation.build_optimizer(recipes.MNASNET, STEPS, 5)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, optimisation.RMSprop)
    assert again.get_config() == optimizer.get_config()
    schedule = optimisation.learning_rate(recipes.MNASNET, STEPS, 5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert [float(copy(s)) for s in (3, 300)] == [float(schedule(s)) for s in (3, 300)]


def test_the_average_spans_a_tenth_of_a_short_run():
    def momentum(num_epochs):
        return optimisation.build_optimizer(recipes.MNASNET, STEPS, num_epochs).ema_momentum

    assert momentum(10) == pytest.approx(1 - 1 / 100)
    assert momentum(5000) == 0.9999
    assert not optimisation.build_optimizer(recipes.NASBENCH101, STEPS, 4).use_ema


def test_float16_scales_the_loss():
    optimizer = optimisation.build_optimizer(recipes.NASBENCH101, STEPS, 4, "float16")
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert isinstance(optimizer.inner_optimizer, optimisation.RMSprop)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_benchmark_decays_every_variable(policy):
    model = NETWORK.build(policy)
    for layer in optimisation.batch_norms(model):
        layer.gamma.assign(np.linspace(1, 3, layer.gamma.shape[0]))
    optimisation.add_weight_decay(model, recipes.NASBENCH101)
    assert len(model.losses) == len(model.trainable_variables)
    decay = float(sum(model.losses))
    np.testing.assert_allclose(decay, 1e-4 * half_square(model.trainable_variables), rtol=1e-6)


def test_mnasnet_spares_batch_norm():
    model = NETWORK.build()
    optimisation.add_weight_decay(model, recipes.MNASNET)
    others = [v for v in model.trainable_variables if v.name not in ("gamma", "beta")]
    # The bias of the classifier is among them.
    assert [v.name for v in others].count("bias") == 1
    assert len(model.losses) == len(others) < len(model.trainable_variables)
    np.testing.assert_allclose(float(sum(model.losses)), 1e-5 * half_square(others), rtol=1e-6)


def test_a_compiled_model():
    model = NETWORK.build()
    recipe = dataclasses.replace(recipes.MNASNET, batch_norm_momentum=0.5)
    optimisation.compile_model(model, recipe, STEPS, 5)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 32, 32, 3)).astype(np.float32)
    targets = np.eye(10)[rng.integers(10, size=8)]
    logs = model.test_on_batch(x, targets, return_dict=True)

    logits = model(x).numpy().astype(np.float64)
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    cross_entropy = -((0.9 * targets + 0.01) * log_softmax).sum(axis=1).mean()
    assert float(logs["loss"]) == pytest.approx(cross_entropy + float(sum(model.losses)), rel=1e-5)
    assert float(logs["accuracy"]) == pytest.approx(
        (logits.argmax(axis=1) == targets.argmax(axis=1)).mean()
    )
    assert {layer.momentum for layer in optimisation.batch_norms(model)} == {0.5}
