"""One precision of `benchmarks.gpu` in a process of its own."""

from __future__ import annotations

import functools

import keras
import numpy as np
import tensorflow as tf

from benchmarks import networks, timing
from nngp_tf.data.images import load_images
from nngp_tf.kernels import cell_layout, monte_carlo_kernel, step
from nngp_tf.kernels.network import resolve
from nngp_tf.models import MnasNetwork, Nasbench101Network
from nngp_tf.runs import inference, preflight
from nngp_tf.search_spaces import mnas, nasbench101
from nngp_tf.search_spaces.nasbench101 import Cell
from nngp_tf.training import recipes, short

_PARITY_INITS = 2
_BATCH_NORM_MOMENTUM = 0.9


def prepare(task):
    """Return the function that measures everything once.

    Args:
      task: `device`, "gpu" or "cpu"; `compute_dtype`; `tf32`, whether a GPU may round products of
        float32 to TF32; and the flags of `benchmarks.gpu` by their names.
    """
    tf.config.experimental.enable_tensor_float_32_execution(task["tf32"])
    device = _Device(task)
    measures = [getattr(device, name) for name in task["measures"]]

    def run():
        values, errors = {}, {}
        for measure in measures:
            try:
                values |= measure()
            except (tf.errors.OpError, ValueError) as error:
                # The others are worth having.
                errors[measure.__name__] = str(error).strip().partition("\n")[0]
        return {"values": values, "errors": errors, "images": device.sweep_images.name}

    return run


