"""What XLA compiles is kept for the processes to come."""

import os
import pathlib
import subprocess
import sys

import pytest

from nngp_tf.devices import compile_cache
from tests.launchers import launching

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from nngp_tf.devices import compile_cache
compile_cache.prepare(sys.argv[1])
import tensorflow as tf
f = tf.function(lambda x: tf.reduce_sum(tf.tanh(x @ x)), jit_compile=True)
print(f(tf.ones([16, 16])).numpy())
"""


def run(directory):
    """Run the program; return what it printed and logged."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory)],
        cwd=ROOT,
        env=os.environ
        | {
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "0",
            "TF_CPP_VMODULE": "device_executable_persistor=1",
        },
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.slow
def test_a_second_process_compiles_nothing(tmp_path):
    directory = tmp_path / "a new one"
    first = run(directory)
    (program,) = directory.iterdir()
    written = program.stat().st_mtime_ns
    assert "Loading cached entry" not in first.stderr
    second = run(directory)
    assert second.stdout == first.stdout
    assert "Loading cached entry" in second.stderr
    assert list(directory.iterdir()) == [program]
    assert program.stat().st_mtime_ns == written


@pytest.mark.fast
class TestPrepare:
    def test_none_changes_nothing(self):
        environ = {}
        compile_cache.prepare(None, environ)
        assert not environ

    def test_the_users_flags_stay(self, tmp_path):
        environ = {"TF_XLA_FLAGS": "--tf_xla_clustering_debug"}
        compile_cache.prepare(str(tmp_path), environ)
        option = f"--tf_xla_persistent_cache_directory='{tmp_path}'"
        assert environ["TF_XLA_FLAGS"] == f"--tf_xla_clustering_debug {option}"
        compile_cache.prepare(str(tmp_path), environ)
        assert environ["TF_XLA_FLAGS"].count(option) == 1

    def test_a_relative_path_holds_for_workers_elsewhere(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        environ = {}
        compile_cache.prepare("programs", environ)
        assert environ["TF_XLA_FLAGS"].endswith(f"='{tmp_path}/programs'")
        assert (tmp_path / "programs").is_dir()

    def test_an_address_is_left_to_tensorflow(self):
        environ = {}
        compile_cache.prepare("gs://bucket/programs", environ)
        assert environ["TF_XLA_FLAGS"].endswith("='gs://bucket/programs'")

    def test_a_file_is_refused(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(
            ValueError, match=r"cannot be kept in '.*file/programs'.*name a directory"
        ):
            compile_cache.prepare(str(tmp_path / "file" / "programs"), {})


@pytest.mark.slow
def test_a_launcher_refuses_it_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    process = launching.start("nngp_inference", f"--compile_cache={tmp_path}/file")
    launched = launching.finish(process)
    launching.assert_refused("nngp_inference", launched, "compiled programs cannot be kept in ")
