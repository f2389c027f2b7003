"""The processes of a multi_worker run: TF_CONFIG, and how they wait for one another.

Each opens its own port, and knocks at those of the others until all have answered once. TensorFlow
takes the ports over only then: it waits without end, holds Python's lock and ignores SIGTERM.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from absl import logging

from nngp_tf.devices import ports

EXAMPLE = '{"cluster": {"worker": ["host0:port", ...]}, "task": {"type": "worker", "index": 0}}'
_JOBS = ("chief", "worker")
_KNOCK_SECONDS, _AGAIN_SECONDS = 2.0, 0.2
# Ends its parent, unless that closes the pipe or is gone before.
_WATCH = """
import os, select, signal, sys
seconds, parent, sentence = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if not select.select([sys.stdin], [], [], seconds)[0]:
    print(sentence, file=sys.stderr, flush=True)
    os.kill(parent, signal.SIGKILL)
"""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes of a run.

    Attributes:
      addresses: From the name of a process, "worker 0" say, to its HOST:PORT.
      own: Name of this process.
    """

    addresses: dict[str, str]
    own: str


def read() -> Cluster:
    """Return the cluster of the environment variable TF_CONFIG.

    Raises:
      ValueError: If it does not describe the workers, and this one among them.
    """
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        kind, index = task["type"], task["index"]
        known = kind in _JOBS and isinstance(jobs[kind], list) and 0 <= int(index) < len(jobs[kind])
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise ValueError(
            f"strategy 'multi_worker' reads its cluster from the environment variable TF_CONFIG, "
            f"which holds {text!r}: set it to {EXAMPLE} with this process's own task"
        )
    addresses = {
        f"{job} {number}": address
        for job in _JOBS
        for number, address in enumerate(jobs.get(job, []))
    }
    for name, address in addresses.items():
        try:
            ports.split(address)
        except (ValueError, AttributeError):
            raise ValueError(
                f"TF_CONFIG gives {name} the address {address!r}: write HOST:PORT"
            ) from None
    if len(set(addresses.values())) < len(addresses):
        raise ValueError(f"TF_CONFIG gives two processes one address: {addresses}")
    return Cluster(addresses, f"{kind} {int(index)}")


def meet(cluster: Cluster, seconds: float) -> None:
    """Wait until every process of a cluster has been reached.

    Args:
      cluster: The processes.
      seconds: How long the others may take.

    Raises:
      ValueError: If this process's port is taken, or others do not listen in time.
    """
    missing = {name: a for name, a in cluster.addresses.items() if name != cluster.own}
    if not missing:
        return
    deadline = time.monotonic() + seconds
    with contextlib.closing(_listen(cluster)):
        while missing:
            for name, address in list(missing.items()):
                if ports.is_open(address, _KNOCK_SECONDS):
                    logging.info("%s at %s is there", name, address)
                    del missing[name]
            if missing and time.monotonic() > deadline:
                late = ", ".join(f"{name} at {address}" for name, address in missing.items())
                raise ValueError(
                    f"nobody listens for {late} after {seconds:g} s: start all processes that "
                    "TF_CONFIG names, or wait longer with --startup_timeout"
                )
            if missing:
                time.sleep(_AGAIN_SECONDS)


@contextlib.contextmanager
def ended_after(seconds: float, sentence: str) -> Iterator[None]:
    """End this process with a sentence on stderr if the body takes longer.

    From another process, as TensorFlow holds Python's lock while it waits.
    """
    command = [sys.executable, "-c", _WATCH, str(seconds), str(os.getpid()), sentence]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as watcher:
        try:
            yield
        finally:
            watcher.kill()


def _listen(cluster):
    address = cluster.addresses[cluster.own]
    # At any of this machine's addresses: the one in TF_CONFIG may be a name for it elsewhere.
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    try:
        return socket.create_server(
            ("", ports.split(address)[1]), family=family, dualstack_ipv6=dual, backlog=1024
        )
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise ValueError(
            f"TF_CONFIG gives this process, {cluster.own}, the address {address}, whose port "
            f"cannot be opened here ({os.strerror(error.errno)}): end what listens there, or take "
            "another"
        ) from error
