"""Columns of a file: the same table, and never one of another or a damaged file."""

import json
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngp_tf.data import benchmark_cache, nasbench_records
from nngp_tf.data.benchmark_cache import Source
from nngp_tf.data.nasbench_records import Corruption
from nngp_tf.data.tfrecords import Fault
from tests import record_files

pytestmark = pytest.mark.fast

SOURCE = Source(size=12, modified=34)
CORRUPTION = Corruption(3, (Fault(1, 20, "torn"), Fault(7, 900, "worn")), num_left_out=2)
WRITER = """
import signal, sys
from nngp_tf.data import benchmark_cache, nasbench_records
source, path, on_limit = sys.argv[1:]
signal.signal(signal.SIGXFSZ, getattr(signal, on_limit))
table = nasbench_records.read(source, "error")
benchmark_cache.save(path, benchmark_cache.Source.of(source), *table)
"""


@pytest.fixture(scope="module")
def source_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "file.tfrecord"
    path.write_bytes(b"".join(map(record_files.framed, record_files.payloads())))
    return str(path)


@pytest.fixture(scope="module")
def table(source_path):
    return nasbench_records.read(source_path, "error")[0]


@pytest.fixture(scope="module")
def content(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("columns") / "columns"
    benchmark_cache.save(str(path), SOURCE, table, CORRUPTION)
    return path.read_bytes()


def _check_same(found, expected):
    assert found.source == expected.source
    assert found.module_hashes == expected.module_hashes
    for name in ("accuracies", "training_seconds", "halfway_accuracies", "halfway_seconds"):
        columns, others = getattr(found, name), getattr(expected, name)
        assert list(columns) == list(others)
        for key, column in columns.items():
            assert column.dtype == others[key].dtype
            np.testing.assert_array_equal(column, others[key])
    assert [found[cell] for cell in found] == [expected[cell] for cell in expected]


def test_columns_of_a_table_are_the_table(tmp_path, table):
    path = str(tmp_path / "new" / "columns")
    benchmark_cache.save(path, SOURCE, table, CORRUPTION)
    assert os.listdir(tmp_path / "new") == ["columns"]
    found, corruption = benchmark_cache.load(path, SOURCE, table.source)
    _check_same(found, table)
    assert corruption == CORRUPTION
    with pytest.raises(ValueError, match="read-only"):
        found.accuracies["test", 108][0] = 1


def test_columns_lie_beside_the_file_or_in_a_directory():
    assert benchmark_cache.path_for("a/b.tfrecord", None) == "a/b.tfrecord.columns"
    assert benchmark_cache.path_for("b.tfrecord", None) == "b.tfrecord.columns"
    assert benchmark_cache.path_for("a/b.tfrecord", "c") == "c/b.tfrecord.columns"


def test_absent_columns(tmp_path, caplog):
    assert benchmark_cache.load(str(tmp_path / "none"), SOURCE, "x") is None
    assert caplog.text == ""
    assert benchmark_cache.load(str(tmp_path), SOURCE, "x") is None
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize("other", [Source(13, 34), Source(12, 35)])
def test_columns_of_a_file_that_has_changed(tmp_path, content, caplog, other):
    path = tmp_path / "columns"
    path.write_bytes(content)
    with caplog.at_level("INFO", logger="absl"):
        assert benchmark_cache.load(str(path), other, "the source") is None
    assert f"the source has changed since {path} was made" in caplog.text


def test_columns_of_another_version(tmp_path, table, monkeypatch, caplog):
    path = str(tmp_path / "columns")
    monkeypatch.setattr(benchmark_cache, "_FORMAT", "another")
    benchmark_cache.save(path, SOURCE, table, CORRUPTION)
    monkeypatch.undo()
    with caplog.at_level("INFO", logger="absl"):
        assert benchmark_cache.load(path, SOURCE, "x") is None
    assert "is of another version" in caplog.text


@settings(deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255), cut=st.booleans())
def test_damaged_columns(tmp_path_factory, content, place, change, cut):
    path = tmp_path_factory.getbasetemp() / "damaged"
    damaged = bytearray(content)
    position = int(place * len(content))
    if cut:
        del damaged[position:]
    else:
        damaged[position] ^= change
    path.write_bytes(damaged)
    assert benchmark_cache.load(str(path), SOURCE, "x") is None


def test_columns_are_aligned(content):
    header = json.loads(content.partition(b"\n")[0])
    sizes = [
        np.dtype(dtype).itemsize * int(np.prod(shape)) for _, dtype, shape in header["columns"]
    ]
    line = content.index(b"\n") + 1
    padded = sum(-(-size // 64) * 64 for size in (line, *sizes))
    assert len(content) == padded + 32


def _save_in_a_process(source, path, on_limit):
    """Save in a process that cannot write over a kilobyte to a file: the disk is full."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    command = [sys.executable, "-c", WRITER, source, str(path), on_limit]
    return subprocess.run(command, preexec_fn=limit, capture_output=True, text=True)


def test_a_full_disk_is_told(tmp_path, source_path):
    done = _save_in_a_process(source_path, tmp_path / "columns", "SIG_IGN")
    assert done.returncode == 0
    assert "columns cannot be written ([Errno 27] File too large), so that" in done.stderr
    assert "name a cache_dir" in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_process_killed_while_writing_leaves_what_was_there(tmp_path, source_path, table):
    path = tmp_path / "columns"
    done = _save_in_a_process(source_path, path, "SIG_DFL")
    assert done.returncode == -signal.SIGXFSZ
    (partial,) = os.listdir(tmp_path)
    assert partial.endswith(".partial")
    source = Source.of(source_path)
    assert benchmark_cache.load(str(path), source, source_path) is None
    benchmark_cache.save(str(path), source, table, Corruption())
    before = path.read_bytes()
    assert _save_in_a_process(source_path, path, "SIG_DFL").returncode == -signal.SIGXFSZ
    assert path.read_bytes() == before
    _check_same(benchmark_cache.load(str(path), source, source_path)[0], table)


def test_state_of_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    os.utime(path, ns=(1, 1_000_000_007))
    assert Source.of(str(path)) == Source(3, 1_000_000_007)
    with pytest.raises(ValueError, match="there is no benchmark file at"):
        Source.of(str(tmp_path / "none"))
