"""Run directories: what is on disk after a start, a row, a kill and a refusal."""

import gc
import json
import threading
import time
import tracemalloc
import uuid

import pytest
import tensorflow as tf

from nngp_tf import version
from nngp_tf.runs import chunks, files, lock, store, table
from nngp_tf.runs import record as record_lib
from nngp_tf.runs.errors import LostError, NotWrittenError
from nngp_tf.runs.store import SCHEMA, RunDirectory

pytestmark = pytest.mark.fast

CONFIG = {"num_inits": 4, "dataset": "digits", "channel_mean": None}
ABOUT = {"versions": {"nngp_tf": "0"}}
FIRST = "results-00000-of-00001-00000.jsonl"


def row(key, **more):
    return {"key": key, "architecture": f"text of {key}", "scan": {"loo_nll": [0.1, None]}, **more}


def read(path):
    with tf.io.gfile.GFile(path, "r") as file:
        return file.read()


def results(path):
    """All rows as any reader of JSON lines has them, but for how they are stored."""
    names = sorted(tf.io.gfile.glob(f"{str(path).rstrip('/')}/results*.jsonl"))
    rows = [json.loads(line) for name in names for line in read(name).splitlines()]
    for found in rows:
        found.pop("stored", None)
    return rows


def append(path, *keys, **options):
    with RunDirectory(path, CONFIG, ABOUT, **options) as directory:
        for key in keys:
            directory.append(row(key))


def contents(path):
    return {p.name: p.read_bytes() for p in path.iterdir()}


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(store, "CHUNK_ROWS", 3)


# ram:// stands for gs://: a file system that only TensorFlow can reach.
@pytest.fixture(params=["plain", "pathlib", "file://", "ram://", "trailing slash"])
def path(request, tmp_path):
    run = tmp_path / "new" / "run"
    return {
        "plain": str(run),
        "pathlib": run,
        "file://": f"file://{run}",
        "ram://": f"ram://nngp_tf_tests/{uuid.uuid4()}",
        "trailing slash": f"{run}/",
    }[request.param]


def test_rows_outlive_the_directory_object(path):
    first = RunDirectory(path, CONFIG, ABOUT)
    assert first.rows == {}
    first.append(row("a"))
    assert results(first.path) == [row("a")]
    first.append(row("b"))
    first.close()
    again = RunDirectory(path, CONFIG, {"versions": "another"})
    assert again.rows == {"a": row("a"), "b": row("b")}
    again.append(row("c"))
    assert list(again.rows) == ["a", "b", "c"]
    assert results(again.path) == [row("a"), row("b"), row("c")]
    record = json.loads(read(f"{again.path}/run.json"))
    assert len(record.pop("checksum")) == 64
    # Of the run that made it.
    assert record == {
        "schema": SCHEMA,
        "version": version.__version__,
        "config": CONFIG,
        "about": ABOUT,
    }
    assert again.results_path == f"{str(path).rstrip('/')}/results*.jsonl"
    again.close()
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(again.path)]
    assert sorted(names) == [FIRST, "run.json"]


def test_a_row_is_written_before_append_returns(tmp_path):
    directory = RunDirectory(tmp_path, CONFIG)
    for key in "abc":
        directory.append(row(key))
        assert results(tmp_path)[-1]["key"] == key


def test_chunks_are_sealed_when_they_are_full(tmp_path, small_chunks):
    append(tmp_path, *"abcd")
    sealed = (tmp_path / FIRST).read_bytes()
    # Where the last one is not full, the next start goes on with it.
    append(tmp_path, *"ef")
    append(tmp_path, "g")
    names = [f"results-00000-of-00001-{chunk:05d}.jsonl" for chunk in range(3)]
    assert sorted(p.name for p in tmp_path.glob("results*")) == names
    assert [len((tmp_path / name).read_text().splitlines()) for name in names] == [3, 3, 1]
    assert (tmp_path / FIRST).read_bytes() == sealed
    assert [found["key"] for found in results(tmp_path)] == list("abcdefg")


