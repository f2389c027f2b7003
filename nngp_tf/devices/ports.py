"""Whether somebody answers at an address, within a time limit."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence

import grpc


def split(address: str) -> tuple[str, int]:
    """Return host and port of an address, HOST:PORT or [IPV6]:PORT.

    Raises:
      ValueError: If it is not of that form.
    """
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"an address is written HOST:PORT, got {address!r}")
    return host, int(port)


def check_grpc(addresses: Sequence[str], seconds: float) -> None:
    """Check that servers that speak gRPC answer at all addresses.

    Args:
      addresses: HOST:PORT of each.
      seconds: In which all must have answered.

    Raises:
      ValueError: If an address is not of its form.
      OSError: If one does not answer; its text says which and why.
    """
    deadline = time.monotonic() + seconds
    for address in addresses:
        split(address)
        reasons = [f"{address} does not answer within {seconds:g} s"]
        # It is left behind: looking up a name has no time limit.
        thread = threading.Thread(target=_ask, args=(address, deadline, reasons), daemon=True)
        thread.start()
        thread.join(max(deadline - time.monotonic(), 0.0))
        if reasons:
            raise OSError(reasons[0])


def is_open(address: str, seconds: float) -> bool:
    """Whether something listens at an address."""
    try:
        with socket.create_connection(split(address), timeout=seconds):
            return True
    except OSError:
        return False


def _ask(address, deadline, reasons):
    """Take the reasons away if a server answers, or put the one that is found in their place."""
    # Before nobody waits any more.
    deadline -= 1.0
    try:
        # It says why there is no connection, which gRPC keeps to itself.
        with socket.create_connection(split(address), max(deadline - time.monotonic(), 0.1)):
            pass
        with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
            ready = grpc.channel_ready_future(channel)
            ready.result(timeout=max(deadline - time.monotonic(), 0.1))
        reasons.clear()
    except grpc.FutureTimeoutError:
        reasons[:] = [f"{address} accepts connections, but does not speak gRPC"]
    except TimeoutError:
        pass
    except OSError as error:
        reasons[:] = [f"{address}: {error.strerror or error}"]
