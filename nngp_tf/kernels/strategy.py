"""The tf.distribute strategy of a run, built in one place; everything else takes it as given."""

from __future__ import annotations

import tensorflow as tf
from absl import logging

from nngp_tf.devices import cluster, machine, tpu_runtime

STRATEGIES = ("cpu", "gpu", "mirrored", "multi_worker", "tpu")
STARTUP_TIMEOUT = 600.0
_TPU_ERRORS = (ValueError, RuntimeError, OSError, tf.errors.OpError)
_LONGEST_REASON = 600


def build_strategy(
    name: str | None = None,
    tpu: str | None = None,
    logical_cpus: int | None = None,
    compute_dtype: str | None = None,
    startup_timeout: float = STARTUP_TIMEOUT,
) -> tf.distribute.Strategy:
    """Build a strategy by name.

    Call it before anything else touches TensorFlow: "multi_worker", "tpu" and `logical_cpus`
    configure the runtime, which is possible only once.

    Args:
      name: "cpu" or "gpu": one device. "mirrored": all GPUs of this machine, or all its logical
        CPUs if it has none. "multi_worker": the processes that TF_CONFIG names. "tpu": the cores
        of a TPU. None: "tpu" if an address is given, else TensorFlow's own placement.
      tpu: Name or gRPC address of a Cloud TPU, "local" on a TPU VM; what the environment names,
        else "local", unless given. "local" needs `nngp_tf.devices.tpu_runtime.prepare` before
        TensorFlow is imported, which launchers do.
      logical_cpus: Splits the CPU into so many devices, to try sharding without accelerators.
      compute_dtype: What will be computed in, to refuse what the devices lack before they are
        asked for.
      startup_timeout: Seconds that the other processes of "multi_worker" may take to start.

    Returns:
      The strategy.

    Raises:
      ValueError: For an unknown name, devices that are absent or do not answer, an address without
        "tpu", float64 on a TPU, a TF_CONFIG that does not describe the workers, or workers that do
        not come.
    """
    if name is None:
        name = "tpu" if tpu else None
    if name is not None and name not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {name!r}")
    if tpu is not None and not tpu.strip():
        raise ValueError(
            f"tpu must be the name or the grpc:// address of a TPU, or 'local', got {tpu!r}: see "
            "whether the variable it was taken from is set"
        )
    if tpu and name != "tpu":
        raise ValueError(f"a TPU address ({tpu!r}) goes with strategy 'tpu', got {name!r}")
    if name == "tpu":
        tpu_runtime.check_compute_dtype(compute_dtype)
    if logical_cpus is not None:
        _split_cpu(logical_cpus)
    if name is None:
        return tf.distribute.get_strategy()
    strategy = {
        "cpu": lambda: tf.distribute.OneDeviceStrategy("/cpu:0"),
        "gpu": _gpu,
        "mirrored": _mirrored,
        "multi_worker": lambda: _multi_worker(startup_timeout),
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


def _multi_worker(startup_timeout):
    processes = cluster.read()
    cluster.meet(processes, startup_timeout)
    sentence = (
        f"TensorFlow of the processes {', '.join(processes.addresses.values())} has not come "
        f"together in {startup_timeout:g} s: see that nothing else listens at these ports and that "
        "all were started, or wait longer with --startup_timeout"
    )
    with cluster.ended_after(startup_timeout, sentence):
        return tf.distribute.MultiWorkerMirroredStrategy()


def _tpu(tpu):
    address = tpu_runtime.address("tpu", tpu)
    if address == tpu_runtime.LOCAL:
        tpu_runtime.check_local(machine.look(), imported=True)
    else:
        tpu_runtime.check_elsewhere(address)
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
        hosts = [host for job in resolver.cluster_spec().as_dict().values() for host in job]
    except _TPU_ERRORS as error:
        raise _no_tpu(address, error) from error
    tpu_runtime.check_answers(address, hosts)
    try:
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except _TPU_ERRORS as error:
        raise _no_tpu(address, error) from error
    return tf.distribute.TPUStrategy(resolver)


def _no_tpu(address, error):
    # What libtpu says may fill pages, with the cause at their end.
    logging.error("no TPU at %r: %s", address, error)
    reason = " ".join(str(error).split())
    if len(reason) > _LONGEST_REASON:
        half = _LONGEST_REASON // 2
        reason = f"{reason[:half]} ... {reason[-half:]}, in full in the log"
    return ValueError(
        f"no TPU at {address!r}: give --tpu the name or the grpc:// address of one that runs, or "
        f"'local' on a TPU VM ({reason})"
    )


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