def test_text_stays_on_its_line(tmp_path):
    odd = row("a", error="two\nlines, é, \u2028 and \x85")
    with RunDirectory(tmp_path, CONFIG) as directory:
        directory.append(odd)
    assert RunDirectory(tmp_path, CONFIG).rows["a"] == odd


def test_a_row_is_as_it_was_when_it_was_appended(tmp_path):
    directory = RunDirectory(tmp_path, CONFIG)
    mine = row("a")
    directory.append(mine)
    mine["status"] = "changed"
    assert "status" not in directory.rows["a"]


def test_a_refused_run_binds_nobody(tmp_path):
    RunDirectory(tmp_path, CONFIG, {"run": "refused before its first row"}).expect(3)
    assert list(tmp_path.iterdir()) == []
    other = CONFIG | {"num_inits": 8}
    with RunDirectory(tmp_path, other, ABOUT) as directory:
        directory.append(row("a"))
    assert json.loads((tmp_path / "run.json").read_text())["config"] == other
    assert json.loads((tmp_path / "run.json").read_text())["about"] == ABOUT


def test_another_configuration_is_refused_and_named(tmp_path):
    append(tmp_path, "a")
    before = contents(tmp_path)
    other = {"num_inits": 8, "dataset": "digits", "seed": 3}
    with pytest.raises(ValueError, match="was made with another configuration") as caught:
        RunDirectory(tmp_path, other)
    message = str(caught.value)
    assert message.startswith(f"run directory {tmp_path} ")
    assert "(num_inits is 8 here and 4 there; seed is 3 here and None there)" in message
    assert "dataset" not in message
    assert "name a new directory" in message
    assert contents(tmp_path) == before


def test_of_two_configurations_that_start_at_once_the_second_to_have_a_row_is_refused(tmp_path):
    one = RunDirectory(tmp_path, CONFIG, shard=(0, 2))
    two = RunDirectory(tmp_path, CONFIG | {"num_inits": 8}, shard=(1, 2))
    one.append(row("a"))
    with pytest.raises(ValueError, match=r"configuration \(num_inits is 8 here and 4 there\)"):
        two.append(row("b"))
    assert results(tmp_path) == [row("a")]


def test_configurations_are_compared_as_json(tmp_path):
    with RunDirectory(tmp_path, {"mean": (0.1, 2), "size": 3}) as directory:
        directory.append(row("a"))
    with RunDirectory(tmp_path, {"size": 3, "mean": [0.1, 2.0]}) as directory:
        directory.append(row("b"))
    assert list(RunDirectory(tmp_path, {"size": 3, "mean": [0.1, 2]}).rows) == ["a", "b"]


def test_a_run_is_not_resumed_against_the_callers_will(tmp_path):
    append(tmp_path, "a", resume=False)
    for shard in ((0, 1), (1, 2)):
        with pytest.raises(ValueError, match="holds a run already: resume it, or name another"):
            RunDirectory(tmp_path, CONFIG, resume=False, shard=shard)
    assert results(tmp_path) == [row("a")]
    assert list(RunDirectory(tmp_path, CONFIG).rows) == ["a"]


def test_shards_begin_side_by_side_against_resuming(tmp_path):
    append(tmp_path, "a", resume=False, shard=(0, 2))
    append(tmp_path, "b", resume=False, shard=(1, 2))
    with pytest.raises(ValueError, match="holds a run already"):
        RunDirectory(tmp_path, CONFIG, resume=False, shard=(1, 2))


def test_shards_have_files_of_their_own_and_leave_each_others_alone(path):
    one = RunDirectory(path, CONFIG, shard=(0, 2))
    one.append(row("a"))
    two = RunDirectory(path, CONFIG, shard=(1, 2))
    assert two.rows == {}
    two.append(row("b"))
    with pytest.raises(ValueError, match="already has a row of architecture b"):
        two.append(row("b"))
    # It does not know, and who asks both has one row.
    one.append(row("b"))
    one.close(), two.close()
    assert [found["key"] for found in results(one.path)] == ["a", "b", "b"]
    assert table.read_table(path).duplicates == 1
    assert list(RunDirectory(path, CONFIG).rows) == ["a", "b"]


