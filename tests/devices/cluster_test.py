"""How the processes of a multi_worker run find one another."""

import json
import socket
import threading
import time

import pytest

from nngp_tf.devices import cluster

pytestmark = pytest.mark.fast


def free_ports(count):
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    numbers = [one.getsockname()[1] for one in opened]
    for one in opened:
        one.close()
    return numbers


def clusters(count):
    """The cluster as each of its processes sees it."""
    addresses = {f"worker {i}": f"127.0.0.1:{port}" for i, port in enumerate(free_ports(count))}
    return [cluster.Cluster(addresses, name) for name in addresses]


class TestConfiguration:
    def read(self, monkeypatch, jobs, kind="worker", index=0):
        config = {"cluster": jobs, "task": {"type": kind, "index": index}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
        return cluster.read()

    def test_of_a_chief_and_workers(self, monkeypatch):
        jobs = {"worker": ["a:1", "[::1]:2"], "chief": ["c:3"], "evaluator": ["e:4"]}
        read = self.read(monkeypatch, jobs, index="1")
        assert read.addresses == {"chief 0": "c:3", "worker 0": "a:1", "worker 1": "[::1]:2"}
        assert read.own == "worker 1"

    @pytest.mark.parametrize("address", ["host", "host:", ":1", "host:port", "host:70000", "", 3])
    def test_without_a_port(self, monkeypatch, address):
        with pytest.raises(ValueError, match=f"worker 1 the address {address!r}.*HOST:PORT"):
            self.read(monkeypatch, {"worker": ["host:1", address]})

    def test_of_one_address_for_two(self, monkeypatch):
        with pytest.raises(ValueError, match="two processes one address"):
            self.read(monkeypatch, {"worker": ["host:1", "host:1"]})

    @pytest.mark.parametrize("kind", ["ps", "evaluator"])
    def test_of_a_process_that_does_not_compute(self, monkeypatch, kind):
        with pytest.raises(ValueError, match="TF_CONFIG"):
            self.read(monkeypatch, {"worker": ["host:1"], kind: ["host:2"]}, kind)


class TestMeeting:
    def test_one_is_never_late(self):
        cluster.meet(clusters(1)[0], 0.0)

    def test_the_missing_are_named(self):
        first = clusters(3)[0]
        with socket.create_server(("127.0.0.1", int(first.addresses["worker 1"][10:]))):
            message = f"worker 2 at {first.addresses['worker 2']} after 0.3 s.*--startup_timeout"
            with pytest.raises(ValueError, match=message) as error:
                cluster.meet(first, 0.3)
        assert "worker 1" not in str(error.value)

    def test_of_some_that_start_late(self):
        late = []

        def meet(one, seconds):
            time.sleep(seconds)
            try:
                cluster.meet(one, 60.0)
            except ValueError as error:
                late.append(error)
                return
            # Where TensorFlow would listen from now on.
            with socket.create_server(("127.0.0.1", int(one.addresses[one.own][10:]))):
                ended.wait(60.0)

        ended = threading.Event()
        all_of_them = clusters(3)
        threads = [
            threading.Thread(target=meet, args=(one, 0.5 * i)) for i, one in enumerate(all_of_them)
        ]
        for thread in threads:
            thread.start()
        cluster_is_up = threading.Timer(4.0, ended.set)
        cluster_is_up.start()
        for thread in threads:
            thread.join()
        assert late == []

    def test_a_port_that_is_taken(self):
        one, _ = clusters(2)
        own = one.addresses[one.own]
        with (
            socket.create_server(("", int(own[10:]))),
            pytest.raises(ValueError, match=rf"{own}.*in use"),
        ):
            cluster.meet(one, 0.3)
