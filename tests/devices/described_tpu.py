"""A TPUStrategy over a TPU that is described and not there: functions trace under it."""

import numpy as np
import tensorflow as tf

# From the replicas to the grid of chips (x, y, z) with one core each.
_MESHES = {1: (1, 1, 1), 4: (2, 2, 1), 8: (2, 4, 1), 32: (4, 8, 1)}


def described_strategy(replicas, cores_of_a_host=4):
    """A strategy over so many cores; variables can be made on those of one host only."""
    mesh = _MESHES[replicas]
    hosts = -(-replicas // cores_of_a_host)
    per_host = replicas // hosts
    places = np.stack(np.meshgrid(*map(range, mesh), [0], indexing="ij"), axis=-1)
    topology = tf.tpu.experimental.Topology(
        mesh_shape=np.array([*mesh, 1], np.int32),
        device_coordinates=places.reshape(hosts, per_host, 4).astype(np.int32),
    )
    devices = [
        tf.config.LogicalDevice(f"/job:localhost/replica:0/task:{host}/device:{kind}:{index}", kind)
        for host in range(hosts)
        for kind, count in (("CPU", 1), ("TPU", per_host), ("TPU_SYSTEM", 1))
        for index in range(count)
    ]
    metadata = tf.tpu.experimental.TPUSystemMetadata(replicas, hosts, per_host, topology, devices)
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver("local")
    resolver.get_tpu_system_metadata = lambda: metadata
    return tf.distribute.TPUStrategy(resolver)