def test_who_counts_shards_in_another_way_goes_on_with_all_rows(path):
    append(path, "a", "c", shard=(0, 2))
    append(path, "b", shard=(1, 2))
    append(path, "d", shard=(0, 4))
    with RunDirectory(path, CONFIG, shard=(1, 4)) as directory:
        # Not shard 0 of 4's.
        assert list(directory.rows) == ["a", "c", "b"]
        with pytest.raises(ValueError, match="already has a row of architecture c"):
            directory.append(row("c"))
        directory.append(row("e"))
        assert directory.rows.of(["b", "e", "a"]) == [row("b"), row("e"), row("a")]
    with RunDirectory(path, CONFIG, shard=(1, 4), alone=True) as directory:
        assert directory.rows == {"e": row("e")}
    assert sorted(RunDirectory(path, CONFIG, shard=(0, 3)).rows) == list("abcde")
    assert table.read_table(path).duplicates == 0


@pytest.fixture
def many_shards(tmp_path):
    """A run of 1,000 shards with two rows each, of which none but shard 7's are whole."""
    record = record_lib.Record(CONFIG, ABOUT)
    (tmp_path / "run.json").write_bytes(record_lib.encode(record))
    for index in range(1000):
        place = chunks.Place(chunks.Shard(index, 1000), 0)
        entries = [chunks.new_entry(row(f"{index}-{i}"), time.time()) for i in range(2)]
        content = chunks.encode(place, record.digest, entries)
        (tmp_path / place.name).write_bytes(content if index == 7 else content[:-9])
    return tmp_path


def test_a_shard_opens_its_own_files_only(many_shards, monkeypatch):
    read, opened = files.read, []
    monkeypatch.setattr(files, "read", lambda path: opened.append(path) or read(path))
    with RunDirectory(many_shards, CONFIG, shard=(7, 1000)) as directory:
        assert list(directory.rows) == ["7-0", "7-1"]
        directory.append(row("7-2"))
        assert directory.rows["7-1"] == row("7-1")
    names = {path.rpartition("/")[2] for path in opened}
    names = {name for name in names if not name.startswith("lock-00007-of-01000-")}
    assert names == {"run.json", "results-00007-of-01000-00000.jsonl"}
    # Who reads all of them sees what they are like, and so does the shard whose they are.
    for shard in ((8, 1000), (0, 999)):
        with pytest.raises(ValueError, match=r"-of-01000-00000\.jsonl:2 is not a row of results"):
            RunDirectory(many_shards, CONFIG, shard=shard)


def traced_mebibytes(path, number, size):
    """Memory that a directory holds after so many rows, opened anew after that, and at most."""
    with RunDirectory(path, CONFIG) as directory:
        tracemalloc.start()
        try:
            for index in range(number):
                directory.append(row(str(index), text=str(index % 10) * size))
            appended, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    tracemalloc.start()
    try:
        directory = RunDirectory(path, CONFIG)
        assert len(directory.rows) == number
        opened, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return [value / 2**20 for value in (appended, opened, most)]


def test_rows_are_not_held_in_memory(tmp_path, small_chunks):
    # Of 31 rows of a mebibyte each, those of the last chunk: as objects and as text. One more is
    # being read: as bytes, lines and texts besides.
    appended, opened, most = traced_mebibytes(tmp_path, number=31, size=2**20)
    assert appended < 3 * 2 + 1
    assert opened < 3 * 2 + 1
    assert most < 3 * 2 + 3 * 6


def test_a_row_that_is_gone_from_its_file_is_missed(tmp_path):
    append(tmp_path, "a", "b")
    directory = RunDirectory(tmp_path, CONFIG, writable=False)
    append(tmp_path / "other", "a")
    (tmp_path / FIRST).write_bytes((tmp_path / "other" / FIRST).read_bytes())
    assert directory.rows["a"] == row("a")
    with pytest.raises(ValueError, match=f"{FIRST} no longer has the row of architecture b"):
        directory.rows.of(["a", "b"])
    with pytest.raises(KeyError):
        directory.rows["c"]


