"""Claims: who holds a shard, and when it may be taken over."""

import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import uuid

import pytest

from nngp_tf.runs import files, lock
from nngp_tf.runs.chunks import Shard
from nngp_tf.runs.errors import LostError
from nngp_tf.runs.lock import Claim, Holder

pytestmark = pytest.mark.fast

SHARD = Shard(1, 4)
ELSEWHERE = {"host": "elsewhere", "machine": "elsewhere/1/pid:[1]", "pid": 7, "started": 8}


@pytest.fixture(params=["disk", "ram://"])
def directory(request, tmp_path):
    """A directory on disk, and one that only TensorFlow can reach."""
    path = str(tmp_path) if request.param == "disk" else f"ram://nngp_tf_tests/{uuid.uuid4()}"
    files.make_directory(path)
    return path


def write_claim(directory, name="lock-00001-of-00004-0a.json", ago=0.0, **fields):
    """The claim of another process."""
    seen = time.time() - ago
    content = {"schema": 2, "version": "0", "since": 0.0, "seen": seen, "held": True}
    path = files.join(directory, name)
    files.write(path, json.dumps(content | ELSEWHERE | fields).encode(), "test")
    if "://" not in path:
        os.utime(path, (seen, seen))
    return path


def claims(directory):
    return [found.name for found in lock.read_claims(directory)]


def test_a_claim_tells_whose_it_is_until_it_is_released(directory):
    before = time.time()
    claim = Claim(directory, SHARD)
    (found,) = lock.read_claims(directory)
    assert found.shard == SHARD
    assert found.name.startswith("lock-00001-of-00004-")
    holder = found.holder
    assert (holder.host, holder.pid, holder.held) == (os.uname().nodename, os.getpid(), True)
    assert before - 1 <= holder.since <= holder.seen <= time.time() + 1
    assert holder.is_live and holder.is_this_process
    content = json.loads(files.read(files.join(directory, found.name)))
    assert content["schema"] == 2 and content["version"]
    claim.check()
    claim.release()
    claim.release()
    assert claims(directory) == []
    with pytest.raises(LostError, match=r"shard 1 of 4 of run directory .* is no longer"):
        claim.check()


def test_another_holder_is_named(directory):
    path = write_claim(directory)
    message = (
        rf"shard 1 of 4 of run directory {directory} is being written by process 7 on elsewhere "
        r"since 1970-01-01 00:00:00 UTC: wait for it to end, or name another run directory"
    )
    with pytest.raises(ValueError, match=message):
        Claim(directory, SHARD)
    assert claims(directory) == [os.path.basename(path)]
    # Of other shards it is no holder.
    Claim(directory, Shard(1, 5)).release()


def test_a_holder_without_a_sign_of_life_is_taken_over(directory, caplog):
    write_claim(directory, ago=lock.STALE_SECONDS + 1)
    claim = Claim(directory, SHARD)
    assert "shard 1 of 4 of run directory" in caplog.text
    assert "taken over from process 7 on elsewhere since 1970" in caplog.text
    assert "which gives no sign of life" in caplog.text
    assert len(claims(directory)) == 1
    claim.release()


def test_a_process_that_has_ended_is_taken_over_at_once(tmp_path, caplog):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    pid = int(ended.stdout)
    own = Holder("", lock._machine(), pid, 0, 0, 0, True)
    assert own.can_be_watched and not own.is_live
    write_claim(str(tmp_path), machine=lock._machine(), pid=pid, host="here")
    Claim(str(tmp_path), SHARD).release()
    assert f"taken over from process {pid} on here" in caplog.text
    assert "which has ended" in caplog.text


def test_a_later_process_of_the_same_number_is_no_holder(tmp_path):
    # This one's parent, but for the time when it started.
    pid, started = lock._process(os.getppid())
    machine = {"machine": lock._machine(), "pid": pid}
    write_claim(str(tmp_path), started=started + 1, **machine)
    Claim(str(tmp_path), SHARD).release()
    write_claim(str(tmp_path), started=started, ago=10**6, **machine)
    with pytest.raises(ValueError, match=f"is being written by process {pid} on"):
        Claim(str(tmp_path), SHARD)


