"""Sweeps: an inference job cut into shares, which any process computes in any order.

    share i of N      every N-th architecture from the i-th on, as shard i of N of the run directory
    plan              one line of JSON a share that lacks rows
    a share           claim its shard -> for each architecture without a row: row -> appended

Each row is on disk before the next one is begun, so a share that is tried again, wherever that is,
goes on where it stopped. This module knows nothing of Beam; see `pipeline`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import threading
import time

import numpy as np
import tensorflow as tf
from absl import logging

from nngp_tf.kernels import running_kernels
from nngp_tf.kernels.strategy import build_strategy
from nngp_tf.runs import chunks, failures, files, inference, job, lock, rescoring, table
from nngp_tf.runs import record as record_lib
from nngp_tf.runs.errors import RunEndedError
from nngp_tf.runs.networks import Network
from nngp_tf.runs.store import RunDirectory
from nngp_tf.search_spaces import mnas, nasbench101

_PARSE = {"nasbench101": nasbench101.parse_cells, "mnas": mnas.parse_networks}
# A holder that ended elsewhere is known to have after `lock.STALE_SECONDS`.
_LONGEST_CLAIM_SECONDS = 1.5 * lock.STALE_SECONDS
_CLAIM_AGAIN_SECONDS = 2.0
# A process computes one share at a time, however many threads an engine runs in it.
_COMPUTING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What all workers are told.

    Attributes:
      job: What is evaluated; its `compute_dtype` is set.
      run_dir: Where the rows go.
      strategy: See `nngp_tf.kernels.strategy.build_strategy`, as for the next two.
      tpu: Name or address of a TPU.
      logical_cpus: Devices into which a CPU is split.
      retry_failed: Whether architectures that failed before are evaluated again.
      patience: See `RunDirectory`.
      driver: Process without which the workers end, of this machine; None for no such.
    """

    job: job.InferenceJob
    run_dir: str
    strategy: str | None = None
    tpu: str | None = None
    logical_cpus: int | None = None
    retry_failed: bool = False
    patience: float = 3600.0
    driver: int | None = None

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(dataclasses.asdict(self) | {"job": self.job.to_json()})

    @classmethod
    def from_json(cls, text: str) -> Sweep:
        """Return the sweep that was made a text."""
        fields = json.loads(text)
        return cls(**fields | {"job": job.from_json(fields["job"])})