def test_a_bad_shard_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"0 <= index < count, got \(2, 2\)"):
        RunDirectory(tmp_path / "run", CONFIG, shard=(2, 2))
    assert not (tmp_path / "run").exists()


def test_the_shard_is_held_until_it_is_given_up(tmp_path):
    def claims():
        return [found.holder for found in lock.read_claims(str(tmp_path))]

    threads = set(threading.enumerate())
    directory = RunDirectory(tmp_path, CONFIG)
    assert [holder.held for holder in claims()] == [True]
    directory.close()
    directory.close()
    assert claims() == []
    with pytest.raises(LostError, match=f"shard 0 of 1 of run directory {tmp_path} is no"):
        directory.append(row("a"))
    with pytest.raises(LostError):
        directory.write_text("x.gin", "text")
    directory = RunDirectory(tmp_path, CONFIG)
    assert len(claims()) == 1
    del directory
    gc.collect()
    assert claims() == []
    assert set(threading.enumerate()) <= threads
    # Nor does a refused start keep it.
    append(tmp_path, "a")
    with pytest.raises(ValueError, match="holds a run already"):
        RunDirectory(tmp_path, CONFIG, resume=False)
    assert claims() == []


def test_a_process_may_open_a_directory_again_and_writes_by_the_later_object(tmp_path):
    first, second = RunDirectory(tmp_path, CONFIG), RunDirectory(tmp_path, CONFIG)
    second.append(row("a"))
    with pytest.raises(LostError, match="or this one opened it again"):
        first.append(row("b"))
    assert first.rows == {}
    del first
    gc.collect()
    second.append(row("b"))
    assert results(tmp_path) == [row("a"), row("b")]


def write_schema_1(path, content='{"key": "a"}\n{"key": "b", "status": "ok"}\n'):
    path.mkdir(exist_ok=True)
    record = {"schema": 1, "config": CONFIG, "about": ABOUT}
    (path / "run.json").write_text(json.dumps(record, indent=2) + "\n")
    (path / "results.jsonl").write_text(content)


def test_a_run_of_schema_1_goes_on(tmp_path):
    write_schema_1(tmp_path)
    with RunDirectory(tmp_path, CONFIG) as directory:
        assert list(directory.rows) == ["a", "b"]
        # Nothing is written before there is a row to write.
        assert json.loads((tmp_path / "run.json").read_text())["schema"] == 1
        directory.append(row("c"))
    # The version that made it now refuses it, for it would not see the row.
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["schema"], record["config"], record["about"]) == (SCHEMA, CONFIG, ABOUT)
    assert (tmp_path / "results.jsonl").read_text().count("\n") == 2
    assert list(RunDirectory(tmp_path, CONFIG).rows) == ["c", "a", "b"]
    with pytest.raises(ValueError, match="num_inits is 8 here and 4 there"):
        RunDirectory(tmp_path, CONFIG | {"num_inits": 8})


def test_a_run_of_schema_1_killed_in_the_middle_of_a_row_goes_on(tmp_path, caplog):
    write_schema_1(tmp_path, '{"key": "a"}\n{"key": "b"')
    before = (tmp_path / "results.jsonl").read_bytes()
    append(tmp_path, "b")
    assert "results.jsonl: left out a half-written last row" in caplog.text
    assert (tmp_path / "results.jsonl").read_bytes() == before
    assert sorted(RunDirectory(tmp_path, CONFIG).rows) == ["a", "b"]


def test_a_schema_to_come_is_refused(tmp_path):
    append(tmp_path, "a")
    record = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(record | {"schema": SCHEMA + 1}))
    message = (
        rf"run\.json has schema {SCHEMA + 1}, and nngp_tf {version.__version__} reads up to "
        rf"{SCHEMA}: .* name a new run directory"
    )
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=message):
        RunDirectory(tmp_path, CONFIG)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"{}", b"\xff\xfe", b"[" * 10**5])
def test_a_foreign_record_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json is not the record of a run of nngp_tf"):
        RunDirectory(tmp_path, CONFIG)


