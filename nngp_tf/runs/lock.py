"""Claims: one writer a shard.

    lock-00000-of-00004-TOKEN.json      a claim to a shard: whose, since when, asking or held

    claim:  write mine, asking -> look at the others
            another is held, or asks and comes first by name -> withdraw, refused
            others ask -> look again; they withdraw
            nobody else -> write mine, held
    live:   on the same machine its process runs; elsewhere it gave a sign of life of late

A claim that is not live is removed by who looks at it. Since everybody writes before looking, of
two processes the later to look sees the other, so this needs nothing of the file system but that
a written file is listed. Of clocks it needs that they agree within a minute. Names of files say
which shard they are of: claims to others are not read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import socket
import threading
import time
import uuid

from absl import logging

from nngp_tf import version
from nngp_tf.runs import chunks, files
from nngp_tf.runs.errors import LostError

SIGN_OF_LIFE_SECONDS = 15.0
STALE_SECONDS = 120.0
_NAME = re.compile(r"lock-(\d{5,})-of-(\d{5,})-[0-9a-f]+\.json")
_CONTENTION_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.05

# A later claim of the same process takes the place of an earlier one; one at a time.
_ACQUIRING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Holder:
    """Whose a claim is.

    Attributes:
      host: Name of the machine.
      machine: Tells machines, and what has process numbers of its own, apart; "" if unknown.
      pid: Of the process.
      started: When the process started, in the machine's ticks; tells it from a later namesake.
      since: Seconds since 1970 when the claim was made.
      seen: Seconds since 1970 of its last sign of life.
      held: Whether it has looked at the others.
    """

    host: str
    machine: str
    pid: int
    started: int
    since: float
    seen: float
    held: bool

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.since))
        return f"process {self.pid} on {self.host} since {since} UTC"

    @property
    def can_be_watched(self) -> bool:
        """Whether this process can see whether that one runs."""
        return bool(self.machine) and self.machine == _machine()

    @property
    def is_this_process(self) -> bool:
        """Whether it is the process that asks."""
        return self.can_be_watched and (self.pid, self.started) == _process(os.getpid())

    @property
    def is_live(self) -> bool:
        """Whether the process may still write."""
        if self.can_be_watched:
            return (self.pid, self.started) == _process(self.pid)
        return time.time() - self.seen < STALE_SECONDS


@dataclasses.dataclass(frozen=True)
class Found:
    """A claim's file, its shard, and whose it is."""

    name: str
    shard: chunks.Shard
    holder: Holder


