"""What is set before TensorFlow is imported, for each chip, and what is refused there."""

import fcntl
import json
import os
import pathlib
import subprocess
import sys

import pytest

from nngp_tf.devices import machine, tpu_runtime
from tests.devices import fakes

pytestmark = pytest.mark.fast

ROOT = pathlib.Path(__file__).resolve().parents[2]
PJRT = {
    "PJRT_DEVICE",
    "NEXT_PLUGGABLE_DEVICE_USE_C_API",
    "TF_PLUGGABLE_DEVICE_LIBRARY_PATH",
    "TF_XLA_FLAGS",
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A machine without chips, with a library for them."""
    monkeypatch.setattr(machine, "ROOT", tmp_path / "root")
    monkeypatch.syspath_prepend(tmp_path)
    fakes.add_libtpu(tmp_path)
    return tmp_path / "root"


@pytest.fixture
def v5e(root):
    """One with four chips of v5e."""
    fakes.add_chips(root, "v5e")
    return root


class TestVariables:
    @pytest.mark.parametrize("generation", fakes.CHIPS)
    def test_of_each_chip(self, root, tmp_path, generation):
        fakes.add_chips(root, generation)
        environ = {}
        tpu_runtime.prepare("local", environ=environ)
        library = str(tmp_path / "libtpu/libtpu.so")
        assert environ["TPU_LIBRARY_PATH"] == library
        assert "TPU_LOAD_LIBRARY" not in environ
        if generation in ("v2", "v3", "v4"):
            assert not PJRT & set(environ)
        else:
            assert environ["TF_PLUGGABLE_DEVICE_LIBRARY_PATH"] == library
            assert environ["PJRT_DEVICE"] == "TPU"
            assert environ["NEXT_PLUGGABLE_DEVICE_USE_C_API"] == "true"
            assert environ["TF_XLA_FLAGS"].split() == [
                "--tf_mlir_enable_mlir_bridge=true",
                "--tf_mlir_enable_convert_control_to_data_outputs_pass=true",
                "--tf_mlir_enable_merge_control_flow_pass=true",
            ]

    def test_the_metadata_server_is_left_to_google_cloud(self, v5e):
        environ = {}
        tpu_runtime.prepare("local", environ=environ)
        assert environ["TPU_SKIP_MDS_QUERY"] == "1"
        fakes.add_google_cloud(v5e)
        environ = {"TPU_WORKER_ID": "0"}
        tpu_runtime.prepare("local", environ=environ)
        assert "TPU_SKIP_MDS_QUERY" not in environ

    def test_the_users_own_stay(self, v5e):
        own = {
            "PJRT_DEVICE": "OTHER",
            "TPU_SKIP_MDS_QUERY": "0",
            "TF_XLA_FLAGS": "--tf_mlir_enable_mlir_bridge=false",
        }
        environ = dict(own)
        tpu_runtime.prepare("local", environ=environ)
        assert {name: environ[name] for name in own if name != "TF_XLA_FLAGS"} == {
            "PJRT_DEVICE": "OTHER",
            "TPU_SKIP_MDS_QUERY": "0",
        }
        # Of two values of a flag, the last one counts.
        assert environ["TF_XLA_FLAGS"].endswith(own["TF_XLA_FLAGS"])
        again = dict(environ)
        tpu_runtime.prepare("local", environ=again)
        assert again == environ

    def test_without_a_tpu_the_chips_are_left_alone(self, v5e):
        environ = {}
        tpu_runtime.prepare(None, environ=environ)
        assert environ == {"TPU_LOAD_LIBRARY": "0"}


class TestAddress:
    @pytest.mark.parametrize(
        ("arguments", "asked"),
        [
            (["--tpu=local"], (None, "local")),
            (["--run_dir", "x", "--tpu", "name", "--noresume"], (None, "name")),
            (["-strategy=tpu", "--gin_param=a.tpu = 3"], ("tpu", None)),
            (["--strategy=tpu", "--tpu=grpc://host:1"], ("tpu", "grpc://host:1")),
            (["--run_dir=x", "--", "--tpu=local"], (None, None)),
            (["--tpu"], (None, None)),
            (["--tpu_topology=v5e:2x2"], (None, None)),
        ],
    )
    def test_of_a_command_line(self, arguments, asked):
        assert tpu_runtime.asked(arguments, "strategy", "tpu") == asked

    def test_of_a_file_of_flags(self, tmp_path):
        (tmp_path / "flags").write_text("--tpu=local\n--run_dir=x\n")
        arguments = [f"--flagfile={tmp_path}/flags"]
        assert tpu_runtime.asked(arguments, "strategy", "tpu") == (None, "local")

    def test_that_is_meant(self, monkeypatch):
        for name in ("TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS"):
            monkeypatch.delenv(name, raising=False)
        assert tpu_runtime.address(None, None) is None
        assert tpu_runtime.address("cpu", None) is None
        assert tpu_runtime.address(None, "name") == "name"
        assert tpu_runtime.address("tpu", None) == "local"
        monkeypatch.setenv("TPU_NAME", "other")
        assert tpu_runtime.address("tpu", None) == "other"
        assert tpu_runtime.address("tpu", "local") == "local"
        # The variable alone, which a TPU VM may set, asks for nothing.
        assert tpu_runtime.address(None, None) is None


class TestRefusals:
    def refused(self, message, environ=None, **options):
        environ = {} if environ is None else environ
        with pytest.raises(ValueError, match=message) as error:
            tpu_runtime.prepare("local", environ=environ, **options)
        assert "\n" not in str(error.value)
        assert not PJRT & (set(environ) - {"NEXT_PLUGGABLE_DEVICE_USE_C_API"})

    def test_no_chips(self, root):
        self.refused("no TPU.*TPU_ACCELERATOR_TYPE")

    def test_no_library(self, v5e, monkeypatch):
        monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
        self.refused(r"no libtpu.so.*v5e.*\[tpu\]")

    def test_a_library_that_is_not_there(self, v5e):
        self.refused("/absent.so", {"TPU_LIBRARY_PATH": "/absent.so"})

    @pytest.mark.parametrize(
        ("versions", "message"),
        [
            ({"tensorflow-tpu": "2.20.0", "libtpu": "0.0.52"}, r"2\.20\.0.*0\.0\.52.*0\.0\.31"),
            ({"tensorflow-tpu": "2.20.0", "libtpu": "0.0.31"}, None),
            ({"tensorflow-tpu": "2.20.0", "libtpu": "0.0.9"}, None),
            ({"tensorflow-tpu": "2.19.1", "libtpu": "0.0.10"}, None),
        ],
    )
    def test_a_library_at_which_tensorflow_aborts(self, v5e, monkeypatch, versions, message):
        monkeypatch.setattr(tpu_runtime.importlib.metadata, "version", versions.__getitem__)
        if message:
            self.refused(message)
        else:
            tpu_runtime.prepare("local", environ={})

    @pytest.mark.parametrize("generation", ["v2", "v3", "v4"])
    def test_the_newer_runtime_on_an_older_chip(self, root, generation):
        fakes.add_chips(root, generation)
        name = "NEXT_PLUGGABLE_DEVICE_USE_C_API"
        self.refused(f"{name}.*{generation}.*unset it", {name: "true"})

    def test_chips_that_another_process_has_open(self, v5e):
        (v5e / "proc/4711/fd").mkdir(parents=True)
        (v5e / "proc/4711/fd/9").symlink_to("/dev/vfio/0")
        self.refused("in use by process 4711")
        tpu_runtime.prepare("local", environ={"TPU_VISIBLE_CHIPS": "0"})

    def test_chips_that_another_process_has_locked(self, v5e):
        fakes.write(v5e / "tmp/libtpu_lockfile", "")
        # A lock left behind by a process that has ended is none.
        tpu_runtime.prepare("local", environ={})
        code = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); "
        code += "print(flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", code, str(v5e / "tmp/libtpu_lockfile")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other:
            other.stdout.readline()
            self.refused("in use by another process")
            other.stdin.close()

    def test_the_lock_is_left_to_libtpu(self, v5e):
        path = v5e / "tmp/libtpu_lockfile"
        fakes.write(path, "")
        tpu_runtime.prepare("local", environ={})
        with open(path, "r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @pytest.mark.parametrize(
        ("environ", "message"),
        [({}, "before TensorFlow is imported"), ({"TPU_LOAD_LIBRARY": "0"}, "TPU_LOAD_LIBRARY=0")],
    )
    def test_too_late(self, v5e, environ, message):
        with pytest.raises(ValueError, match=message):
            tpu_runtime.check_local(machine.look({}), environ, imported=True)

    def test_a_precision_that_no_tpu_has(self):
        with pytest.raises(ValueError, match="float64"):
            tpu_runtime.check_compute_dtype("float64")
        for dtype in (None, "float32", "bfloat16"):
            tpu_runtime.check_compute_dtype(dtype)

    def test_a_name_without_the_client(self, monkeypatch):
        monkeypatch.setattr(tpu_runtime.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ValueError, match=r"'my-tpu'.*pip install cloud-tpu-client"):
            tpu_runtime.prepare("my-tpu", environ={})

    def test_a_name_off_google_cloud(self, root, monkeypatch):
        monkeypatch.setattr(tpu_runtime.importlib.util, "find_spec", lambda name: name)
        for name in ("GCE_METADATA_HOST", "GCE_METADATA_IP"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(ValueError, match=r"'my-tpu'.*Google Cloud.*grpc://"):
            tpu_runtime.prepare("my-tpu", environ={})
        fakes.add_google_cloud(root)
        environ = {}
        tpu_runtime.prepare("my-tpu", environ=environ)
        assert environ == {"TPU_LOAD_LIBRARY": "0"}


@pytest.mark.parametrize(
    ("tpu", "host", "drives"),
    [("name", 0, True), ("name", 3, False), ("local", 3, True), (None, 3, True)],
)
def test_one_host_drives_a_slice(tpu, host, drives):
    found = machine.Machine("v4", host, None, True)
    assert tpu_runtime.is_driver(tpu, found) is drives


class TestLaunchers:
    """As the first import of a launcher, before anything imports TensorFlow."""

    def started(self, tmp_path, program, *arguments, **environment):
        code = (
            "import json, os, pathlib, sys\n"
            "from nngp_tf.devices import machine\n"
            f"machine.ROOT = pathlib.Path({str(tmp_path / 'root')!r})\n"
            f"sys.argv[0] = {program!r}\n"
            "import launchers\n"
            "assert 'tensorflow' not in sys.modules\n"
            "print(json.dumps(dict(os.environ)))\n"
        )
        left_out = ("TPU", "TF_", "PJRT", "NEXT_")
        kept = {k: value for k, value in os.environ.items() if not k.startswith(left_out)}
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=kept | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"} | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @pytest.mark.parametrize("generation", fakes.CHIPS)
    def test_no_variable_is_set_by_hand(self, tmp_path, generation):
        fakes.add_libtpu(tmp_path)
        fakes.add_chips(tmp_path / "root", generation)
        finished = self.started(tmp_path, "nngp-inference", "--run_dir=x", "--strategy=tpu")
        assert finished.returncode == 0, finished.stderr
        environ = json.loads(finished.stdout)
        pjrt = generation in ("v5e", "v5p", "v6e")
        assert PJRT & set(environ) == (PJRT if pjrt else set())

    @pytest.mark.parametrize(
        ("program", "arguments"),
        [("nngp-status", ["--run_dir=x"]), ("nngp-sweep", ["--tpu=local"])],
    )
    def test_others_leave_the_chips_alone(self, tmp_path, program, arguments):
        fakes.add_libtpu(tmp_path)
        fakes.add_chips(tmp_path / "root", "v6e")
        finished = self.started(tmp_path, program, *arguments)
        environ = json.loads(finished.stdout)
        assert environ["TPU_LOAD_LIBRARY"] == "0"
        assert not PJRT & set(environ)

    def test_a_refusal_comes_before_tensorflow(self, tmp_path):
        finished = self.started(tmp_path, "bin/nngp-inference", "--tpu=local")
        assert finished.returncode == 2
        (line,) = finished.stderr.splitlines()
        assert line.startswith("nngp-inference: this machine has no TPU")

    def test_the_other_hosts_of_a_slice(self, tmp_path):
        fakes.add_chips(tmp_path / "root", "v4")
        finished = self.started(tmp_path, "nngp-inference", "--tpu=my-slice", TPU_WORKER_ID="2")
        assert finished.returncode == 0
        assert finished.stdout == "left my-slice to the first host of the slice\n"
