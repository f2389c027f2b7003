"""Files: whole or not at all, and one kind of error wherever they are."""

import os
import threading
import uuid

import pytest

from nngp_tf.runs import files

pytestmark = pytest.mark.fast


@pytest.fixture(params=["plain", "file://", "ram://"])
def directory(request, tmp_path):
    path = {
        "plain": str(tmp_path / "new"),
        "file://": f"file://{tmp_path}/new/",
        "ram://": f"ram://nngp_tf_tests/{uuid.uuid4()}",
    }[request.param]
    files.make_directory(path)
    files.make_directory(path)
    return path


def test_files_are_written_read_listed_and_removed(directory):
    path = files.join(directory, "a.txt")
    assert not files.exists(path)
    for content in (b"long\n" * 9, b"", b"\x00\xff"):
        files.write(path, content, "me")
        assert files.read(path) == content
        assert files.stamp(path)[0] == len(content)
    files.write(files.join(directory, "b.txt"), b"", "me")
    assert files.names(directory) == ["a.txt", "b.txt"]
    # Only elsewhere is the file written again.
    assert files.touch(path, b"new", "me") == directory.startswith("ram://")
    assert files.exists(path)
    files.remove(path)
    files.remove(path)
    assert files.names(directory) == ["b.txt"]


def test_a_line_is_read_from_where_it_begins(directory):
    path = files.join(directory, "lines")
    files.write(path, b"one\n\nthree\nno end", "me")
    lines = {start: files.read_line(path, start) for start in (0, 4, 5, 11, 17)}
    assert lines == {0: b"one\n", 4: b"\n", 5: b"three\n", 11: b"no end", 17: b""}
    with pytest.raises(FileNotFoundError):
        files.read_line(files.join(directory, "missing"), 0)


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../a", "a/../../b", "/etc/passwd", "a/b", "gs://bucket/a", "a\0"]
)
def test_names_do_not_lead_out_of_a_directory(directory, name):
    with pytest.raises(ValueError, match=r"is no name of a file within .*: files are read"):
        files.join(directory, name)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("runs/a", "{here}/runs/a"),
        ("/runs/a/", "/runs/a"),
        ("file://runs/a", "file://{here}/runs/a"),
        ("gs://bucket/runs/a", "gs://bucket/runs/a"),
    ],
)
def test_absolute_paths(path, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert files.absolute(path) == expected.format(here=tmp_path)


def test_what_is_not_there(directory):
    absent = files.join(directory, "absent")
    assert files.names(absent) == []
    for function in (files.read, files.stamp):
        with pytest.raises(FileNotFoundError) as caught:
            function(absent)
        assert caught.value.strerror


def test_a_file_is_created_once(directory):
    path = files.join(directory, "a")
    assert files.create(path, b"first", "me")
    assert not files.create(path, b"second", "you")
    assert files.read(path) == b"first"
    assert files.names(directory) == ["a"]


def test_of_threads_that_create_a_file_one_does(tmp_path):
    created, barrier = [], threading.Barrier(8)

    def create(index):
        barrier.wait()
        if files.create(str(tmp_path / "a"), str(index).encode(), str(index)):
            created.append(index)

    threads = [threading.Thread(target=create, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(i) for i in created] == [(tmp_path / "a").read_text()]
    assert files.names(str(tmp_path)) == ["a"]


def test_links_may_be_unknown_to_a_file_system(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", unknown)
    assert files.create(str(tmp_path / "a"), b"first", "me")
    assert not files.create(str(tmp_path / "a"), b"second", "me")
    assert (tmp_path / "a").read_bytes() == b"first"


def test_what_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = str(tmp_path / "a")
    files.write(path, b"first", "me")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write(path, b"second", "me")
    assert files.names(str(tmp_path)) == ["a"]
    assert files.read(path) == b"first"


def test_directories_may_not_be_synchronised(tmp_path, monkeypatch):
    fsync = os.fsync

    def only_files(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    files.write(str(tmp_path / "a"), b"first", "me")
    assert files.read(str(tmp_path / "a")) == b"first"


def test_errors_of_other_file_systems_are_errors_of_the_operating_system():
    for function in (files.exists, files.make_directory, files.read, files.remove):
        with pytest.raises(OSError, match="nowhere") as caught:
            function("nowhere://a/b")
        assert "nowhere" in caught.value.strerror


def test_no_file_stays_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for index in range(20):
        files.write(str(tmp_path / "a"), b"x", "me")
        files.create(str(tmp_path / str(index)), b"x", "me")
        files.read(str(tmp_path / "a"))
    assert len(os.listdir("/proc/self/fd")) == before
