"""Loading by name: records through their columns, CSV, and what is refused."""

import os

import numpy as np
import pytest

from nngp_tf.data import benchmark_table
from tests import record_files

pytestmark = pytest.mark.fast

SAMPLE = "nasbench101_sample30_only108.tfrecord"
FRAMES = [record_files.framed(payload) for payload in record_files.payloads()]
WHOLE = b"".join(FRAMES)
CSV = (
    "module_hash,adjacency,operations,trainable_parameters,test_accuracy_108\n"
    f'{record_files.CELLS[0].module_hash},010001000,"input,maxpool3x3,output",882570,0.75\n'
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.tfrecord"
    path.write_bytes(WHOLE)
    return path


def _flipped(position):
    return WHOLE[:position] + bytes([WHOLE[position] ^ 1]) + WHOLE[position + 1 :]


def _replace(path, content):
    """Change a file that keeps its size and time of modification."""
    status = os.stat(path)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_records(path):
    table = benchmark_table.load(path)
    assert list(table) == list(record_files.CELLS)
    assert table.source == str(path)
    runs = [record_files.values(1, 108, repeat)[1][3] for repeat in range(3)]
    assert table[record_files.CELLS[1]].accuracies["test", 108] == tuple(runs)
    assert table.truth[1] == np.mean(runs)


def test_later_loads_read_the_cache(path):
    first = benchmark_table.load(path)
    assert (path.parent / "file.tfrecord.npz").exists()
    # Hence a file that only seems unchanged is not read again.
    _replace(path, bytes(len(WHOLE)))
    second = benchmark_table.load(path)
    assert [second[cell] for cell in second] == [first[cell] for cell in first]


def test_a_cache_in_another_directory(path, tmp_path):
    cache_dir = tmp_path / "a" / "cache"
    benchmark_table.load(path, cache_dir=cache_dir)
    assert os.listdir(cache_dir) == ["file.tfrecord.npz"]
    assert sorted(os.listdir(tmp_path)) == ["a", "file.tfrecord"]


def test_a_directory_that_cannot_be_written_is_told(path, caplog):
    table = benchmark_table.load(path, cache_dir=path)  # A file, not a directory.
    assert len(table) == 4
    assert "cannot be written" in caplog.text
    assert "name a cache_dir" in caplog.text


def test_stale_and_damaged_caches_are_made_anew(path, caplog):
    benchmark_table.load(path)
    fewer = b"".join(frame for index, frame in enumerate(FRAMES) if index % 4 != 3)
    path.write_bytes(fewer)
    with caplog.at_level("INFO", logger="absl"):
        assert len(benchmark_table.load(path)) == 3
    assert "file.tfrecord has changed since" in caplog.text
    caplog.clear()
    cache = path.parent / "file.tfrecord.npz"
    cache.write_bytes(cache.read_bytes()[:-1])
    assert len(benchmark_table.load(path)) == 3
    assert "file.tfrecord.npz cannot be read" in caplog.text
    caplog.clear()
    assert len(benchmark_table.load(path)) == 3
    assert caplog.text == ""


def test_corrupt_files_are_refused_unless_told_otherwise(path, caplog):
    path.write_bytes(_flipped(len(FRAMES[0]) + 40))
    problem = rf"has 1 corrupt record \(record 1 at byte {len(FRAMES[0])}: .*\); download it again"
    with pytest.raises(ValueError, match=f"file.tfrecord {problem}"):
        benchmark_table.load(path)
    assert os.listdir(path.parent) == ["file.tfrecord"]
    for _ in range(2):  # The second time from the cache.
        caplog.clear()
        table = benchmark_table.load(path, on_corrupt="skip")
        assert set(table) == set(record_files.CELLS)
        assert "1 corrupt record (record 1 at byte" in caplog.text
        assert "of 4 architectures 1 have 2 records of 4 epochs where others have 3" in caplog.text
    # The cache of a corrupt file does not make it sound.
    with pytest.raises(ValueError, match=problem):
        benchmark_table.load(path)


@pytest.mark.parametrize("name", ["nasbench_full.tfrecord", "nasbench_only108.tfrecord"])
def test_published_digests(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(WHOLE)
    with pytest.raises(ValueError, match=f"{name} is not the published file: its SHA-256 is"):
        benchmark_table.load(path, check_sha256=True)
    assert os.listdir(tmp_path) == [name]
    # Nor does a cache that is there already spare the check.
    benchmark_table.load(path)
    with pytest.raises(ValueError, match=f"{name} is not the published file"):
        benchmark_table.load(path, check_sha256=True)


def test_csv(tmp_path):
    (tmp_path / "one.csv").write_text(CSV)
    table = benchmark_table.load(tmp_path / "one.csv")
    assert list(table) == [record_files.CELLS[0]]
    assert os.listdir(tmp_path) == ["one.csv"]
    with pytest.raises(ValueError, match=r"no SHA-256 is published for a file named one\.csv"):
        benchmark_table.load(tmp_path / "one.csv", check_sha256=True)


def test_other_files_are_refused(tmp_path, path):
    with pytest.raises(ValueError, match=r"must end in \.csv, \.csv\.gz or \.tfrecord"):
        benchmark_table.load(tmp_path / "table.parquet")
    for name in ("none.csv", "none.csv.gz", "none.tfrecord"):
        with pytest.raises(ValueError, match=f"there is no file .*{name}"):
            benchmark_table.load(tmp_path / name)
    with pytest.raises(ValueError, match="on_corrupt must be 'error' or 'skip', got 'ignore'"):
        benchmark_table.load(path, on_corrupt="ignore")


def test_shared_file_of_records(shared_data, tmp_path):
    first, second = (
        benchmark_table.load(shared_data / SAMPLE, cache_dir=tmp_path) for _ in range(2)
    )
    assert len(first) == 30
    assert os.listdir(tmp_path) == [SAMPLE + ".npz"]
    assert [second[cell] for cell in second] == [first[cell] for cell in first]