def test_a_changed_record_is_refused(tmp_path):
    append(tmp_path, "a")
    text = (tmp_path / "run.json").read_text()
    (tmp_path / "run.json").write_text(text.replace('"num_inits": 4', '"num_inits": 5'))
    message = (
        r"run\.json does not match its checksum: set it aside with "
        r"`python -m nngp_tf\.launchers\.status "
        rf"--run_dir={tmp_path} --repair`"
    )
    with pytest.raises(ValueError, match=message):
        RunDirectory(tmp_path, CONFIG | {"num_inits": 5})


def test_results_without_a_record_go_on_under_their_own_configuration_only(tmp_path):
    append(tmp_path, "a")
    (tmp_path / "run.json").unlink()
    with pytest.raises(ValueError, match=rf"has {FIRST} but no run\.json to say how its rows"):
        RunDirectory(tmp_path, CONFIG | {"num_inits": 8})
    append(tmp_path, "b")
    assert json.loads((tmp_path / "run.json").read_text())["config"] == CONFIG
    assert list(RunDirectory(tmp_path, CONFIG).rows) == ["a", "b"]
    # Plain rows do not say what they are of.
    write_schema_1(tmp_path / "plain")
    (tmp_path / "plain" / "run.json").unlink()
    with pytest.raises(ValueError, match=r"has results\.jsonl but no run\.json"):
        RunDirectory(tmp_path / "plain", CONFIG)


def test_damage_is_refused_by_file_and_line_and_with_its_cure(tmp_path, small_chunks):
    append(tmp_path, *"abcde")
    text = (tmp_path / FIRST).read_text()
    (tmp_path / FIRST).write_text(text.replace("text of b", "text of c"))
    before = contents(tmp_path)
    message = (
        rf"{tmp_path}/{FIRST}:2 does not match its checksum: keep the good rows and set the bad "
        rf"ones aside with `python -m nngp_tf\.launchers\.status --run_dir={tmp_path} --repair`"
    )
    for writable in (True, False):
        with pytest.raises(ValueError, match=message):
            RunDirectory(tmp_path, CONFIG, writable=writable)
    assert contents(tmp_path) == before


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"/file/run cannot be written \(.*\): name another"):
        RunDirectory(tmp_path / "file" / "run", CONFIG)
    with pytest.raises(ValueError, match=r"nowhere://run cannot be written \(.*nowhere"):
        RunDirectory("nowhere://run", CONFIG)


