"""The numbers of the recipes, and how they are changed."""

import dataclasses

import pytest

from nngp_tf.training import recipes

pytestmark = pytest.mark.fast


def test_the_benchmarks_recipe():
    # nasbench/lib/config.py: batch_size, learning_rate (0.1 for each of two cores),
    # lr_decay_method, momentum, weight_decay; nasbench/lib/model_builder.py: epsilon 1.0, decay
    # left at 0.9.
    recipe = recipes.NASBENCH101
    assert (recipe.batch_size, recipe.peak_learning_rate, recipe.schedule) == (256, 0.2, "cosine")
    assert (recipe.momentum, recipe.rho, recipe.epsilon) == (0.9, 0.9, 1.0)
    assert (recipe.weight_decay, recipe.decays_batch_norm) == (1e-4, True)
    assert recipe.augmentation == "crop_and_flip"
    assert (recipe.label_smoothing, recipe.ema_momentum) == (0.0, None)


def test_mnasnets_recipe():
    # mnasnet_main.py and mnasnet_utils.py of the TensorFlow TPU models.
    recipe = recipes.MNASNET
    assert (recipe.batch_size, recipe.learning_rate, recipe.schedule) == (1024, 0.016, "staircase")
    assert recipe.peak_learning_rate == 0.064
    assert (recipe.warmup_epochs, recipe.decay_rate, recipe.decay_epochs) == (5.0, 0.97, 2.4)
    assert (recipe.momentum, recipe.rho, recipe.epsilon) == (0.9, 0.9, 1e-3)
    assert (recipe.weight_decay, recipe.decays_batch_norm) == (1e-5, False)
    assert (recipe.label_smoothing, recipe.ema_momentum) == (0.1, 0.9999)
    assert recipe.augmentation == "resized_crop_and_flip"


def test_changes():
    assert recipes.get("nasbench101") == recipes.NASBENCH101
    assert recipes.get("mnasnet", learning_rate=None, batch_size=None) == recipes.MNASNET
    changed = recipes.get("nasbench101", batch_size=64, augmentation="none")
    assert changed == dataclasses.replace(recipes.NASBENCH101, batch_size=64, augmentation="none")
    # In proportion to the batch.
    assert changed.peak_learning_rate == 0.05


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("resnet", {}, "recipe must be one of nasbench101, mnasnet, got 'resnet'"),
        ("mnasnet", {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ("mnasnet", {"learning_rate": 0.0}, "learning_rate must be a finite number above 0, got 0"),
        ("mnasnet", {"learning_rate": float("nan")}, "learning_rate must be a finite .* got nan"),
        ("mnasnet", {"learning_rate": "0.1"}, "learning_rate must be a finite .* got '0.1'"),
        (
            "mnasnet",
            {"augmentation": "flip"},
            "augmentation must be one of crop_and_flip, .*'flip'",
        ),
        ("mnasnet", {"batch_norm_momentum": 1}, "batch_norm_momentum must be at least 0 and below"),
    ],
)
def test_bad_recipes(name, changes, message):
    with pytest.raises(ValueError, match=message):
        recipes.get(name, **changes)