def test_a_process_that_nobody_waits_for_has_ended():
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert os.path.exists(f"/proc/{child.pid}")
    assert lock._process(child.pid) is None
    child.wait()


def test_the_first_by_name_of_those_that_ask_goes_on(directory, monkeypatch):
    # It has not looked at the others yet: it asks.
    first = write_claim(directory, "lock-00001-of-00004-00.json", held=False)
    with pytest.raises(ValueError, match="is being written by process 7 on elsewhere"):
        Claim(directory, SHARD)
    files.remove(first)
    # One that comes later by name is waited for; it withdraws when it looks.
    last = write_claim(directory, "lock-00001-of-00004-ff.json", held=False)
    waited = []
    monkeypatch.setattr(time, "sleep", lambda seconds: (waited.append(seconds), files.remove(last)))
    claim = Claim(directory, SHARD)
    assert len(waited) == 1
    claim.release()
    # It does not: it had looked before this one came, so it holds.
    last = write_claim(directory, "lock-00001-of-00004-ff.json", held=False)
    held = lambda _: write_claim(directory, "lock-00001-of-00004-ff.json", held=True)  # noqa: E731
    monkeypatch.setattr(time, "sleep", held)
    with pytest.raises(ValueError, match="is being written by process 7"):
        Claim(directory, SHARD)
    assert claims(directory) == ["lock-00001-of-00004-ff.json"]


def test_who_asks_for_ever_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_CONTENTION_SECONDS", 0.1)
    write_claim(str(tmp_path), "lock-00001-of-00004-ff.json", held=False)
    with pytest.raises(ValueError, match="is being written by process 7"):
        Claim(str(tmp_path), SHARD)


def test_signs_of_life(directory, monkeypatch):
    monkeypatch.setattr(lock, "SIGN_OF_LIFE_SECONDS", 0.02)
    claim = Claim(directory, SHARD)
    first = lock.read_claims(directory)[0].holder
    deadline = time.monotonic() + 30
    while (last := lock.read_claims(directory)[0].holder).seen <= first.seen + 0.05:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert last.since == first.since
    claim.release()
    assert claims(directory) == []


def test_a_holder_that_was_taken_over_notices(directory, monkeypatch):
    monkeypatch.setattr(lock, "SIGN_OF_LIFE_SECONDS", 0.02)
    claim = Claim(directory, SHARD)
    (own,) = claims(directory)
    # As another does that holds it for dead, and then writes.
    write_claim(directory, "lock-00001-of-00004-ff.json")
    files.remove(files.join(directory, own))
    with pytest.raises(LostError, match="another has taken it over"):
        claim.check()
    claim._thread.join(timeout=30)
    # It makes no claim again.
    assert not claim._thread.is_alive()
    assert claims(directory) == ["lock-00001-of-00004-ff.json"]
    claim.release()
    assert claims(directory) == ["lock-00001-of-00004-ff.json"]


def test_claims_to_other_shards_are_not_read(tmp_path, monkeypatch):
    directory = str(tmp_path)
    holder = write_claim(directory, "lock-00001-of-01000-0a.json")
    content = pathlib.Path(holder).read_bytes()
    for index in range(2, 1000):
        (tmp_path / f"lock-{index:05d}-of-01000-0a.json").write_bytes(content)
    read, opened = files.read, []
    monkeypatch.setattr(files, "read", lambda path: opened.append(path) or read(path))
    with pytest.raises(ValueError, match="is being written by process 7"):
        Claim(directory, Shard(1, 1000))
    assert holder in opened
    assert all(os.path.basename(path).startswith("lock-00001-of-01000-") for path in opened)
    opened.clear()
    claim = Claim(directory, Shard(0, 1000))
    claim._sign_of_life()
    claim.check()
    claim.release()
    assert all(os.path.basename(path).startswith("lock-00000-of-01000-") for path in opened)
    (found,) = lock.read_claims(directory, Shard(1, 1000))
    assert found.name == os.path.basename(holder)
    assert len(lock.read_claims(directory)) == 999


