"""Run by pipeline_test in the environment of Beam."""

import secrets

import apache_beam as beam
import pytest
from apache_beam.runners import runner

from nngp_tf.runs import pipeline, sweep
from nngp_tf.runs.errors import RunEndedError

DASK = f"--runner={pipeline.DASK_RUNNER}"


class Recorder(runner.PipelineRunner):
    """Runs nothing, and keeps the size of the job graph in bytes."""

    size = None

    def run_pipeline(self, graph: beam.Pipeline, options):
        type(self).size = len(graph.to_runner_api().SerializeToString())
        return runner.PipelineResult(runner.PipelineState.DONE)


class Described:
    """Stands for a sweep, of which only this much is looked at."""

    def __init__(self, run_dir):
        self.run_dir = str(run_dir)

    def to_json(self):
        return "{}"


def test_the_job_graph_does_not_hold_the_architectures(tmp_path, monkeypatch):
    # As many as 423,624 cells give with --share_size=10, in texts that cannot be compressed. A
    # request to Dataflow may have 10 MB, and Dask keeps the graph as it is.
    number = 42_363
    shares = [sweep.Share(i, number, 1, (secrets.token_hex(64),)) for i in range(number)]
    options = pipeline.options([f"--runner={__name__}.Recorder"])
    pipeline.run(shares, Described(tmp_path), options, on_lost_worker=None)
    assert (tmp_path / pipeline.PLAN).stat().st_size > 6e6
    assert Recorder.size < 1e6


def test_a_worker_without_the_run_directory(tmp_path):
    worker = pipeline.Compute("{}", f"{tmp_path}/{pipeline.PLAN}")
    with pytest.raises(RunEndedError, match=rf"{tmp_path}/{pipeline.PLAN} .*that all workers have"):
        list(worker.process(0))


@pytest.mark.parametrize(
    ("flags", "partitions"),
    [
        ((), (None, 1)),
        (("--dask_npartitions=12",), (12, None)),
        (("--dask_npartitions", "12"), (12, None)),
        (("--dask_partition_size=3",), (None, 3)),
    ],
)
def test_on_dask_a_share_is_a_task(flags, partitions):
    found = pipeline.options([DASK, *flags]).get_all_options()
    assert (found["npartitions"], found["partition_size"]) == partitions
    assert not pipeline.is_local(pipeline.options([DASK]))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--runner=DaskRunner"], f"DaskRunner .*{pipeline.DASK_RUNNER}"),
        (["--runner=no.such.Runner"], "--runner=no.such.Runner .*No module named 'no'"),
        ([f"{DASK}s"], "DaskRunners .* has no attribute"),
        ([DASK, "--dask_npartition=12"], "knows the flag --dask_npartition$"),
        ([DASK, "--dask_npartitions=0"], "--dask_npartitions must be at least 1, got 0"),
        ([DASK, "--dask_partition_size=-1"], "--dask_partition_size must be at least 1, got -1"),
        ([DASK, "--dask_npartitions=2", "--dask_partition_size=2"], "not allowed with"),
        (["--direct_num_workers=two"], "--direct_num_workers: .*'two'"),
    ],
)
def test_refusals(flags, message, capfd):
    with pytest.raises(ValueError, match=message) as raised:
        pipeline.options(flags)
    assert "\n" not in str(raised.value)
    assert "usage" not in capfd.readouterr().err
