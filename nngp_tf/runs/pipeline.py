"""The Apache Beam pipeline of a sweep: on one machine, or on Dask, Dataflow, Flink or Spark.

    where the lines of sweep.jsonl begin -> a share each, computed by a worker -> (rows, failed)

The job graph holds no more of the shares than these numbers: engines limit its size, and DaskRunner
cannot read files. Workers read the lines from the run directory, which they need anyway.

Rows go to the run directory as they are computed, not through the pipeline: what it hands on are
numbers. Retries are the engine's. Beam's own runner for one machine makes none and waits forever
for a worker process that ended; `on_lost_worker` tells of it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging as standard_logging
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import apache_beam as beam
from absl import logging
from apache_beam.metrics import Metrics
from apache_beam.options import pipeline_options
from apache_beam.runners.runner import create_runner

from nngp_tf.runs import files, sweep
from nngp_tf.runs.errors import RunEndedError

PLAN = "sweep.jsonl"
LOCAL_RUNNERS = ("DirectRunner", "FnApiRunner")
_LOCAL_FLAGS = (
    "--direct_running_mode=multi_processing",
    # What workers say of Beam is no news here; absl's lines are this package's.
    "--default_sdk_harness_log_level=WARNING",
    '--sdk_harness_log_level_overrides={"absl": "INFO"}',
    # There are no triggers. Without it, Beam first downloads and tries another runner, of whose
    # workers nothing would be known here.
    "--allow_unsafe_triggers",
)
DASK_RUNNER = "apache_beam.runners.dask.dask_runner.DaskRunner"
_DASK_PARTITIONS = ("--dask_npartitions", "--dask_partition_size")
_WORKER_THREAD = "run_worker"
_EXIT_CODE = re.compile(r"exited with return code (-?\d+)")


class Compute(beam.DoFn):
    """Computes shares; images and programs are kept by the process."""

    def __init__(self, text: str, plan: str):
        """Take the sweep as text, and the file of its shares, which is all that workers get."""
        self._text, self._plan = text, plan
        self._rows = Metrics.counter("nngp_sweep", "rows")
        self._failed = Metrics.counter("nngp_sweep", "failed")

    def process(self, start: int) -> Iterator[str]:
        """Compute the share whose line begins there, and yield how many rows that added."""
        try:
            line = files.read_line(self._plan, start)
        except OSError as error:
            raise RunEndedError(
                f"a worker on {socket.gethostname()} cannot read {self._plan} ({error.strerror}): "
                "name a run directory that all workers have"
            ) from error
        share = sweep.Share.from_json(line.decode())
        counts = sweep.compute(share, sweep.Sweep.from_json(self._text))
        self._rows.inc(counts["rows"])
        self._failed.inc(counts["failed"])
        yield json.dumps(counts)


def options(flags: Sequence[str]) -> pipeline_options.PipelineOptions:
    """Return Beam's options of flags.

    On one machine, workers are processes; on Dask, a share is a task. On both, Beam is quiet.

    Raises:
      ValueError: If Beam has no such runner, or does not know a flag, where it would be the one to
        know.
    """
    found = _parsed(flags)
    runner = found.view_as(pipeline_options.StandardOptions).runner or LOCAL_RUNNERS[0]
    try:
        create_runner(runner)  # Which also makes its flags known.
    except (ValueError, ImportError, AttributeError) as error:
        raise ValueError(
            f"--runner={runner} cannot be had ({error}); Dask's is {DASK_RUNNER}"
        ) from error
    given = {flag.partition("=")[0] for flag in flags}
    more = []
    if is_local(found) or runner == DASK_RUNNER:
        standard_logging.getLogger("apache_beam").setLevel(standard_logging.WARNING)
    if is_local(found):
        more = [flag for flag in _LOCAL_FLAGS if flag.partition("=")[0] not in given]
    elif runner == DASK_RUNNER and given.isdisjoint(_DASK_PARTITIONS):
        # Dask's own choice is 128 shares a task.
        more = ["--dask_partition_size=1"]
    found = _parsed([*flags, *more])
    values = found.get_all_options(retain_unknown_options=True)
    if is_local(found) or runner in ("DataflowRunner", DASK_RUNNER):
        unknown = values.keys() - pipeline_options.PipelineOptions([]).get_all_options().keys()
        if unknown:
            name = sorted(unknown)[0]
            raise ValueError(f"neither nngp_sweep nor Beam's {runner} knows the flag --{name}")
    if runner == DASK_RUNNER:
        for flag in _DASK_PARTITIONS:
            value = values[flag.removeprefix("--dask_")]
            if value is not None and value < 1:
                raise ValueError(f"{flag} must be at least 1, got {value}")
    return found


def _parsed(flags):
    """Return Beam's options; what its parser would say with all flags there are is one sentence."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            found = pipeline_options.PipelineOptions(list(flags))
            found.get_all_options(retain_unknown_options=True)
    except SystemExit as error:
        raise ValueError(f"Beam: {said.getvalue().strip().rpartition('error: ')[2]}") from error
    return found


