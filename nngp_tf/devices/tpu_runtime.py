"""The runtime of a TPU, prepared before TensorFlow is imported.

    v5e, v5p, v6e       PJRT: four variables of the environment, read at TensorFlow's import
    v4 and older        the runtime inside TensorFlow: the same variables must be absent
    a TPU elsewhere     its hosts run servers: this process leaves the chips of its machine alone
    no TPU asked for    the chips are left alone as well, for other processes

What the user has set stays.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import os
import re
from collections.abc import MutableMapping, Sequence

from absl import flags

from nngp_tf.devices import machine as machine_lib
from nngp_tf.devices.machine import Machine

LOCAL = "local"
_SECONDS = 20.0
WITHOUT_PJRT = ("v2", "v3", "v4")
_LIBRARY = "TF_PLUGGABLE_DEVICE_LIBRARY_PATH"
_PJRT = {"PJRT_DEVICE": "TPU", "NEXT_PLUGGABLE_DEVICE_USE_C_API": "true"}
_XLA_FLAGS = (
    "--tf_mlir_enable_mlir_bridge=true "
    "--tf_mlir_enable_convert_control_to_data_outputs_pass=true "
    "--tf_mlir_enable_merge_control_flow_pass=true"
)
_LOCK = "tmp/libtpu_lockfile"
# The last with which TensorFlow 2.20 does not abort at its import; 2.19 names its own.
_LAST_LIBTPU = {"2.20": (0, 0, 31)}
# With one of these, processes share the chips of a machine.
_SHARED = (
    "ALLOW_MULTIPLE_LIBTPU_LOAD",
    "TPU_CHIPS_PER_PROCESS_BOUNDS",
    "TPU_VISIBLE_CHIPS",
    "TPU_VISIBLE_DEVICES",
)
# Variables by which TensorFlow itself finds a TPU.
_NAMES = ("KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS", "TPU_NAME")


def asked(arguments: Sequence[str], *names: str) -> tuple[str | None, ...]:
    """Return the values of some flags of a command line, of which others are not looked at."""
    values = flags.FlagValues()
    for name in names:
        flags.DEFINE_string(name, None, "", flag_values=values)
    try:
        values(["", *arguments], known_only=True)
    except flags.Error:
        return (None,) * len(names)  # The launcher says what is wrong.
    return tuple(values[name].value for name in names)


def address(strategy: str | None, tpu: str | None) -> str | None:
    """Return the TPU that is meant, "local" for this machine's; None if none is.

    Without an address, the environment names it, as for TensorFlow; else it is this machine's.
    """
    if tpu or strategy != "tpu":
        return tpu or None
    return next((os.environ[name] for name in _NAMES if os.environ.get(name)), LOCAL)


def is_driver(tpu: str | None, machine: Machine | None = None) -> bool:
    """Whether this host's process drives the TPU.

    One process drives a slice of several hosts, whose other hosts run TensorFlow's servers; where
    the same command is started on all hosts, that of the first host does.

    Args:
      tpu: As `address` returns it; each host drives its own chips if it is "local".
      machine: This one; looked at unless given.

    Raises:
      ValueError: As `machine.look`.
    """
    return tpu in (None, LOCAL) or not (machine or machine_lib.look()).host


def prepare(
    tpu: str | None,
    machine: Machine | None = None,
    environ: MutableMapping[str, str] = os.environ,
) -> None:
    """Set the variables that TensorFlow and libtpu read at their import.

    Args:
      tpu: As `address` returns it.
      machine: This one; looked at unless given.
      environ: Where variables are set.

    Raises:
      ValueError: If the TPU of this machine cannot be driven: there is none, its library is
        missing or of the wrong version, another process has it, or the environment asks for the
        other runtime. If one elsewhere does not answer, or cannot be looked up.
    """
    if tpu != LOCAL:
        if tpu:
            check_elsewhere(tpu)
        # Loading the library takes the chips, of which one process has all.
        environ.setdefault("TPU_LOAD_LIBRARY", "0")
        return
    machine = machine or machine_lib.look(environ)
    check_local(machine, environ)
    if not any(environ.get(name) for name in _SHARED):
        _check_free()
    machine_lib.skip_metadata_server(environ)
    environ.setdefault("TPU_LIBRARY_PATH", machine.libtpu)
    if machine.generation in WITHOUT_PJRT:
        return
    for name, value in (*_PJRT.items(), (_LIBRARY, machine.libtpu)):
        environ.setdefault(name, value)
    if _XLA_FLAGS not in environ.get("TF_XLA_FLAGS", ""):
        # The last of two counts: the user's.
        environ["TF_XLA_FLAGS"] = f"{_XLA_FLAGS} {environ.get('TF_XLA_FLAGS', '')}".strip()


def check_local(
    machine: Machine, environ: MutableMapping[str, str] = os.environ, imported: bool = False
) -> None:
    """Check that a process can drive the TPU of its machine.

    Args:
      machine: This one.
      environ: Its environment.
      imported: Whether TensorFlow has been imported, so that what it needs must be there.

    Raises:
      ValueError: As `prepare`.
    """
    if machine.generation is None:
        raise ValueError(
            "this machine has no TPU (no chip of Google's on its PCI bus, no "
            "TPU_ACCELERATOR_TYPE): give --tpu the name or the grpc:// address of one, or on a TPU "
            "VM set TPU_ACCELERATOR_TYPE to its type, v5litepod-8 say"
        )
    if machine.libtpu is None or not os.path.isfile(machine.libtpu):
        raise ValueError(
            f"no libtpu.so at {machine.libtpu or 'any of its places'}, which drives the "
            f"{machine.generation} chips of this machine: pip install 'nngp_tf[tpu]', or name it "
            "in TPU_LIBRARY_PATH"
        )
    _check_versions(machine.libtpu)
    if machine.generation in WITHOUT_PJRT:
        for name in (_LIBRARY, "NEXT_PLUGGABLE_DEVICE_USE_C_API"):
            if environ.get(name):
                raise ValueError(
                    f"{name} asks for the PJRT runtime, which TPU {machine.generation} does not "
                    "have: unset it"
                )
    if imported and environ.get("TPU_LOAD_LIBRARY") == "0":
        raise ValueError(
            "TPU_LOAD_LIBRARY=0 keeps this process from the TPU of its machine: unset it"
        )
    if imported and machine.generation not in WITHOUT_PJRT and not environ.get(_LIBRARY):
        raise ValueError(
            f"TPU {machine.generation} needs the PJRT runtime, which is chosen before TensorFlow "
            "is imported: call nngp_tf.devices.tpu_runtime.prepare('local') first"
        )


def check_compute_dtype(compute_dtype: str | None) -> None:
    """Check that a TPU has a precision.

    Raises:
      ValueError: If it is float64.
    """
    if compute_dtype == "float64":
        raise ValueError(
            "a TPU has no units for float64: use compute_dtype 'float32', or strategy 'cpu'"
        )


def check_elsewhere(tpu: str) -> None:
    """Check that the TPU at a gRPC address answers, or that one can be looked up by its name.

    Args:
      tpu: grpc://HOST:PORT, of which there may be several, parted by commas; or a name.

    Raises:
      ValueError: If it does not, the client of Google Cloud is missing, or this machine is not on
        it.
    """
    if "://" in tpu:
        hosts = [part.rpartition("://")[2] for part in tpu.split(",")]
        check_answers(tpu, [host if ":" in host else f"{host}:8470" for host in hosts])
        return
    if not any(importlib.util.find_spec(name) for name in ("cloud_tpu_client", "googleapiclient")):
        raise ValueError(
            f"looking up the TPU named {tpu!r} needs the package cloud-tpu-client: pip install "
            "cloud-tpu-client, or give its address, --tpu=grpc://ADDRESS:8470"
        )
    metadata = any(os.environ.get(name) for name in ("GCE_METADATA_HOST", "GCE_METADATA_IP"))
    if not (machine_lib.is_google_cloud() or metadata):
        raise ValueError(
            f"the TPU named {tpu!r} can be looked up on a machine of Google Cloud only, which this "
            "is not: give its address, --tpu=grpc://ADDRESS:8470"
        )


def check_answers(tpu: str, hosts: Sequence[str]) -> None:
    """Check that the hosts of a TPU answer: TensorFlow would knock for an hour.

    Args:
      tpu: Its name or address.
      hosts: HOST:PORT of each.

    Raises:
      ValueError: If one does not.
    """
    from nngp_tf.devices import ports  # Slow to import.

    try:
        ports.check_grpc(hosts, _SECONDS)
    except OSError as error:
        raise ValueError(
            f"no TPU answers at {tpu!r} ({error}): see that it runs, that its servers do, and that "
            "this machine may reach them, or give another --tpu"
        ) from error


def _check_versions(path):
    try:
        tensorflow = importlib.metadata.version("tensorflow-tpu")
        libtpu = importlib.metadata.version("libtpu")
    except importlib.metadata.PackageNotFoundError:
        return
    last = _LAST_LIBTPU.get(".".join(tensorflow.split(".")[:2]))
    installed = tuple(int(part) for part in re.findall(r"\d+", libtpu)[:3])
    if last and installed > last and os.sep + "libtpu" + os.sep in path:
        wanted = ".".join(map(str, last))
        raise ValueError(
            f"tensorflow-tpu {tensorflow} aborts at its import with libtpu {libtpu}: pip install "
            f"'libtpu=={wanted}'"
        )


def _check_free():
    """Check that no other process has the chips, before this one takes the lock."""
    held = False
    try:
        with open(machine_lib.ROOT / _LOCK, "r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        held = True
    except OSError:
        pass
    process = machine_lib.holder_of_chips()
    if held or process:
        whose = f"process {process}" if process else "another process, perhaps of another user"
        raise ValueError(
            f"the TPU of this machine is in use by {whose}: one process takes all chips, so wait, "
            "or end it (`sudo lsof -w /dev/accel* /dev/vfio/*` lists it; if there is none, remove "
            "/tmp/libtpu_lockfile)"
        )