def test_a_follower_writes_nothing(tmp_path):
    absent = tmp_path / "absent"
    follower = RunDirectory(absent, CONFIG, writable=False)
    follower.append(row("a"))
    follower.expect(3)
    follower.write_text("x.gin", "text")
    follower.close()
    assert follower.rows == {"a": row("a")}
    assert not absent.exists()

    append(tmp_path, "a")
    before = contents(tmp_path)
    follower = RunDirectory(tmp_path, CONFIG, writable=False)
    assert list(follower.rows) == ["a"]
    follower.append(row("b", status="failed"))
    follower.write_text("x.gin", "text")
    assert list(follower.rows) == ["a", "b"]
    follower.discard_failed()
    assert contents(tmp_path) == before
    with pytest.raises(ValueError, match="another configuration"):
        RunDirectory(tmp_path, {}, writable=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_lacks_is_refused(tmp_path, value):
    directory = RunDirectory(tmp_path, CONFIG)
    directory.append(row("a"))
    before = (tmp_path / FIRST).read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        directory.append(row("b", scan={"loo_nll": [value]}))
    assert list(directory.rows) == ["a"]
    assert (tmp_path / FIRST).read_bytes() == before


def test_a_second_row_of_an_architecture_is_refused(tmp_path):
    append(tmp_path, "a")
    directory = RunDirectory(tmp_path, CONFIG)
    with pytest.raises(ValueError, match=r"results\*\.jsonl already has a row of architecture a"):
        directory.append(row("a"))
    assert results(tmp_path) == [row("a")]


def test_failed_rows_are_discarded_on_request(path, monkeypatch):
    monkeypatch.setattr(store, "CHUNK_ROWS", 2)
    with RunDirectory(path, CONFIG, shard=(1, 3)) as other:
        other.append(row("x", status="failed"))
    with RunDirectory(path, CONFIG, shard=(0, 2)) as directory:
        # The first chunk has a good row, the second none, and the third is open.
        for key in "abcdef":
            directory.append(row(key, status="ok" if key in "af" else "failed"))
        assert directory.discard_failed() == 5
        assert list(directory.rows) == ["a", "f"]
        assert sorted(found["key"] for found in results(directory.path)) == ["a", "f", "x"]
        for key in "bx":
            directory.append(row(key, status="ok"))
        assert directory.discard_failed() == 0
    again = RunDirectory(path, CONFIG)
    assert {key: found["status"] for key, found in again.rows.items()} == dict.fromkeys(
        "afbx", "ok"
    )


def test_texts_are_replaced_as_a_whole(path):
    directory = RunDirectory(path, CONFIG)
    directory.write_text("x.gin", "long text\n" * 9)
    directory.write_text("x.gin", "é\n")
    assert read(f"{directory.path}/x.gin") == "é\n"
    directory.close()
    assert [name.rstrip("/") for name in tf.io.gfile.listdir(directory.path)] == ["x.gin"]


@pytest.mark.parametrize(
    "name", ["../x.gin", "/etc/x", "a/b", "run.json", FIRST, "results.jsonl", "lock-x", "", ".."]
)
def test_texts_do_not_leave_the_directory_nor_replace_results(tmp_path, name):
    with pytest.raises(ValueError, match="is no name for a text in a run directory"):
        RunDirectory(tmp_path, CONFIG).write_text(name, "text")


def failing(monkeypatch, times, error):
    """Writing fails so often; returns what was waited for."""
    write, waited, left = files.write, [], [times]

    def fail(path, content, writer):
        if "results" in path and left[0]:
            left[0] -= 1
            raise error
        write(path, content, writer)

    monkeypatch.setattr(files, "write", fail)
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


def test_a_row_that_cannot_be_written_is_tried_again(tmp_path, monkeypatch, caplog):
    directory = RunDirectory(tmp_path, CONFIG)
    directory.append(row("a"))
    waited = failing(monkeypatch, 3, OSError(28, "No space left on device"))
    directory.append(row("b"))
    assert waited == [1, 2, 4]
    assert results(tmp_path) == [row("a"), row("b")]
    assert caplog.text.count("cannot be written (No space left on device): tried again in") == 3


def test_patience_ends(tmp_path, monkeypatch):
    directory = RunDirectory(tmp_path, CONFIG, patience=0.0)
    directory.append(row("a"))
    failing(monkeypatch, 1, OSError(30, "Read-only file system"))
    message = rf"{tmp_path} could not be written for 0 seconds \(Read-only file system\): make room"
    with pytest.raises(NotWrittenError, match=message):
        directory.append(row("b"))
    assert list(directory.rows) == ["a"]
    # The row is not lost to who tries again.
    directory.append(row("b"))
    assert results(tmp_path) == [row("a"), row("b")]


def test_the_number_of_architectures_is_recorded_with_the_first_row(tmp_path):
    with RunDirectory(tmp_path, CONFIG, shard=(1, 3)) as directory:
        directory.expect(250)
        assert not list(tmp_path.glob("status*"))
        directory.append(row("a"))
        status = json.loads((tmp_path / "status-00001-of-00003.json").read_text())
        assert status == {
            "schema": SCHEMA,
            "version": version.__version__,
            "shard": [1, 3],
            "total": 250,
        }
        directory.expect(300)
    status = json.loads((tmp_path / "status-00001-of-00003.json").read_text())
    assert status["total"] == 300


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    append(tmp_path, "a", shard=(0, 2))
    mine = tmp_path / "results-00000-of-00002-00001.jsonl.00000-of-00002.partial"
    others = tmp_path / "results-00001-of-00002-00000.jsonl.00001-of-00002.partial"
    mine.write_text("{"), others.write_text("{")
    RunDirectory(tmp_path, CONFIG, shard=(0, 2)).close()
    assert (mine.exists(), others.exists()) == (False, True)
