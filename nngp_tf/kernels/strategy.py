"""The tf.distribute strategy of a run, built in one place; everything else takes it as given."""

from __future__ import annotations

import json
import os

import tensorflow as tf
from absl import logging

STRATEGIES = ("cpu", "gpu", "mirrored", "multi_worker", "tpu")


def build_strategy(
    name: str | None = None, tpu: str | None = None, logical_cpus: int | None = None
) -> tf.distribute.Strategy:
    """Build a strategy by name.

    Call it before anything else touches TensorFlow: "multi_worker", "tpu" and `logical_cpus`
    configure the runtime, which is possible only once.

    Args:
      name: "cpu" or "gpu": one device. "mirrored": all GPUs of this machine, or all its logical
        CPUs if it has none. "multi_worker": the processes that TF_CONFIG names. "tpu": the cores
        of a TPU. None: "tpu" if an address is given, else TensorFlow's own placement.
      tpu: Name or gRPC address of a Cloud TPU, "local" on a TPU VM.
      logical_cpus: Splits the CPU into so many devices, to try sharding without accelerators.

    Returns:
      The strategy.

    Raises:
      ValueError: For an unknown name, devices that are absent, an address without "tpu", or a
        TF_CONFIG that does not describe the workers.
    """
    if name is None:
        name = "tpu" if tpu else None
    if name is not None and name not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {name!r}")
    if tpu and name != "tpu":
        raise ValueError(f"a TPU address ({tpu!r}) goes with strategy 'tpu', got {name!r}")
    if logical_cpus is not None:
        _split_cpu(logical_cpus)
    if name is None:
        return tf.distribute.get_strategy()
    strategy = {
        "cpu": lambda: tf.distribute.OneDeviceStrategy("/cpu:0"),
        "gpu": _gpu,
        "mirrored": _mirrored,
        "multi_worker": _multi_worker,
        "tpu": lambda: _tpu(tpu),
    }[name]()
    logging.info("strategy %s: %d replicas", name, strategy.num_replicas_in_sync)
    return strategy


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes results."""
    resolver = strategy.cluster_resolver
    if (
        resolver is None
        or not resolver.task_type
        or isinstance(strategy, tf.distribute.TPUStrategy)
    ):
        return True
    if resolver.task_type == "chief":
        return True
    has_chief = "chief" in resolver.cluster_spec().jobs
    return not has_chief and resolver.task_type == "worker" and resolver.task_id == 0


def _gpu():
    if not tf.config.list_logical_devices("GPU"):
        raise ValueError(
            "strategy 'gpu' needs a GPU, but TensorFlow sees none: install the extra [gpu] and a "
            "driver, or use 'cpu'"
        )
    return tf.distribute.OneDeviceStrategy("/gpu:0")


def _mirrored():
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _multi_worker():
    example = '{"cluster": {"worker": ["host0:port", ...]}, "task": {"type": "worker", "index": 0}}'
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        workers = config["cluster"]
        task = config["task"]
        known = 0 <= int(task["index"]) < len(workers[task["type"]])
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise ValueError(
            f"strategy 'multi_worker' reads its cluster from the environment variable TF_CONFIG, "
            f"which holds {text!r}: set it to {example} with this process's own task"
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


def _tpu(address):
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address or "")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, OSError, tf.errors.OpError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"no TPU at {address!r}: install the extra [tpu] and give --tpu its name, its grpc:// "
            f"address, or 'local' on a TPU VM ({reason})"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def _split_cpu(count):
    if count < 1:
        raise ValueError(f"logical_cpus must be at least 1, got {count!r}")
    (cpu,) = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError as error:
        raise ValueError(
            f"the CPU cannot be split into {count} devices after TensorFlow has started: build the "
            "strategy first"
        ) from error
