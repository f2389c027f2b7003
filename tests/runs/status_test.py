"""How far a run is: rows, rates and holders of all shards, and their text."""

import dataclasses
import json
import math
import os
import time
import uuid

import pytest

from nngp_tf.runs import files, lock, status_report
from nngp_tf.runs.chunks import Shard
from nngp_tf.runs.status import HOUR, Progress, ShardProgress, Watcher, hourly_rate
from nngp_tf.runs.store import RunDirectory

pytestmark = pytest.mark.fast

CONFIG = {"what": "tests"}


def fill(path, keys, shard=(0, 1), total=None, status="ok"):
    with RunDirectory(path, CONFIG, shard=shard) as directory:
        if total is not None:
            directory.expect(total)
        for key in keys:
            directory.append({"key": key, "status": status})


def look(path):
    return Watcher(path).look()


@pytest.mark.parametrize("place", ["disk", "ram://"])
def test_a_run_in_the_middle(tmp_path, place):
    path = tmp_path / "run" if place == "disk" else f"ram://nngp_tf_tests/{uuid.uuid4()}"
    before = time.time() - 1e-3
    fill(path, "ab", (0, 3), total=5)
    fill(path, "c", (0, 3), total=5, status="failed")
    with RunDirectory(path, CONFIG, shard=(1, 3)) as directory:
        directory.expect(7)
        directory.append({"key": "d", "status": "ok"})
        progress = look(path)
        (holder,) = [shard.holder for shard in progress.shards if shard.holder]
    assert (progress.done, progress.failed) == (4, 1)
    # Of two shards of three, 12.
    assert (progress.total, progress.not_begun, progress.is_done) == (18, 1, False)
    first, second = progress.shards
    assert (first.shard, first.done, first.failed, first.total) == (Shard(0, 3), 3, 1, 5)
    assert (second.shard, second.done, second.failed, second.total) == (Shard(1, 3), 1, 0, 7)
    assert (first.holder, second.holder, holder.pid) == (None, holder, os.getpid())
    assert before <= first.last_row <= second.last_row + 1e-3 <= time.time() + 2e-3
    assert [is_ok for _, is_ok in progress.history] == [True, True, False, True]
    assert progress.hourly > 0 and progress.hourly_overall > 0
    assert math.isclose(progress.seconds_left, 14 / progress.hourly * HOUR)
    assert look(path).shards[1].holder is None


def test_a_run_to_its_end(tmp_path):
    fill(tmp_path, "abc", total=3)
    progress = look(tmp_path)
    assert (progress.done, progress.total, progress.is_done) == (3, 3, True)
    assert progress.seconds_left == 0


def test_a_run_that_has_no_row_yet(tmp_path):
    with RunDirectory(tmp_path, CONFIG):
        progress = look(tmp_path)
    assert (progress.done, progress.total, progress.is_done) == (0, None, False)
    assert [shard.done for shard in progress.shards] == [0]
    assert progress.shards[0].holder.pid == os.getpid()
    assert "0 architectures done, 0 failed" in status_report.report(progress)
    with pytest.raises(ValueError, match=r"there is no run at .*: run\.json is missing"):
        look(tmp_path)


def test_architectures_of_two_shards_count_once(tmp_path):
    with RunDirectory(tmp_path, CONFIG, shard=(0, 2)) as one:
        fill(tmp_path, "a", (1, 2), status="failed")
        one.append({"key": "a", "status": "ok"})
    progress = look(tmp_path)
    assert (progress.done, progress.failed) == (1, 0)
    assert sum(shard.done for shard in progress.shards) == 2


def test_the_newest_count_of_shards_tells_the_total(tmp_path):
    fill(tmp_path, "ab", (0, 4), total=3)
    fill(tmp_path, "cd", (0, 1), total=12)
    os.utime(tmp_path / "status-00000-of-00004.json", (0, 0))
    assert look(tmp_path).total == 12
    os.utime(tmp_path / "status-00000-of-00001.json", (0, 0))
    os.utime(tmp_path / "status-00000-of-00004.json")
    assert (look(tmp_path).total, look(tmp_path).not_begun) == (12, 3)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"total": "3"}', b'{"total": -1}', b"\xff"]
)
def test_a_damaged_total_is_unknown(tmp_path, content):
    fill(tmp_path, "ab", total=3)
    (tmp_path / "status-00000-of-00001.json").write_bytes(content)
    progress = look(tmp_path)
    assert (progress.done, progress.total, progress.not_begun) == (2, None, 0)
    assert math.isnan(progress.seconds_left)