def is_local(found: pipeline_options.PipelineOptions) -> bool:
    """Whether the workers are processes of this machine that end with the driver."""
    runner = found.view_as(pipeline_options.StandardOptions).runner or LOCAL_RUNNERS[0]
    return runner.rpartition(".")[2] in LOCAL_RUNNERS


def shared_directory(run_dir: str, found: pipeline_options.PipelineOptions) -> str:
    """Return a run directory as the workers can name it: they may work in another directory.

    Raises:
      ValueError: If it is on disk and the workers are Dataflow's, whose disks go with them.
    """
    path = files.absolute(run_dir)
    runner = found.view_as(pipeline_options.StandardOptions).runner
    if runner == "DataflowRunner" and os.path.isabs(path.removeprefix("file://")):
        raise ValueError(
            f"workers of Dataflow would write rows to {run_dir!r} on disks of their own: name a "
            "bucket, gs://BUCKET/DIRECTORY"
        )
    return run_dir if is_local(found) else path


def num_local_workers(found: pipeline_options.PipelineOptions) -> int:
    """Return how many worker processes there will be on this machine; 0 for one a core."""
    return found.view_as(pipeline_options.DirectOptions).direct_num_workers


def run(
    shares: Sequence[sweep.Share],
    described: sweep.Sweep,
    found: pipeline_options.PipelineOptions,
    on_lost_worker: Callable[[int], None],
) -> None:
    """Compute shares, and return when the pipeline has ended.

    Args:
      shares: What lacks rows.
      described: What the workers are told.
      found: Beam's options.
      on_lost_worker: Called with the exit code of a worker process of this machine that ended while
        the pipeline waits for it; it must not return.

    Raises:
      RunEndedError: If the pipeline fails.
    """
    path = files.join(described.run_dir, PLAN)
    files.make_directory(described.run_dir)
    lines = [f"{share.to_json()}\n".encode() for share in shares]
    files.write(path, b"".join(lines), writer="sweep")
    ends = list(itertools.accumulate(map(len, lines)))
    before = threading.excepthook
    threading.excepthook = _hook(before, on_lost_worker)
    try:
        with beam.Pipeline(options=found) as pipeline:
            starts = pipeline | "Plan" >> beam.Create([0, *ends[:-1]])
            _ = starts | "Compute" >> beam.ParDo(Compute(described.to_json(), path))
    except Exception as error:
        logging.debug("pipeline", exc_info=True)
        raise RunEndedError(
            f"the pipeline failed ({_reason(error)}): see to the cause, then start again; the rows "
            "that are stored stay"
        ) from error
    finally:
        threading.excepthook = before


def _hook(before, on_lost_worker):
    def hook(arguments):
        ended = _EXIT_CODE.search(str(arguments.exc_value))
        if arguments.thread and arguments.thread.name == _WORKER_THREAD and ended:
            on_lost_worker(int(ended[1]))
        before(arguments)

    return hook


def _reason(error):
    """Return what a worker said: the last line of the traceback that Beam hands on."""
    lines = [line.strip() for line in str(error).splitlines()]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    text = (errors or [line for line in lines if line] or [type(error).__name__])[-1]
    return text.partition(" [while running")[0]