@dataclasses.dataclass(frozen=True)
class Share:
    """Architectures that are computed in one go.

    Attributes:
      index: Of the share and of its shard.
      count: How many shares there are.
      total: How many architectures the share has.
      architectures: Those that lack a row, in text form.
    """

    index: int
    count: int
    total: int
    architectures: tuple[str, ...]

    def to_json(self) -> str:
        """Return it as a line of text."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Share:
        """Return the share that was made a line."""
        fields = json.loads(line)
        return cls(**fields | {"architectures": tuple(fields["architectures"])})


def plan(sweep: Sweep, share_size: int) -> list[Share]:
    """Cut a job into shares, and list those that lack rows.

    Args:
      sweep: Its job says which architectures there are, its directory which have rows.
      share_size: The most architectures in a share.

    Raises:
      ValueError: If the job cannot be prepared or does not fit its first network and none is done,
        or the directory holds another run or is damaged.
    """
    if share_size < 1:
        raise ValueError(f"share_size must be at least 1, got {share_size!r}")
    selected = sweep.job.select()
    prepared = sweep.job.prepare(tf.distribute.get_strategy(), sweep.run_dir)
    networks = prepared.networks(selected)
    _check_run(sweep.run_dir, prepared.config)
    done = stored_keys(sweep.run_dir, only_ok=sweep.retry_failed)
    todo = [network for network in networks if network.key not in done]
    # Where networks are done, the settings suit, and the first of the others may be a bad one.
    if todo and not done:
        _check(todo[0], prepared)
    count = -(-len(networks) // share_size)
    shares = []
    for index in range(count):
        own = networks[index::count]
        texts = tuple(network.text for network in own if network.key not in done)
        shares.append(Share(index, count, len(own), texts))
    return [share for share in shares if share.architectures]


def stored_keys(run_dir: str, only_ok: bool = False) -> set[str]:
    """List the architectures that have rows, without keeping the rows in memory.

    Args:
      run_dir: The run directory; it may be missing.
      only_ok: Whether rows that failed do not count.

    Raises:
      ValueError: If a file is damaged, or cannot be read.
    """
    try:
        record, names = record_lib.read(run_dir), table.result_names(run_dir)
    except OSError as error:
        raise table.unreadable(run_dir, error) from error
    keys = set()
    for file in table.read_sound(run_dir, names, record):
        rows = (entry.row for entry in file.entries)
        keys.update(r["key"] for r in rows if r.get("status") == "ok" or not only_ok)
    return keys


def compute(share: Share, sweep: Sweep) -> dict[str, int]:
    """Compute a share, and store its rows.

    An exception at an architecture is recorded as its failed row.

    Returns:
      How many rows were added, and how many of them are "failed".

    Raises:
      ValueError: If another process keeps holding the shard, or the directory is of another run.
      RunEndedError: If rows cannot be written, another process has taken the shard over, networks
        fail one after the other, or the driver has ended.
    """
    with _COMPUTING:
        prepared, strategy = _prepared(sweep.to_json())
        parsed = _PARSE[sweep.job.space](share.architectures, f"share {share.index}")
        counts = {"rows": 0, "failed": 0}
        series = failures.Series()
        with _open(share, sweep, prepared, strategy) as directory:
            if sweep.retry_failed:
                directory.discard_failed()
            directory.expect(share.total)
            for network in prepared.networks(parsed):
                if network.key in directory.rows:
                    continue
                _check_driver(sweep.driver)
                row = _evaluate(network, prepared, strategy)
                directory.append(row)
                series.add(row)
                counts["rows"] += 1
                counts["failed"] += row["status"] != "ok"
        logging.info("share %d of %d: %s", share.index, share.count, counts)
        return counts


@functools.lru_cache(maxsize=1)
def _prepared(text):
    """Images, settings and strategy, once a process; programs are kept by the kernels."""
    sweep = Sweep.from_json(text)
    strategy = build_strategy(sweep.strategy, sweep.tpu, sweep.logical_cpus)
    prepared = sweep.job.prepare(strategy, sweep.run_dir)
    if (features_dir := prepared.extras.features_dir) is not None:
        images = prepared.images
        files.make_directory(features_dir)
        labels = np.concatenate([images.y_train, images.y_test])
        rescoring.save_labels(features_dir, labels, images.num_classes)
    return prepared, strategy


def _evaluate(network, prepared, strategy):
    """Return the row of a network, be it a failed one."""
    start = time.perf_counter()
    settings = prepared.settings
    try:
        return inference.infer(network, prepared.images, settings, strategy, prepared.extras)
    except Exception as error:
        failures.check(error)
        seconds = time.perf_counter() - start
        row = failures.failed_row(network, inference.recorded(settings), error, seconds)
        logging.warning("%s failed: %s", row["key"], row["error"])
        return row


def _check_run(run_dir, config):
    """Check that a directory holds no other run, without reading its rows."""
    try:
        record = record_lib.read(run_dir)
    except OSError as error:
        raise table.unreadable(run_dir, error) from error
    differing = (
        record_lib.differences(json.loads(json.dumps(config)), record.config) if record else ""
    )
    if differing:
        raise ValueError(
            f"run directory {run_dir} was made with another configuration ({differing}): name a "
            "new directory, or go back to that configuration"
        )


def _check(network: Network, prepared: job.Prepared) -> None:
    """Check that the settings suit a network, without running it."""
    counts = (*prepared.extras.report_inits, prepared.settings.num_inits)
    running_kernels(
        network,
        prepared.images.x_train,
        prepared.images.x_test,
        **dataclasses.asdict(prepared.settings) | {"num_inits": counts},
    )


def _open(share, sweep, prepared, strategy):
    """Open the share's shard, once its present holder has ended or is known to have."""
    deadline = time.monotonic() + _LONGEST_CLAIM_SECONDS
    while True:
        try:
            return RunDirectory(
                sweep.run_dir,
                prepared.config,
                inference.about(strategy),
                shard=(share.index, share.count),
                patience=sweep.patience,
                # The plan has left out what others hold.
                alone=True,
            )
        except ValueError:
            if time.monotonic() > deadline or not _is_held(share, sweep.run_dir):
                raise
            time.sleep(_CLAIM_AGAIN_SECONDS)


def _is_held(share, run_dir):
    claims = lock.read_claims(run_dir, chunks.Shard(share.index, share.count))
    return any(claim.holder.is_live for claim in claims)


def _check_driver(driver):
    """End a worker whose engine has ended: nobody waits for what it does."""
    if driver is None:
        return
    try:
        os.kill(driver, 0)
    except ProcessLookupError:
        raise RunEndedError(f"the process {driver} that runs the sweep has ended") from None