class Claim:
    """A claim of this process to a shard, held from construction until `release`."""

    def __init__(self, directory: str, shard: chunks.Shard):
        """Claim a shard.

        Args:
          directory: The run directory; it exists.
          shard: Of it.

        Raises:
          ValueError: If another process holds it.
          OSError: If the directory cannot be written.
        """
        self._directory, self._shard = directory, shard
        self._token = uuid.uuid4().hex[:12]
        self._name = f"lock-{shard.label}-{self._token}.json"
        self._path = files.join(directory, self._name)
        self._pid, self._since = os.getpid(), time.time()
        self._lost = False
        self._released = threading.Event()
        # Between two signs of life, and between each of them and `check`.
        self._mutex = threading.Lock()
        try:
            with _ACQUIRING:
                self._acquire()
        except BaseException:
            files.remove(self._path)
            raise
        self._thread = threading.Thread(target=self._give_signs_of_life, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Check that the shard is still held; call it before each write.

        Raises:
          LostError: If it is not.
          OSError: If that cannot be found out.
        """
        with self._mutex:
            held = not self._lost and not self._released.is_set() and files.exists(self._path)
        if not held or os.getpid() != self._pid:
            raise LostError(
                f"{self._shard} of run directory {self._directory} is no longer this process's: "
                "another has taken it over, or this one opened it again"
            )

    def release(self) -> None:
        """Give the shard up."""
        # A forked process has no claim of its own.
        if self._released.is_set() or os.getpid() != self._pid:
            return
        self._released.set()
        # Where garbage is collected is anybody's thread.
        if threading.current_thread() is not self._thread:
            self._thread.join()
        try:
            files.remove(self._path)
        except OSError as error:
            logging.warning("%s cannot be removed (%s)", self._path, error.strerror)

    def _acquire(self):
        self._write(held=False)
        deadline = time.monotonic() + _CONTENTION_SECONDS
        while others := self._others():
            other = next((o for o in others if o.holder.held), others[0])
            comes_first = other.holder.held or other.name < self._name
            if comes_first or time.monotonic() > deadline:
                raise ValueError(
                    f"{self._shard} of run directory {self._directory} is being written by "
                    f"{other.holder}: wait for it to end, or name another run directory"
                )
            time.sleep(_LOOK_AGAIN_SECONDS)
        self._write(held=True)
        self._remove_asides()

    def _others(self):
        """List live claims of other processes to the shard; remove what else there is."""
        live = []
        for found in self._found():
            holder = found.holder
            if holder.is_live and not holder.is_this_process:
                live.append(found)
                continue
            if holder.held and not holder.is_this_process:
                logging.warning(
                    "%s of run directory %s: taken over from %s, which %s",
                    self._shard,
                    self._directory,
                    holder,
                    "has ended" if holder.can_be_watched else "gives no sign of life",
                )
            files.remove(files.join(self._directory, found.name))
        return live

    def _found(self):
        """List all claims to the shard but this one."""
        claims = read_claims(self._directory, self._shard)
        return [claim for claim in claims if claim.name != self._name]

    def _remove_asides(self):
        """Remove claims that processes killed long ago left half-written."""
        for name in files.names(self._directory):
            if name.startswith(f"lock-{self._shard.label}-") and name.endswith(".partial"):
                path = files.join(self._directory, name)
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - files.stamp(path)[1] > STALE_SECONDS:
                        files.remove(path)

    def _write(self, held):
        files.write(self._path, self._content(held), self._token)

    def _content(self, held):
        pid, started = _process(self._pid) or (self._pid, 0)
        holder = Holder(
            host=socket.gethostname(),
            machine=_machine(),
            pid=pid,
            started=started,
            since=self._since,
            seen=time.time(),
            held=held,
        )
        header = {"schema": chunks.SCHEMA, "version": version.__version__}
        return (json.dumps(header | dataclasses.asdict(holder)) + "\n").encode()

    def _give_signs_of_life(self):
        while not self._released.wait(SIGN_OF_LIFE_SECONDS) and not self._lost:
            try:
                with self._mutex:
                    self._sign_of_life()
            except OSError as error:
                logging.warning("%s cannot be renewed (%s)", self._path, error.strerror)

    def _sign_of_life(self):
        try:
            if not files.exists(self._path):
                raise FileNotFoundError
            written = files.touch(self._path, self._content(held=True), self._token)
        except FileNotFoundError:
            self._lost = True
            return
        # It may have brought back what another had just removed.
        if written and any(f.holder.held and f.holder.is_live for f in self._found()):
            self._lost = True
            files.remove(self._path)


def read_claims(directory: str, shard: chunks.Shard | None = None) -> list[Found]:
    """List claims, live or not, by the names of their files.

    Args:
      directory: The run directory.
      shard: To which; None for all.

    Raises:
      OSError: If the directory cannot be read.
    """
    claims = []
    for name in files.names(directory):
        match = _NAME.fullmatch(name)
        if match is None or int(match[1]) >= int(match[2]):
            continue
        of = chunks.Shard(int(match[1]), int(match[2]))
        if shard not in (None, of):
            continue
        path = files.join(directory, name)
        try:
            holder = _decode(files.read(path), files.stamp(path)[1])
        except FileNotFoundError:
            continue
        claims.append(Found(name, of, holder))
    return claims


def _decode(content, modified):
    try:
        fields = json.loads(content)
        types = {"host": str, "machine": str, "pid": int, "started": int, "held": bool}
        values = {name: fields[name] for name in types}
        times = {name: float(fields[name]) for name in ("since", "seen")}
        if any(type(values[name]) is not types[name] for name in types):
            raise ValueError(content)
        times["seen"] = max(times["seen"], modified)
        time.gmtime(times["since"])
        return Holder(**values, **times)
    except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError):
        return Holder("a host unknown, its file is damaged,", "", 0, 0, modified, modified, True)


def _machine():
    """Which machine this is since it was started, and whose process numbers are meant."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()}/{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process(pid):
    """(pid, start in ticks) of a process that runs on this machine; None if it does not."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name before the last parenthesis may hold anything.
    state, *fields = status.rpartition(")")[2].split()
    return None if state in "ZX" else (pid, int(fields[18]))