def test_a_sign_of_life_on_disk_lists_nothing(tmp_path, monkeypatch):
    claim = Claim(str(tmp_path), SHARD)
    (before,) = lock.read_claims(str(tmp_path))
    os.utime(tmp_path / before.name, (0, 0))

    def refuse(*_):
        raise AssertionError("it was listed")

    with monkeypatch.context() as patch:
        patch.setattr(files, "names", refuse)
        claim._sign_of_life()
    assert lock.read_claims(str(tmp_path))[0].holder.seen >= before.holder.seen
    assert (tmp_path / before.name).stat().st_mtime > 0
    claim.release()


def test_a_claim_brought_back_by_its_sign_of_life_is_withdrawn():
    # On disk a sign of life brings nothing back.
    directory = f"ram://nngp_tf_tests/{uuid.uuid4()}"
    files.make_directory(directory)
    claim = Claim(directory, SHARD)
    write_claim(directory, "lock-00001-of-00004-ff.json")
    claim._sign_of_life()
    assert claims(directory) == ["lock-00001-of-00004-ff.json"]
    with pytest.raises(LostError):
        claim.check()
    claim.release()


def test_a_full_disk_does_not_end_a_claim(directory, monkeypatch, caplog):
    monkeypatch.setattr(lock, "SIGN_OF_LIFE_SECONDS", 0.01)
    claim = Claim(directory, SHARD)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "touch", full)
        deadline = time.monotonic() + 30
        while "cannot be renewed (No space left on device)" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    claim.check()
    claim.release()


def test_a_forked_process_neither_writes_nor_releases(tmp_path):
    claim = Claim(str(tmp_path), SHARD)
    script = f"""
import os
from nngp_tf.runs import chunks, errors, lock
claim = lock.Claim({str(tmp_path)!r}, chunks.Shard())
if os.fork():
    os.wait()
    claim.check()
    print("held")
    claim.release()
else:
    try:
        claim.check()
    except errors.LostError:
        claim.release()
        print("lost", flush=True)
    os._exit(0)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.stdout.split() == ["lost", "held"], ended.stderr
    claim.check()
    claim.release()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"\xff", b"[" * 10**5, b"{}"),
        json.dumps({**ELSEWHERE, "since": 1e300, "seen": 0, "held": True}).encode(),
        json.dumps({**ELSEWHERE, "pid": "7", "since": 0, "seen": 0, "held": True}).encode(),
    ],
)
def test_a_damaged_claim_holds_until_it_is_old(tmp_path, content):
    path = tmp_path / "lock-00001-of-00004-0a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="by process 0 on a host unknown, its file is damaged,"):
        Claim(str(tmp_path), SHARD)
    os.utime(path, (0, time.time() - lock.STALE_SECONDS - 1))
    Claim(str(tmp_path), SHARD).release()
    assert not path.exists()


def test_old_half_written_claims_are_removed(tmp_path):
    names = [f"lock-0000{shard}-of-00004-0a.json.0a.partial" for shard in (1, 2)]
    young = tmp_path / "lock-00001-of-00004-0b.json.0b.partial"
    for path in (*map(tmp_path.joinpath, names), young):
        path.write_text("{")
        os.utime(path, (0, 0))
    young.touch()
    Claim(str(tmp_path), SHARD).release()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([names[1], young.name])


def test_threads_that_claim_at_once_leave_one_holder(tmp_path):
    claimed = []
    threads = [
        threading.Thread(target=lambda: claimed.append(Claim(str(tmp_path), SHARD)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = 0
    for claim in claimed:
        try:
            claim.check()
            held += 1
        except LostError:
            pass
    assert (held, len(claims(str(tmp_path))), len(claimed)) == (1, 1, 8)
    for claim in claimed:
        claim.release()
