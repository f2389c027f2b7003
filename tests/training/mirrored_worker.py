"""Trains a network without batch normalisation on one device and on two, and prints the difference.

Run as a process of its own: the CPU is split before TensorFlow starts.
"""

import gc
import json

import keras
import numpy as np
import tensorflow as tf

from nngp_tf.data.images import load_images
from nngp_tf.kernels.strategy import build_strategy
from nngp_tf.training import recipes, short

RECIPE = recipes.get("nasbench101", batch_size=32, weight_decay=0.1)
SETTINGS = short.TrainingSettings(RECIPE, num_epochs=2)


class Network:
    """A convolution and a classifier, whose variables start alike everywhere."""

    key, text, trainable_parameters, multiply_adds = "key", "text", 0, 0

    def build(self, dtype_policy):
        """Build the model and keep it."""
        initializer = keras.initializers.GlorotUniform(seed=1)
        self.model = keras.Sequential(
            [
                keras.Input((32, 32, 3)),
                keras.layers.Conv2D(4, 3, activation="relu", kernel_initializer=initializer),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(10, kernel_initializer=initializer),
            ]
        )
        return self.model


def train(images, strategy):
    """Return the row, and the trained variables."""
    network = Network()
    row = short.train(network, images, SETTINGS, strategy)
    return row, [v.numpy() for v in network.model.trainable_variables]


def operations():
    """Count the operations of all graphs that are alive."""
    gc.collect()
    return sum(isinstance(each, tf.Operation) for each in gc.get_objects())


def main():
    """Print one JSON object."""
    mirrored = build_strategy("mirrored", logical_cpus=2)
    images = load_images("digits", 100, 50)
    one, expected = train(images, None)
    two, got = train(images, mirrored)
    alive = operations()
    train(images, mirrored)
    differences = [np.abs(a - b).max() for a, b in zip(got, expected, strict=True)]
    print(
        json.dumps(
            {
                "replicas": mirrored.num_replicas_in_sync,
                "difference": float(max(differences)),
                "rows": [one, two],
                "left_behind": operations() - alive,
            }
        )
    )


if __name__ == "__main__":
    main()