class _Device:
    """What is measured on the device, in the task's precision: its public methods."""

    def __init__(self, task):
        self._task = task
        self._dtype = task["compute_dtype"]
        self._name = f"/{task['device']}:0"
        self._cpu = tf.distribute.OneDeviceStrategy("/cpu:0")
        is_cpu = task["device"] == "cpu"
        self._strategy = self._cpu if is_cpu else tf.distribute.OneDeviceStrategy(self._name)
        self.sweep_images = networks.images(
            task["num_train"], task["num_test"], task["shared_data"]
        )
        self._images = self._digits(task["image_size"])

    def cells(self):
        """Compare kernels of NAS-Bench-101 by the shared programs; the largest difference."""
        cells = networks.FIXED_CELLS[: self._task["parity_networks"]]
        largest = max(self._difference(self._network(Cell.from_text(text))) for text in cells)
        return {"parity, NAS-Bench-101": largest}

    def mnas(self):
        """Compare kernels of mobile networks, A1 and sampled ones; the largest difference."""
        rng = np.random.default_rng(0)
        sampled = [mnas.sample(rng) for _ in range(self._task["parity_networks"] - 1)]
        side = self._task["mnas_image_size"]
        images = self._digits(side)
        width = self._task["width_multiplier"]
        largest = max(
            self._difference(
                MnasNetwork(network, (side, side, 3), width_multiplier=width), images.x_train
            )
            for network in [mnas.MNASNET_A1, *sampled]
        )
        return {"parity, MNAS": largest}

    def keras(self):
        """Compare kernels of an own Keras model."""
        own = _own_model(self._images.x_train.shape[1:])
        return {"parity, a Keras model": self._difference(own)}

    def training(self):
        """Compare the loss of an epoch of two training steps."""
        network = self._network(Cell.from_text(networks.FIXED_CELLS[0]))
        recipe = recipes.get(
            "nasbench101",
            batch_size=max(1, self._task["parity_images"] // 2),
            batch_norm_momentum=_BATCH_NORM_MOMENTUM,
        )

        def loss(dtype, strategy):
            settings = short.TrainingSettings(recipe, num_epochs=1, compute_dtype=dtype)
            return short.train(network, self._images, settings, strategy)["train_loss"]["1"]

        expected = loss("float32", self._cpu)
        difference = abs(loss(self._dtype, self._strategy) / expected - 1)
        return {"parity, training loss": difference}

    def sweep(self):
        """Time the notebook's networks by the protocol of `benchmarks.sweep`; peak memory."""
        task = self._task
        images = self.sweep_images
        settings = inference.KernelSettings(
            num_inits=task["num_inits"],
            seed=0,
            batch_norm="one_update",
            compute_dtype=self._dtype,
        )
        infer = functools.partial(
            inference.infer, images=images, settings=settings, strategy=self._strategy
        )
        nets = [
            self._network(cell, images.x_train.shape[1:])
            for cell in nasbench101.notebook_cells(task["num_networks"])
        ]
        if task["device"] == "gpu":
            tf.config.experimental.reset_memory_stats("GPU:0")
        # One of each kind traces the programs.
        first = {cell_layout.num_feeders(net): net for net in reversed(nets)}
        warm_up = [timing.seconds(functools.partial(infer, net)) for net in first.values()]
        rows = [infer(net) for net in nets]
        seconds = [row["seconds"] for row in rows]
        return {
            "sweep, seconds of the first of each kind": timing.summary(warm_up),
            "sweep, seconds a network": timing.summary(seconds),
            "sweep, seconds a network, mean": float(np.mean(seconds)),
            "sweep, failed networks": sum(row["status"] == "failed" for row in rows),
            "sweep, peak MiB": self._peak(),
        }

    def shared_program(self):
        """Time the program that cells share, with and without XLA."""
        return self._compiled("shared program", builds=False)

    def general_path(self):
        """Time the way of any Keras model, with and without XLA."""
        return self._compiled("general path", builds=True)

    def _compiled(self, title, builds):
        """Time an initialisation's kernel of a cell, or of its Keras model if one is built."""
        task = self._task
        protocol = preflight.Protocol(
            image_shape=(task["image_size"], task["image_size"], 3),
            stem_filters=task["stem_filters"],
            num_train=task["num_train"],
            num_test=task["num_test"],
            num_inits=1,
            compute_dtype=self._dtype,
        )
        network = self._network(Cell.from_text(networks.FIXED_CELLS[3]))
        width = network.num_features
        images = networks.random_images(task["num_train"], 0, task["image_size"]).x_train
        resolved = resolve(
            network.build() if builds else network,
            images,
            "features",
            "one_update",
            self._dtype,
            self._strategy,
        )
        spec = preflight.step_spec(protocol, resolved.family, width, 1)
        program = step.replica_program(spec, task["device"].upper())
        with tf.device(self._name):
            padded = tf.random.stateless_normal([spec.num_placed, *images.shape[1:]], [0, 1])
        scalars = [tf.constant(value) for value in (0, 0, 1)]
        calls, first = {}, {}
        for name, jit_compile in (("plain", None), ("XLA", True)):
            call = functools.partial(
                self._run,
                tf.function(program, autograph=False, jit_compile=jit_compile),
                (tf.constant(0), resolved.inputs, *scalars, padded),
            )
            first[name] = timing.seconds(call)
            calls[name] = call
        taken = timing.turns(calls, task["repeats"])
        return {
            **{f"{title}, {name}, first call": seconds for name, seconds in first.items()},
            **{f"{title}, {name}, seconds": timing.summary(s) for name, s in taken.items()},
            f"{title}, plain / XLA": timing.ratio(taken["plain"], taken["XLA"]),
        }

    def _run(self, program, arguments):
        with tf.device(self._name):
            return [result.numpy() for result in program(*arguments)]

    def _digits(self, side):
        # They differ from one another far more than random images do.
        number = self._task["parity_images"]
        return load_images("digits", number, number, image_size=side)

    def _network(self, cell, shape=None):
        return Nasbench101Network(
            cell,
            shape or self._images.x_train.shape[1:],
            10,
            self._task["stem_filters"],
            self._task["num_stacks"],
            self._task["modules_per_stack"],
        )

    def _difference(self, network, images=None):
        """Relative difference of the centred kernel from the CPU's in float32, Frobenius norm."""

        def centred(dtype, strategy):
            kernel = monte_carlo_kernel(
                network,
                self._images.x_train if images is None else images,
                num_inits=_PARITY_INITS,
                compute_dtype=dtype,
                strategy=strategy,
            ).train_train
            kernel = kernel - kernel.mean(axis=0)
            return kernel - kernel.mean(axis=1, keepdims=True)

        expected = centred("float32", self._cpu)
        difference = centred(self._dtype, self._strategy) - expected
        return float(np.linalg.norm(difference) / np.linalg.norm(expected))

    def _peak(self):
        if self._task["device"] == "cpu":
            return timing.peak_memory()
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / timing.MEBIBYTE


def _own_model(shape):
    """Build a network of layers that the search spaces do not have."""
    layers = keras.layers
    channels_last = functools.partial(dict, data_format="channels_last")
    inputs = x = keras.Input(shape)
    x = layers.Conv2D(16, 5, strides=2, padding="same", **channels_last())(x)
    x = layers.BatchNormalization()(layers.LeakyReLU()(x))
    y = layers.SeparableConv2D(16, 3, padding="same", **channels_last())(x)
    y = layers.LayerNormalization()(layers.Activation("gelu")(y))
    x = layers.Add()([x, y])
    x = layers.Conv2D(32, 3, padding="same", dilation_rate=2, **channels_last())(x)
    x = layers.AveragePooling2D(2, padding="same", **channels_last())(layers.ReLU()(x))
    x = layers.Dense(64, activation="tanh")(layers.Flatten(data_format="channels_last")(x))
    x = layers.Dense(64, name="features")(x)
    return keras.Model(inputs, x)


if __name__ == "__main__":
    timing.serve(prepare)
