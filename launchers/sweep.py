"""A sweep: what nngp_inference does, over the workers of an Apache Beam pipeline.

python -m launchers.sweep --gin_file=configs/nasbench101_digits.gin --run_dir=runs/digits \
    --direct_num_workers=4
python -m launchers.sweep --gin_file=... --run_dir=/shared/space \
    --runner=apache_beam.runners.dask.dask_runner.DaskRunner --dask_client_address=tcp://HOST:8786
python -m launchers.sweep --gin_file=... --run_dir=gs://BUCKET/space --runner=DataflowRunner \
    --project=... --region=... --temp_location=gs://...
python -m launchers.sweep --gin_file=... --run_dir=/shared/space --runner=FlinkRunner \
    --flink_master=HOST:8081 --environment_type=EXTERNAL --environment_config=localhost:50000

Flags that are not its own are Beam's. gin says what it says for nngp_inference; `score`, which
ranks, plays no part.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import sys

import gin
from absl import flags, logging

from nngp_tf.devices import tpu_runtime
from nngp_tf.runs import files, status, status_report, sweep
from nngp_tf.runs.errors import RunEndedError

from . import app
from .nngp_inference import checked_job, nngp_inference

_SHARE_SIZE = flags.DEFINE_integer(
    "share_size", 100, "Most architectures that a worker takes at a time.", lower_bound=1
)
# Restarts after a lost worker on one machine, without a new row between them.
_MOST_RESTARTS = 4
_RESTARTS = "NNGP_SWEEP_RESTARTS"


def nngp_sweep(beam_flags: list[str]) -> str:
    """Compute what a run directory lacks, as the flags and gin say.

    Args:
      beam_flags: Flags of Beam.

    Returns:
      The line that names the results.
    """
    try:
        from nngp_tf.runs import pipeline  # The only part that needs Beam.
    except ImportError as error:
        raise ValueError(
            f"a sweep needs Apache Beam ({error}): pip install 'nngp_tf[beam]'"
        ) from error
    options = pipeline.options(beam_flags)
    run_dir = pipeline.shared_directory(app.required(app.RUN_DIR), options)
    described = _described(run_dir, pipeline.is_local(options))
    of_workers = _worker_environment()
    if pipeline.is_local(options):
        _share_cores(pipeline.num_local_workers(options))
    shares = sweep.plan(described, _SHARE_SIZE.value)
    lacking = sum(len(share.architectures) for share in shares)
    logging.info("%d architectures lack rows, in %d shares", lacking, len(shares))
    if shares:
        again = functools.partial(_start_again, len(sweep.stored_keys(run_dir)), dict(os.environ))
        os.environ.update(of_workers)
        pipeline.run(shares, described, options, again)
        files.write(files.join(run_dir, "nngp_inference.gin"), _gin().encode(), writer="sweep")
    if left := sweep.plan(described, _SHARE_SIZE.value):
        number = sum(len(share.architectures) for share in left)
        raise RunEndedError(f"{number} architectures of {run_dir} have no row: start again")
    print(status_report.report(status.Watcher(run_dir).look()))
    return f"wrote {files.join(run_dir, 'results*.jsonl')}"


def _described(run_dir, is_local):
    """Return what workers are told."""
    # Both are the driver's to decide, for all workers alike.
    job = checked_job(_configured())
    if job.data_dir is not None and not is_local:
        job = dataclasses.replace(job, data_dir=files.absolute(job.data_dir))
    if tpu_runtime.address(app.STRATEGY.value, app.TPU.value):
        tpu_runtime.check_compute_dtype(job.compute_dtype)
    if job.compute_dtype is None:
        from nngp_tf.kernels import precision

        on_tpu = app.STRATEGY.value == "tpu" or app.TPU.value
        dtypes = ("bfloat16", "float32") if on_tpu else precision.compute_dtypes(None)
        job = dataclasses.replace(job, compute_dtype=dtypes)
    return sweep.Sweep(
        job,
        run_dir,
        app.STRATEGY.value,
        app.TPU.value,
        app.LOGICAL_CPUS.value,
        app.RETRY_FAILED.value,
        app.PATIENCE.value,
        driver=os.getpid() if is_local else None,
    )


def _worker_environment():
    """Return the variables with which processes of this machine drive its TPU."""
    tpu = tpu_runtime.address(app.STRATEGY.value, app.TPU.value)
    if tpu != tpu_runtime.LOCAL:
        return {}
    # This process has left the chips to them.
    variables = {name: value for name, value in os.environ.items() if name != "TPU_LOAD_LIBRARY"}
    tpu_runtime.prepare(tpu, environ=variables)
    return variables | {"TPU_LOAD_LIBRARY": ""}


def _configured():
    """Return the arguments that gin gives nngp_inference, and the defaults of the others."""
    arguments = inspect.signature(nngp_inference).bind_partial(**gin.get_bindings(nngp_inference))
    arguments.apply_defaults()
    return arguments.arguments


def _gin():
    return "".join(f"nngp_inference.{k} = {v!r}\n" for k, v in _configured().items())


def _share_cores(workers):
    """Give each worker process of this machine its part of the cores, unless told otherwise."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = max(1, cores // (workers or cores))
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def _start_again(stored, environ, exit_code):
    """Start this process anew: Beam on one machine would wait forever for a worker that is gone."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        child.kill()
    rows = len(sweep.stored_keys(app.RUN_DIR.value))
    restarts = 0 if rows > stored else int(os.environ.get(_RESTARTS, "0")) + 1
    sentence = f"a worker process ended with exit code {exit_code}, {rows} rows are stored"
    if restarts > _MOST_RESTARTS:
        print(f"sweep: {sentence}: the {restarts}th time without a new one", file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)
    logging.warning("%s: started again", sentence)
    logging.flush()
    sys.stdout.flush()
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, command, environ | {_RESTARTS: str(restarts)})


def _split(argv):
    """Return the arguments that are this launcher's, and those that are Beam's."""
    try:
        others = flags.FLAGS(argv, known_only=True)[1:]
    except flags.Error:
        return argv, []  # The launcher says what is wrong.
    finally:
        flags.FLAGS.unparse_flags()
    own, rest = [], list(others)
    for argument in argv:
        if rest and argument == rest[0]:
            rest.pop(0)
        else:
            own.append(argument)
    return own, others


def run() -> None:
    """Return the console script."""
    sys.argv, beam_flags = _split(sys.argv)
    app.run(functools.partial(nngp_sweep, beam_flags))


if __name__ == "__main__":
    run()
