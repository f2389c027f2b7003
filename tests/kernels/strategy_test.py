"""Strategies by name. What configures TensorFlow, which is possible only once, has a process."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import types

import pytest
import tensorflow as tf
from absl import logging

from nngp_tf.devices import tpu_runtime
from nngp_tf.kernels.strategy import STRATEGIES, build_strategy, is_chief

ROOT = pathlib.Path(__file__).resolve().parents[2]

NO_GPU = pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")


def run(code, **environment):
    """The lines that Python code prints in a process of its own."""
    script = "from nngp_tf.kernels.strategy import build_strategy, is_chief\n" + code
    kept = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    finished = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=kept | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return finished.stdout.splitlines()


@pytest.mark.fast
class TestNames:
    def test_cpu(self):
        strategy = build_strategy("cpu")
        assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
        assert strategy.num_replicas_in_sync == 1
        assert strategy.extended.worker_devices[0].endswith("CPU:0")

    def test_none_is_tensorflows_own_placement(self):
        assert build_strategy() is tf.distribute.get_strategy()

    def test_none_is_the_strategy_in_scope(self):
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
        with strategy.scope():
            assert build_strategy() is strategy

    @NO_GPU
    def test_mirrored_without_gpus_takes_the_cpu(self):
        strategy = build_strategy("mirrored")
        assert isinstance(strategy, tf.distribute.MirroredStrategy)
        assert strategy.num_replicas_in_sync == len(tf.config.list_logical_devices("CPU"))

    @NO_GPU
    def test_gpu_that_is_absent(self):
        with pytest.raises(ValueError, match=r"'gpu' needs a GPU.*\[gpu\].*or use 'cpu'"):
            build_strategy("gpu")

    @pytest.mark.parametrize("name", ["CPU", "tpus", ""])
    def test_unknown(self, name):
        message = f"strategy must be one of cpu, gpu, mirrored, multi_worker, tpu, got '{name}'"
        with pytest.raises(ValueError, match=message):
            build_strategy(name)

    @pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "tpu"])
    def test_address_without_a_tpu(self, name):
        with pytest.raises(
            ValueError, match=rf"\('my-tpu'\) goes with strategy 'tpu', got '{name}'"
        ):
            build_strategy(name, tpu="my-tpu")

    @pytest.mark.parametrize("name", [None, "cpu", "tpu"])
    @pytest.mark.parametrize("tpu", ["", " "])
    def test_an_address_that_is_empty(self, name, tpu):
        with pytest.raises(ValueError, match=f"tpu must be .* got '{tpu}'"):
            build_strategy(name, tpu=tpu)

    @pytest.mark.parametrize("count", [0, -2])
    def test_too_few_logical_cpus(self, count):
        with pytest.raises(ValueError, match=f"logical_cpus must be at least 1, got {count}"):
            build_strategy("mirrored", logical_cpus=count)

    def test_logical_cpus_after_the_start(self):
        tf.zeros(1)
        count = len(tf.config.list_logical_devices("CPU")) + 1
        with pytest.raises(ValueError, match=f"into {count} devices after TensorFlow has started"):
            build_strategy("mirrored", logical_cpus=count)


@pytest.mark.fast
class TestWorkerConfiguration:
    @pytest.mark.parametrize(
        "config",
        [
            None,
            "",
            "{",
            "3",
            "[]",
            "{}",
            '{"cluster": {"worker": ["host:1"]}}',
            '{"task": {"type": "worker", "index": 0}}',
            '{"cluster": {"worker": ["host:1"]}, "task": {"type": "worker"}}',
            '{"cluster": {"worker": ["host:1"]}, "task": {"type": "chief", "index": 0}}',
            '{"cluster": {"worker": ["host:1"]}, "task": {"type": "worker", "index": 1}}',
            '{"cluster": {"worker": ["host:1"]}, "task": {"type": "worker", "index": -1}}',
            '{"cluster": {"worker": ["host:1"]}, "task": {"type": "worker", "index": "first"}}',
            '{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}',
            '{"cluster": [], "task": {"type": "worker", "index": 0}}',
            '{"cluster": {"worker": ["host:1"]}, "task": "worker"}',
        ],
    )
    def test_that_does_not_describe_the_workers(self, config, monkeypatch):
        if config is None:
            monkeypatch.delenv("TF_CONFIG", raising=False)
        else:
            monkeypatch.setenv("TF_CONFIG", config)
        with pytest.raises(
            ValueError, match=r"environment variable TF_CONFIG.*set it to {"
        ) as error:
            build_strategy("multi_worker")
        # The example in the message is one that works.
        example = str(error.value).partition("set it to ")[2].partition(" with this")[0]
        parsed = json.loads(example.replace(", ...", ""))
        assert parsed["task"] == {"type": "worker", "index": 0}
        assert len(parsed["cluster"]["worker"]) == 1


def process(task_type, task_id, jobs):
    """What is asked of the strategy of one process of a cluster."""
    resolver = types.SimpleNamespace(
        task_type=task_type,
        task_id=task_id,
        cluster_spec=lambda: tf.train.ClusterSpec({job: ["host:1", "host:2"] for job in jobs}),
    )
    return types.SimpleNamespace(cluster_resolver=resolver)


@pytest.mark.fast
class TestChief:
    @pytest.mark.parametrize(
        ("task_type", "task_id", "jobs", "expected"),
        [
            ("worker", 0, ["worker"], True),
            ("worker", 1, ["worker"], False),
            ("chief", 0, ["chief", "worker"], True),
            # With a chief, the first worker is not one.
            ("worker", 0, ["chief", "worker"], False),
            ("worker", 1, ["chief", "worker"], False),
            ("ps", 0, ["worker", "ps"], False),
            ("evaluator", 0, ["worker", "evaluator"], False),
            # Outside a cluster.
            (None, None, [], True),
            ("", 0, [], True),
        ],
    )
    def test_of_a_cluster(self, task_type, task_id, jobs, expected):
        assert is_chief(process(task_type, task_id, jobs)) is expected

    def test_of_one_process(self):
        for strategy in (
            tf.distribute.get_strategy(),
            tf.distribute.OneDeviceStrategy("/cpu:0"),
            tf.distribute.MirroredStrategy(["/cpu:0"]),
        ):
            assert is_chief(strategy)

    def test_of_a_tpu(self):
        """One process drives all hosts of a TPU, whatever job its resolver names."""

        class Pod(tf.distribute.TPUStrategy):
            cluster_resolver = process("worker", 3, ["worker"]).cluster_resolver

        assert is_chief(object.__new__(Pod))


@pytest.fixture
def tpu(monkeypatch):
    """A TPU that is not there: records the calls, and fails at `tpu.fails_at` with `tpu.error`."""
    resolver = types.SimpleNamespace(cluster_spec=lambda: tf.train.ClusterSpec({"worker": ["h:1"]}))
    fake = types.SimpleNamespace(calls=[], fails_at=None, error=None, resolver=resolver)

    def step(name, result=None):
        def call(*args, **options):
            fake.calls.append((name, args, options))
            if name == fake.fails_at:
                raise fake.error
            return result

        return call

    resolvers = tf.distribute.cluster_resolver
    monkeypatch.setattr(tpu_runtime, "check_local", lambda *_, **__: None)
    monkeypatch.setattr(tpu_runtime, "check_elsewhere", step("check"))
    monkeypatch.setattr(tpu_runtime, "check_answers", step("reach"))
    monkeypatch.setattr(resolvers, "TPUClusterResolver", step("resolve", fake.resolver))
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", step("connect"))
    monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", step("initialise"))
    fake.strategy = types.SimpleNamespace(num_replicas_in_sync=8)
    monkeypatch.setattr(tf.distribute, "TPUStrategy", step("strategy", fake.strategy))
    for name in ("TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS"):
        monkeypatch.delenv(name, raising=False)
    return fake


@pytest.mark.fast
class TestTPU:
    @pytest.mark.parametrize(
        ("arguments", "address"),
        [
            (("tpu", "my-tpu"), "my-tpu"),
            (("tpu", "grpc://10.0.0.2:8470"), "grpc://10.0.0.2:8470"),
            (("tpu", "local"), "local"),
            # Without an address it is this machine's.
            (("tpu",), "local"),
            # The address alone says which strategy.
            ((None, "my-tpu"), "my-tpu"),
        ],
    )
    def test_standard_order(self, tpu, arguments, address):
        assert build_strategy(*arguments) is tpu.strategy
        checked = [] if address == "local" else [("check", (address,), {})]
        assert tpu.calls == [
            *checked,
            ("resolve", (), {"tpu": address}),
            ("reach", (address, ["h:1"]), {}),
            ("connect", (tpu.resolver,), {}),
            ("initialise", (tpu.resolver,), {}),
            ("strategy", (tpu.resolver,), {}),
        ]

    @pytest.mark.parametrize("fails_at", ["resolve", "connect", "initialise"])
    @pytest.mark.parametrize(
        "error",
        [
            ValueError("Please provide a TPU Name to connect to.\nAnd a second line."),
            RuntimeError("Missing runtime dependency on the Google API client."),
            OSError("<urlopen error Name or service not known>"),
            tf.errors.NotFoundError(None, None, "TPUs not found in the cluster.\n\nThe cause."),
            tf.errors.UnavailableError(None, None, "failed to connect"),
            tf.errors.DeadlineExceededError(None, None, "deadline"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_the_whole_cause_is_told(self, tpu, fails_at, error):
        tpu.fails_at, tpu.error = fails_at, error
        with pytest.raises(ValueError, match=r"no TPU at 'my-tpu'.*'local' on a TPU VM") as raised:
            build_strategy("tpu", "my-tpu")
        # In one line.
        assert " ".join(str(error).split()) in str(raised.value)
        assert "\n" not in str(raised.value)
        assert raised.value.__cause__ is error
        assert [name for name, *_ in tpu.calls][-1] == fails_at

    def test_of_a_long_cause_the_ends_are_told_and_the_log_has_all(self, tpu, monkeypatch):
        pages = "first thing" + "\n  at a place" * 500 + "\nthe root cause"
        tpu.fails_at, tpu.error = "initialise", tf.errors.InternalError(None, None, pages)
        logged = []
        monkeypatch.setattr(logging, "error", lambda text, *args: logged.append(text % args))
        with pytest.raises(ValueError, match=r"first thing.*the root cause, in full") as raised:
            build_strategy("tpu", "my-tpu")
        assert len(str(raised.value)) < 1000
        assert pages in logged[0]

    def test_a_programming_error_is_not_taken_for_an_absent_tpu(self, tpu):
        tpu.fails_at, tpu.error = "connect", TypeError("unexpected argument")
        with pytest.raises(TypeError):
            build_strategy("tpu", "my-tpu")

    def test_float64_is_refused_first(self, tpu):
        with pytest.raises(ValueError, match="float64"):
            build_strategy("tpu", "my-tpu", compute_dtype="float64")
        assert tpu.calls == []


@pytest.mark.slow
class TestProcesses:
    def test_logical_cpus(self):
        code = """
strategy = build_strategy("mirrored", logical_cpus=3)
print(type(strategy).__name__, strategy.num_replicas_in_sync, is_chief(strategy))
print(*[device.rpartition("device:")[2] for device in strategy.extended.worker_devices])
# As many again is no change.
print(build_strategy("cpu", logical_cpus=3).num_replicas_in_sync)
"""
        assert run(code) == ["MirroredStrategy 3 True", "CPU:0 CPU:1 CPU:2", "1"]

    @pytest.mark.parametrize("job", ["worker", "chief"])
    def test_multi_worker_of_one(self, job):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = {
            "cluster": {job: [f"127.0.0.1:{port}"]},
            "task": {"type": job, "index": 0},
        }
        code = """
strategy = build_strategy("multi_worker")
print(type(strategy).__name__, strategy.num_replicas_in_sync, is_chief(strategy))
"""
        lines = run(code, TF_CONFIG=json.dumps(config))
        assert lines == ["CollectiveAllReduceStrategy 1 True"]
