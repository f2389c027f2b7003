"""The .npz file of a record file: its columns, and never those of another or a damaged file."""

import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngp_tf.data import benchmark_cache
from nngp_tf.data.nasbench_records import Corruption, Fault

pytestmark = pytest.mark.fast

STATE = [12, 34]
SOURCE = "file.tfrecord"
COLUMNS = {
    "module_hashes": np.arange(64, dtype=np.uint8).reshape(4, 16),
    "adjacencies": np.array(["0100", "010001000"]),
    "runs_108": np.linspace(0, 1, 96, dtype=np.float32).reshape(4, 3, 8),
}
CORRUPTION = Corruption(3, [Fault(1, 20, "torn"), Fault(7, 900, "worn")])
WRITER = """
import signal, sys
import numpy as np
from nngp_tf.data import benchmark_cache
from nngp_tf.data.nasbench_records import Corruption
path, on_limit = sys.argv[1:]
signal.signal(signal.SIGXFSZ, getattr(signal, on_limit))
benchmark_cache.save(path, "x", [12, 34], {"a": np.zeros(10000)}, Corruption())
"""


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("cache") / "cache.npz"
    benchmark_cache.save(str(path), SOURCE, STATE, COLUMNS, CORRUPTION)
    return path.read_bytes()


def _load(path, state=STATE):
    return benchmark_cache.load(str(path), SOURCE, state)


def _check_same(found):
    columns, corruption = found
    assert corruption == CORRUPTION
    assert list(columns) == list(COLUMNS)
    for name, column in COLUMNS.items():
        assert columns[name].dtype == column.dtype
        np.testing.assert_array_equal(columns[name], column)


def test_what_is_loaded_is_what_was_saved(tmp_path):
    path = tmp_path / "new" / "cache.npz"
    benchmark_cache.save(str(path), SOURCE, STATE, COLUMNS, CORRUPTION)
    assert os.listdir(tmp_path / "new") == ["cache.npz"]
    _check_same(_load(path))


def test_absent_caches(tmp_path, caplog):
    assert _load(tmp_path / "none") is None
    assert caplog.text == ""
    assert _load(tmp_path) is None
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize("state", [[13, 34], [12, 35]])
def test_a_file_that_has_changed(tmp_path, content, caplog, state):
    path = tmp_path / "cache.npz"
    path.write_bytes(content)
    with caplog.at_level("INFO", logger="absl"):
        assert _load(path, state) is None
    assert "file.tfrecord has changed" in caplog.text


@settings(deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255), cut=st.booleans())
def test_damage_never_changes_numbers(tmp_path_factory, content, place, change, cut):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    damaged = bytearray(content)
    position = int(place * len(content))
    if cut:
        del damaged[position:]
    else:
        damaged[position] ^= change
    path.write_bytes(damaged)
    found = _load(path)
    if found is not None:  # A date in the directory of the zip file, say.
        assert not cut
        _check_same(found)


def _save_in_a_process(path, on_limit):
    """Save in a process that cannot write over a kilobyte to a file: the disk is full."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    command = [sys.executable, "-c", WRITER, str(path), on_limit]
    return subprocess.run(command, preexec_fn=limit, capture_output=True, text=True)


def test_a_full_disk_is_told(tmp_path):
    done = _save_in_a_process(tmp_path / "cache.npz", "SIG_IGN")
    assert done.returncode == 0
    assert "cache.npz cannot be written ([Errno 27] File too large), so" in done.stderr
    assert "name a cache_dir" in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_process_killed_while_writing_leaves_what_was_there(tmp_path, content):
    path = tmp_path / "cache.npz"
    path.write_bytes(content)
    assert _save_in_a_process(path, "SIG_DFL").returncode == -signal.SIGXFSZ
    _check_same(_load(path))
