"""Run directories under processes that are killed, compete, and run out of room."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from nngp_tf.runs import table
from tests.runs import writer

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]


def start(path, number, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.runs.writer", str(path), str(number), *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Exit code and stderr of a process."""
    try:
        _, error = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, error


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def lines(path):
    """All rows as any reader of JSON lines has them."""
    files = sorted(pathlib.Path(path).glob("results*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def scores(rows):
    """What does not depend on when a row was computed."""
    return {row["key"]: (row["architecture"], row["status"], row["scan"]) for row in rows}


def assert_whole(path, number):
    """None lost, none twice, all bit for bit, and nothing left behind."""
    rows = lines(path)
    expected = [writer.compute(cell) for cell in writer.cells(number)]
    assert len(rows) == number
    assert scores(rows) == scores(expected)
    read = table.read_table(path)
    read.check()
    assert (len(read.rows), read.duplicates) == (number, 0)
    # Half-written claims may be those of a process that is starting, until they are old.
    names = [p.name for p in pathlib.Path(path).iterdir()]
    left = [n for n in names if n.endswith(".partial") or n.startswith("lock-")]
    assert not [n for n in left if not (n.endswith(".partial") and n.startswith("lock-"))]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB; skips where it cannot be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("file systems can be mounted by a superuser only")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("times", [8, pytest.param(30, marks=pytest.mark.long)])
def test_killed_at_random_moments(tmp_path, times):
    number, rng = 200 * times, random.Random(0)
    for _ in range(times):
        process = start(tmp_path / "run", number)
        assert process.stdout.readline() == "open\n", process.communicate()
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
        assert out == ""
        if (tmp_path / "run" / "run.json").exists():
            # What is there is whole at any time.
            table.read_table(tmp_path / "run").check()
    before = lines(tmp_path / "run")
    assert 0 < len(before) < number
    code, error = finish(start(tmp_path / "run", number))
    assert code == 0, error
    # The lock of the last one that was killed.
    assert "taken over from process" in error
    after = lines(tmp_path / "run")
    assert_whole(tmp_path / "run", number)
    # Rows that were there are left as they are, seconds included.
    kept = {row["key"]: row["seconds"] for row in before}
    assert {row["key"]: row["seconds"] for row in after if row["key"] in kept} == kept


def test_killed_at_every_change_of_a_file(tmp_path):
    # Four rows: a chunk is begun, filled and followed by another.
    code, error = finish(start(tmp_path, 4, "--kill_at_each_change"))
    assert code == 0, error
    runs = list(tmp_path.iterdir())
    # Of each row: open, fsync, replace, and open, fsync for the directory.
    assert len(runs) > 5 * 4
    for path in runs:
        assert_whole(path, 4)


def test_a_second_process_is_refused_and_takes_over_when_the_first_is_killed(tmp_path):
    path = tmp_path / "run"
    first = start(path, 40, "--pause=0.05")
    try:
        assert first.stdout.readline() == "open\n"
        code, error = finish(start(path, 40))
        assert code == 2
        (line,) = error.splitlines()
        assert line.startswith(f"shard 0 of 1 of run directory {path} is being written by process ")
        assert f"process {first.pid} on {os.uname().nodename} since 20" in line
        assert line.endswith("UTC: wait for it to end, or name another run directory")
        wait_for(lambda: len(lines(path)) > 3, first)
        first.send_signal(signal.SIGKILL)
        # A process that has ended and whose parent has not asked yet is no holder.
        code, error = finish(start(path, 40))
    finally:
        first.kill()
        first.communicate()
    assert code == 0, error
    assert f"taken over from process {first.pid} on" in error
    assert "which has ended" in error
    assert_whole(path, 40)


@pytest.mark.parametrize("number_of_processes", [2, 3])
def test_of_processes_that_start_at_once_one_writes(tmp_path, number_of_processes):
    path = tmp_path / "run"
    processes = [start(path, 30, "--pause=0.03") for _ in range(number_of_processes)]
    ended = [finish(process) for process in processes]
    assert sorted(code for code, _ in ended) == [0] + [2] * (number_of_processes - 1)
    assert all("is being written by process" in error for code, error in ended if code)
    assert_whole(path, 30)


def test_three_shards_at_once_one_killed(tmp_path):
    path = tmp_path / "run"
    processes = [start(path, 60, index, 3, "--pause=0.02") for index in range(3)]
    second = path / "results-00001-of-00003-00000.jsonl"
    wait_for(second.exists, processes[1])
    processes[1].send_signal(signal.SIGKILL)
    assert [finish(process)[0] for process in processes] == [0, -signal.SIGKILL, 0]
    assert 40 < len(lines(path)) < 60
    code, error = finish(start(path, 60, 1, 3))
    assert code == 0, error
    assert_whole(path, 60)
    shards = {p.name.split("-")[1] for p in path.glob("results*.jsonl")}
    assert shards == {"00000", "00001", "00002"}


def test_a_run_on_a_full_disk_goes_on_once_there_is_room(small_disk):
    path, ballast = small_disk / "run", small_disk / "ballast"
    process = start(path, 100, "--pause=0.01")
    try:
        wait_for(lambda: len(lines(path)) > 3, process)
        with pytest.raises(OSError, match="No space left"), ballast.open("wb") as file:
            while True:
                file.write(bytes(4096))
        # The log line follows the first row that cannot be written.
        while "No space left" not in (line := process.stderr.readline()):
            assert line, process.poll()
        assert "cannot be written (No space left on device): tried again in 1 s, for " in line
        intact = lines(path)
        table.read_table(path).check()
        assert 3 < len(intact) < 100
        ballast.unlink()
        code, error = finish(process)
    finally:
        process.kill()
    assert code == 0, error
    assert lines(path)[: len(intact)][0]["seconds"] == intact[0]["seconds"]
    assert_whole(path, 100)


def test_a_run_on_a_disk_that_stays_full_ends_with_its_rows_intact(small_disk):
    path = small_disk / "run"
    code, error = finish(start(path, 400, "--patience=1.5"))
    assert code == 1
    assert error.splitlines()[-1].endswith(
        f"NotWrittenError: run directory {path} could not be written for 2 seconds (No space left "
        "on device): make room or give access, and start again; the rows before this one are safe"
    )
    done = len(lines(path))
    table.read_table(path).check()
    assert 10 < done < 400
    # A start without room is refused, and leaves the rows alone.
    with pytest.raises(OSError, match="No space left"), (small_disk / "more").open("wb") as file:
        while True:
            file.write(b"x")
    code, error = finish(start(path, 400))
    assert code == 2
    assert f"run directory {path} cannot be written (No space left on device): name" in error
    assert len(lines(path)) == done
    # More room.
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    code, error = finish(start(path, 400))
    assert code == 0, error
    assert_whole(path, 400)


def test_a_disk_that_becomes_read_only(small_disk):
    path = small_disk / "run"
    process = start(path, 60, "--pause=0.03")
    try:
        wait_for(lambda: len(lines(path)) > 3, process)
        # While a file is open for writing, this is refused.
        remount = ["mount", "-o", "remount,ro", str(small_disk)]
        while subprocess.run(remount, capture_output=True).returncode:
            assert process.poll() is None
        while "Read-only" not in (line := process.stderr.readline()):
            assert line, process.poll()
        code, error = finish(start(path.parent / "another", 60))
        assert code == 2
        assert "another cannot be written (Read-only file system): name another" in error
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        code, error = finish(process)
    finally:
        process.kill()
    assert code == 0, error
    assert_whole(path, 60)


def test_a_directory_without_permission(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("permissions do not stop a superuser")
    assert finish(start(tmp_path / "run", 3))[0] == 0
    (tmp_path / "run").chmod(0o555)
    code, error = finish(start(tmp_path / "run", 6))
    assert code == 2
    assert f"run directory {tmp_path}/run cannot be written (Permission denied)" in error
