"""Addresses at which nobody answers: of TPUs, and of the other workers of a run."""

import concurrent.futures
import json
import socket
import time

import grpc
import pytest

from nngp_tf.devices import ports, tpu_runtime
from tests.launchers import launching


@pytest.fixture
def closed():
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    return address


@pytest.fixture
def silent():
    """An address that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def full():
    """An address that no longer accepts connections: packets to it are dropped."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        waiting = []
        for _ in range(8):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        yield f"127.0.0.1:{address[1]}"
        for one in waiting:
            one.close()


@pytest.fixture
def answering():
    """The address of a server that speaks gRPC."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.mark.fast
class TestTPU:
    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch):
        monkeypatch.setattr(tpu_runtime, "_SECONDS", 2.0)

    def test_that_answers(self, answering):
        tpu_runtime.check_elsewhere(f"grpc://{answering}")
        tpu_runtime.check_elsewhere(f"grpc://{answering},grpc://{answering}")

    @pytest.mark.parametrize(
        ("kind", "why"),
        [
            ("closed", "refused"),
            ("silent", "does not speak gRPC"),
            ("full", "does not answer within 2 s"),
        ],
    )
    def test_that_does_not(self, request, kind, why):
        address = request.getfixturevalue(kind)
        with pytest.raises(ValueError, match=f"{address}.*{why}"):
            tpu_runtime.check_elsewhere(f"grpc://{address}")

    def test_of_which_one_host_does_not(self, answering, closed):
        with pytest.raises(ValueError, match=rf"\({closed}: .*refused"):
            tpu_runtime.check_elsewhere(f"grpc://{answering},grpc://{closed}")

    def test_whose_name_is_not_known(self):
        with pytest.raises(ValueError, match=r"no-such-host\.invalid:8470: .*not known"):
            tpu_runtime.check_elsewhere("grpc://no-such-host.invalid")

    def test_whose_name_is_looked_up_without_end(self, monkeypatch):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(60.0))
        with pytest.raises(ValueError, match="host:1 does not answer within 2 s"):
            tpu_runtime.check_elsewhere("grpc://host:1")

    @pytest.mark.parametrize("address", ["grpc://host:", "grpc://:8470", "grpc://host:80:x"])
    def test_that_is_none(self, address):
        with pytest.raises(ValueError, match="HOST:PORT"):
            tpu_runtime.check_elsewhere(address)


@pytest.mark.fast
def test_proxies_are_for_others(answering, closed, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://{closed}")
    ports.check_grpc([answering], 5.0)


@pytest.mark.slow
class TestLaunchers:
    def test_a_dead_tpu(self, tmp_path, closed):
        process = launching.start(
            "nngp_inference", f"--tpu=grpc://{closed}", f"--run_dir={tmp_path}"
        )
        launching.assert_refused("nngp_inference", launching.finish(process), "refused")

    @pytest.mark.parametrize("index", [0, pytest.param(1, marks=pytest.mark.long)])
    def test_a_worker_that_never_comes(self, tmp_path, index):
        opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        workers = [f"127.0.0.1:{one.getsockname()[1]}" for one in opened]
        for one in opened:
            one.close()
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        process = launching.start(
            "nngp_inference",
            "--strategy=multi_worker",
            "--startup_timeout=1",
            f"--run_dir={tmp_path}",
            TF_CONFIG=json.dumps(config),
        )
        code, _, error = launching.finish(process)
        assert code == 2
        missing = 1 - index
        said = (
            f"nngp_inference: nobody listens for worker {missing} at {workers[missing]} after 1 s"
        )
        assert error.splitlines()[-1].startswith(said)

    def test_a_stranger_in_the_place_of_a_worker(self, tmp_path, silent):
        with socket.create_server(("127.0.0.1", 0)) as own:
            address = f"127.0.0.1:{own.getsockname()[1]}"
        config = {
            "cluster": {"worker": [address, silent]},
            "task": {"type": "worker", "index": 0},
        }
        process = launching.start(
            "nngp_inference",
            "--strategy=multi_worker",
            "--startup_timeout=2",
            f"--run_dir={tmp_path}",
            TF_CONFIG=json.dumps(config),
        )
        code, _, error = launching.finish(process)
        assert code != 0
        assert f"{address}, {silent} has not come together in 2 s" in error
