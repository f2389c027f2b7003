"""Prints the numbers of our own networks: built, estimated and trained.

Run as a process of its own: Keras reads its configuration when it is imported.
"""

import json
import math

import keras
import numpy as np
import tensorflow as tf

from nngp_tf.data.images import load_images
from nngp_tf.kernels import monte_carlo_kernel
from nngp_tf.models import Nasbench101Network, features
from nngp_tf.search_spaces.nasbench101 import Cell
from nngp_tf.training import augmentation, recipes, short
from tests.kernels.mnas_examples import mixed

NASBENCH101 = Nasbench101Network(
    Cell.from_text("0101/0010/0001/0000:input,conv3x3-bn-relu,maxpool3x3,output"),
    (16, 16, 3),
    stem_filters=4,
    num_stacks=2,
    modules_per_stack=1,
)
# Together they have every layer of the builders.
NETWORKS = {"nasbench101": NASBENCH101, "mnas": mixed((16, 16, 3))}


def numbers():
    """Return what depends on the data format, if anything does, as JSON's types."""
    images = np.random.default_rng(0).normal(size=(5, 16, 16, 3)).astype("float32")
    result = {}
    for name, network in NETWORKS.items():
        keras.utils.set_random_seed(1)
        model = network.build()
        result[f"{name} variables"] = [[v.name, *v.shape] for v in model.variables]
        result[f"{name} parameters"] = sum(math.prod(v.shape) for v in model.trainable_variables)
        result[f"{name} features"] = features(model)(images).numpy().tolist()
    for name, model in (("shared", NASBENCH101), ("model", NASBENCH101.build())):
        kernel = monte_carlo_kernel(
            model, images, num_inits=1, batch_norm="batch_statistics", compute_dtype="float32"
        )
        result[f"{name} kernel"] = kernel.train_train.tolist()
    for name in recipes.AUGMENTATIONS:
        augmented = augmentation.augment(name, images, tf.constant([1, 2]), tf.zeros([3]))
        result[name] = np.asarray(augmented)[:, 3, :, 1].tolist()
    recipe = recipes.get("nasbench101", batch_size=32, batch_norm_momentum=0.5)
    digits = load_images("digits", 100, 50, image_size=16)
    row = short.train(NASBENCH101, digits, short.TrainingSettings(recipe, 1))
    for name in ("train_loss", "train_accuracy", "validation_accuracy"):
        result[name] = row[name]["1"]
    return result


if __name__ == "__main__":
    print(json.dumps({"format": keras.config.image_data_format()} | numbers()))
