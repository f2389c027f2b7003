"""The TPU of this machine: which chip, whose library, and which host of a slice.

The first of these that knows is believed: the environment (GKE sets it, a user may), the file that
a TPU VM writes at its start, the chips on the PCI bus, and the metadata server, which is asked only
where the machine says that it is Google Cloud's.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pathlib
import re
from collections.abc import Mapping, MutableMapping

# Tests put a tree of their own here.
ROOT = pathlib.Path("/")

_ENVIRONMENT_FILE = "home/tpu-runtime/tpu-env"
_PRODUCT_NAME, _GOOGLE_CLOUD = "sys/class/dmi/id/product_name", "Google Compute Engine"
_VENDOR = "0x1ae0"
# From the PCI device, and for the first two generations its subsystem, to the chip.
_CHIPS = {
    ("0x0027", "0x004e"): "v2",
    ("0x0027", "0x004f"): "v3",
    "0x005e": "v4",
    "0x0062": "v5p",
    "0x0063": "v5e",
    "0x006f": "v6e",
}
GENERATIONS = ("v2", "v3", "v4", "v5e", "v5p", "v6e")
# v5litepod-8 and v6e-4 of Cloud TPU, tpu-v5-lite-podslice and tpu-v6e-slice of GKE.
_GENERATION = re.compile(r"(?:tpu-)?(v\d+)(-?lite(?:-?pod(?:slice)?)?|-?lite-device|e|p)?(?:-|$)")
_METADATA = "http://{host}/computeMetadata/v1/instance/attributes/{name}"
_METADATA_SECONDS = 3.0


@dataclasses.dataclass(frozen=True)
class Machine:
    """What was found of a machine.

    Attributes:
      generation: One of `GENERATIONS`, or None without a TPU.
      host: Index of this host in its slice; 0 where there is one host.
      libtpu: Path of the library that drives the chips; None without.
      is_google_cloud: Whether it is a virtual machine of Google Cloud, which has a metadata server.
    """

    generation: str | None
    host: int
    libtpu: str | None
    is_google_cloud: bool


def look(environ: Mapping[str, str] = os.environ) -> Machine:
    """Look at this machine.

    Args:
      environ: The environment; TPU_ACCELERATOR_TYPE (as v5litepod-8), TPU_WORKER_ID and
        TPU_LIBRARY_PATH in it override what would be found.

    Raises:
      ValueError: If an accelerator type or the number of a host is not understood.
    """
    on_google_cloud = is_google_cloud()
    written = _environment_file()
    kind = (
        environ.get("TPU_ACCELERATOR_TYPE")
        or environ.get("ACCELERATOR_TYPE")
        or written.get("ACCELERATOR_TYPE")
    )
    generation = _generation(kind) if kind else _chip()
    host = (
        environ.get("TPU_WORKER_ID") or environ.get("CLOUD_TPU_TASK_ID") or written.get("WORKER_ID")
    )
    if generation is None and on_google_cloud:
        kind = _metadata("accelerator-type", environ)
        generation = _generation(kind) if kind else None
    if host is None and generation is not None and on_google_cloud:
        host = _metadata("agent-worker-number", environ)
    if host and not host.isdecimal():
        raise ValueError(
            f"TPU_WORKER_ID must be the number of this host in its slice, got {host!r}"
        )
    return Machine(generation, int(host or 0), _libtpu(environ), on_google_cloud)


def is_google_cloud() -> bool:
    """Whether this machine says that it is a virtual machine of Google Cloud."""
    return _read(_PRODUCT_NAME) == _GOOGLE_CLOUD


def skip_metadata_server(environ: MutableMapping[str, str] = os.environ) -> None:
    """Keep libtpu, where it is installed, from waiting for a metadata server that is not there.

    TensorFlow loads it at its import, which takes minutes otherwise.
    """
    if not is_google_cloud() and _libtpu(environ):
        environ.setdefault("TPU_SKIP_MDS_QUERY", "1")


def holder_of_chips() -> int | None:
    """Return a process of this user, other than this one, that has a TPU chip open."""
    for opened in ROOT.glob("proc/[0-9]*/fd/*"):
        process = int(opened.parts[-3])
        if process == os.getpid():
            continue
        try:
            target = os.readlink(opened)
        except OSError:
            continue
        if re.match(r"/dev/(accel\d+|vfio/\d+)$", target):
            return process
    return None


def _generation(kind):
    found = _GENERATION.match(kind)
    name = None
    if found:
        number, suffix = found.groups()
        name = number + ("e" if suffix and "lite" in suffix else suffix or "")
    if name not in GENERATIONS:
        raise ValueError(
            f"unknown TPU accelerator type {kind!r}: set TPU_ACCELERATOR_TYPE to one of "
            f"{', '.join(GENERATIONS)} (v5litepod-8, say, is v5e)"
        )
    return name


def _environment_file():
    """Return the variables of lines such as ACCELERATOR_TYPE: 'v4-8' or ACCELERATOR_TYPE=v4-8."""
    lines = _read(_ENVIRONMENT_FILE).splitlines()
    pairs = (re.match(r"\s*(?:export\s+)?(\w+)\s*[:=]\s*(.*)$", line) for line in lines)
    return {pair[1]: pair[2].strip().strip("'\"") for pair in pairs if pair}


def _chip():
    for device in sorted(ROOT.glob("sys/bus/pci/devices/*")):
        if _read(device / "vendor") == _VENDOR:
            kind = _read(device / "device")
            chip = _CHIPS.get(kind) or _CHIPS.get((kind, _read(device / "subsystem_device")))
            if chip:
                return chip
    return None


def _metadata(name, environ):
    import urllib.request  # Slow to import, and hardly ever needed.

    # By its address: looking up the name has no time limit.
    host = environ.get("GCE_METADATA_HOST") or environ.get("GCE_METADATA_IP") or "169.254.169.254"
    request = urllib.request.Request(
        _METADATA.format(host=host, name=name), headers={"Metadata-Flavor": "Google"}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=_METADATA_SECONDS) as answer:
            return answer.read().decode().strip()
    except (OSError, ValueError):
        return None


def _libtpu(environ):
    if environ.get("TPU_LIBRARY_PATH"):
        return environ["TPU_LIBRARY_PATH"]
    package = importlib.util.find_spec("libtpu")
    places = (
        [pathlib.Path(path) for path in (package.submodule_search_locations or [])]
        if (package)
        else []
    )
    # The last two are where the images of TPU VMs have it.
    for place in (*places, ROOT / "lib", ROOT / "usr/lib"):
        if (place / "libtpu.so").is_file():
            return str(place / "libtpu.so")
    return None


def _read(path):
    try:
        return (ROOT / path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
