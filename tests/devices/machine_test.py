"""Which TPU a machine has, by each of the ways that tell."""

import os

import pytest

from nngp_tf.devices import machine
from tests.devices import fakes

pytestmark = pytest.mark.fast


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A machine without anything."""
    monkeypatch.setattr(machine, "ROOT", tmp_path / "root")
    return tmp_path / "root"


@pytest.mark.parametrize("generation", fakes.CHIPS)
class TestGenerations:
    def test_by_the_pci_bus(self, root, generation):
        fakes.add_chips(root, generation)
        assert machine.look({}).generation == generation

    def test_by_the_environment(self, root, generation):
        found = machine.look({"TPU_ACCELERATOR_TYPE": fakes.CHIPS[generation][2]})
        assert found.generation == generation

    @pytest.mark.parametrize("line", ["ACCELERATOR_TYPE: '{}'", 'ACCELERATOR_TYPE="{}"'])
    def test_by_the_file_of_the_vm(self, root, generation, line):
        text = f"ALT: 'false'\n{line.format(fakes.CHIPS[generation][2])}\nWORKER_ID: '2'\n"
        fakes.write(root / "home/tpu-runtime/tpu-env", text)
        found = machine.look({})
        assert (found.generation, found.host) == (generation, 2)

    def test_by_the_metadata_server(self, root, generation):
        fakes.add_google_cloud(root)
        attributes = {
            "accelerator-type": fakes.CHIPS[generation][2],
            "agent-worker-number": "1",
        }
        with fakes.metadata_server(attributes) as (host, asked):
            found = machine.look({"GCE_METADATA_HOST": host})
        assert (found.generation, found.host) == (generation, 1)
        assert found.is_google_cloud
        assert len(asked) == 2


class TestNames:
    @pytest.mark.parametrize(
        ("kind", "generation"),
        [
            ("v5litepod-256", "v5e"),
            ("v5e-8", "v5e"),
            ("tpu-v5-lite-podslice", "v5e"),
            ("tpu-v5-lite-device", "v5e"),
            ("tpu-v5p-slice", "v5p"),
            ("tpu-v4-podslice", "v4"),
            ("tpu-v6e-slice", "v6e"),
            ("v6e", "v6e"),
        ],
    )
    def test_of_slices(self, root, kind, generation):
        assert machine.look({"TPU_ACCELERATOR_TYPE": kind}).generation == generation

    @pytest.mark.parametrize("kind", ["a100", "v5", "v9x-8", "8"])
    def test_that_is_unknown(self, root, kind):
        with pytest.raises(ValueError, match=f"{kind}.*TPU_ACCELERATOR_TYPE to one of v2, v3"):
            machine.look({"TPU_ACCELERATOR_TYPE": kind})


class TestOrder:
    def test_what_the_user_says_is_believed_first(self, root):
        fakes.add_chips(root, "v4")
        fakes.write(root / "home/tpu-runtime/tpu-env", "ACCELERATOR_TYPE: v5p-8\nWORKER_ID: '3'")
        assert machine.look({}).generation == "v5p"
        environ = {"TPU_ACCELERATOR_TYPE": "v6e-8", "TPU_WORKER_ID": "1"}
        assert (machine.look(environ).generation, machine.look(environ).host) == ("v6e", 1)

    def test_the_metadata_server_is_asked_on_google_cloud_only(self, root):
        fakes.write(root / "sys/class/dmi/id/product_name", "Standard PC (Q35 + ICH9, 2009)")
        with fakes.metadata_server({"accelerator-type": "v4-8"}) as (host, asked):
            found = machine.look({"GCE_METADATA_HOST": host})
        assert found == machine.Machine(None, 0, found.libtpu, False)
        assert asked == []

    def test_a_metadata_server_that_does_not_answer(self, root, monkeypatch):
        monkeypatch.setattr(machine, "_METADATA_SECONDS", 0.2)
        fakes.add_google_cloud(root)
        with fakes.metadata_server({"accelerator-type": "v4-8"}, 60.0) as (host, _):
            assert machine.look({"GCE_METADATA_HOST": host}).generation is None

    def test_other_devices_of_the_vendor_are_no_tpu(self, root):
        fakes.add_pci_device(root, 4, "0x1ae0", "0x0042")
        fakes.add_pci_device(root, 5, "0x10de", "0x0063")
        assert machine.look({}).generation is None

    def test_a_host_without_a_number(self, root):
        with pytest.raises(ValueError, match=r"TPU_WORKER_ID.*'first'"):
            machine.look({"TPU_WORKER_ID": "first"})


class TestLibrary:
    def test_of_the_package(self, root, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        path = fakes.add_libtpu(tmp_path)
        fakes.write(root / "lib/libtpu.so", "")
        assert machine.look({}).libtpu == path

    def test_of_the_vm(self, root, monkeypatch):
        monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
        assert machine.look({}).libtpu is None
        fakes.write(root / "lib/libtpu.so", "")
        assert machine.look({}).libtpu == str(root / "lib/libtpu.so")

    def test_of_the_user(self, root):
        assert machine.look({"TPU_LIBRARY_PATH": "/own/libtpu.so"}).libtpu == "/own/libtpu.so"


@pytest.mark.parametrize(
    ("has_libtpu", "is_google_cloud", "skipped"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
def test_where_no_metadata_server_is_waited_for(
    root, tmp_path, monkeypatch, has_libtpu, is_google_cloud, skipped
):
    if has_libtpu:
        monkeypatch.syspath_prepend(tmp_path)
        fakes.add_libtpu(tmp_path)
    else:
        monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    if is_google_cloud:
        fakes.add_google_cloud(root)
    environ = {}
    machine.skip_metadata_server(environ)
    assert environ == ({"TPU_SKIP_MDS_QUERY": "1"} if skipped else {})


@pytest.mark.parametrize("device", ["accel0", "vfio/0"])
def test_who_has_the_chips(root, device):
    own, other = root / f"proc/{os.getpid()}/fd", root / "proc/4711/fd"
    for folder in (own, other, root / "proc/4712/fd"):
        folder.mkdir(parents=True)
    (own / "7").symlink_to(f"/dev/{device}")
    (root / "proc/4712/fd/3").symlink_to("/dev/null")
    assert machine.holder_of_chips() is None
    (other / "9").symlink_to(f"/dev/{device}")
    assert machine.holder_of_chips() == 4711