def test_a_run_of_schema_1(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"schema": 1, "config": CONFIG, "about": {}}))
    (tmp_path / "results.jsonl").write_text('{"key": "a", "status": "ok"}\n{"key": "b"}\n')
    progress = look(tmp_path)
    assert (progress.done, progress.failed, progress.shards) == (2, 1, ())
    assert math.isnan(progress.hourly) and math.isnan(progress.hourly_overall)


def test_damage_is_told(tmp_path):
    fill(tmp_path, "ab", total=2)
    name = "results-00000-of-00001-00000.jsonl"
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-5])
    progress = look(tmp_path)
    assert [str(damage) for damage in progress.damages] == [f"{name}:2 is not a row of results"]
    assert f"damaged: {name}:2 is not a row of results" in status_report.report(progress)


def test_only_changed_files_are_read_again(tmp_path, monkeypatch):
    read, names = files.read, []

    def reading(path):
        names.append(os.path.basename(path))
        return read(path)

    fill(tmp_path, "ab", (0, 2))
    fill(tmp_path, "c", (1, 2))
    watcher = Watcher(tmp_path)
    assert watcher.look().done == 3
    monkeypatch.setattr(files, "read", reading)
    assert watcher.look().done == 3
    assert not [name for name in names if name.startswith("results")]
    fill(tmp_path, "d", (1, 2))
    names.clear()
    assert watcher.look().done == 4
    results = [name for name in names if name.startswith("results")]
    assert results == ["results-00001-of-00002-00000.jsonl"]


def test_totals_are_read_again_when_they_change(tmp_path):
    fill(tmp_path, "ab", (0, 2), total=2)
    watcher = Watcher(tmp_path)
    assert (watcher.look().total, watcher.look().not_begun) == (4, 1)
    fill(tmp_path, "c", (1, 2), total=3)
    assert (watcher.look().total, watcher.look().not_begun) == (5, 0)
    fill(tmp_path, "", (1, 2), total=123)
    assert watcher.look().total == 125


@pytest.mark.parametrize(
    ("times", "now", "rate"),
    [
        ([], 10.0, math.nan),
        ([0.0], 10.0, math.nan),
        # Nine rows in the ninety seconds since the first.
        ([10.0 * i for i in range(10)], 90.0, 360.0),
        ([10.0 * i for i in range(10)], 180.0, 180.0),
        # Of a long run, those of the last hour.
        ([100.0 * i for i in range(1000)], 99_900.0, 36.0),
        ([0.0, 1.0, 2.0], 10_000.0, 0.0),
    ],
)
def test_rates(times, now, rate):
    assert hourly_rate(times, now) == pytest.approx(rate, nan_ok=True)


def test_of_many_shards_those_that_lag_are_shown():
    def shard(index, done, last_row, holder=None):
        return ShardProgress(Shard(index, 900), done, 0, 10, last_row, holder)

    now = time.time()
    holder = lock.Holder("host", "", 7, 0, now, now, True)
    shards = [shard(index, 10, now - 10_000.0) for index in range(800)]
    shards += [shard(index, 3, now - index, holder) for index in range(800, 900)]
    progress = Progress("x", 8300, 0, 9000, 0, 60.0, 60.0, tuple(shards), (), ())
    _, _, _, *lines, last = status_report.report(progress).splitlines()
    assert last == "850 shards more; 800 of all are done"
    assert [int(line.split()[0]) for line in lines] == list(range(899, 849, -1))
    assert all("process 7 on host" in line for line in lines)
    few = dataclasses.replace(progress, shards=tuple(shards[:50]))
    assert len(status_report.report(few).splitlines()) == 3 + 50


def test_the_report():
    history = tuple((1000.0 + 10 * i, i != 3) for i in range(7))
    progress = Progress(
        path="runs/x",
        done=7000,
        failed=12,
        total=20_000,
        not_begun=2,
        hourly=360.0,
        hourly_overall=math.nan,
        shards=(),
        damages=(),
        history=history,
    )
    assert status_report.report(progress).splitlines() == [
        "runs/x: 7,000 of 20,000 (of 2 shards estimated) architectures done, 12 failed",
        "360.0 an hour in the last hour, ? overall, 36.1 hours left",
        "         shard      done  failed     total  last row        writer",
    ]
