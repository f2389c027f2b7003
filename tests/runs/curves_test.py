"""Curves of a run's progress: their points, and what TensorBoard reads."""

import pytest
import tensorflow as tf

from nngp_tf.runs.curves import Curves, points
from nngp_tf.runs.status import Watcher
from nngp_tf.runs.store import RunDirectory

pytestmark = pytest.mark.fast


def test_points():
    history = [(100.0, True), (100.5, False), (101.25, True), (110.0, True)]
    assert list(points(history, 0.0)) == [
        (100.5, 0, {"done": 2, "failed": 1, "rows_an_hour": 7200.0}),
        (101.25, 1, {"done": 3, "failed": 1, "rows_an_hour": 2 / 1.25 * 3600}),
        (110.0, 10, {"done": 4, "failed": 1, "rows_an_hour": 3 / 10 * 3600}),
    ]
    assert [when for when, _, _ in points(history, 100.5)] == [101.25, 110.0]
    assert list(points(history, 110.0)) == list(points([], 0.0)) == []


def scalars(directory):
    """(tag, step, value, seconds since 1970) of all event files."""
    return [
        (value.tag, event.step, value.simple_value, event.wall_time)
        for name in sorted(tf.io.gfile.glob(f"{directory}/events.out.tfevents.*"))
        for event in tf.compat.v1.train.summary_iterator(name)
        for value in event.summary.value
    ]


def test_an_event_file_grows_with_the_run_and_is_begun_anew(tmp_path):
    run, log = tmp_path / "run", tmp_path / "curves"
    with RunDirectory(run, {}) as directory:
        directory.append({"key": "a", "status": "failed"})
        watcher, written = Watcher(run), Curves(str(log))
        written.update(watcher.look())
        assert [s[:3] for s in scalars(log)[:2]] == [
            ("progress/done", 0, 1.0),
            ("progress/failed", 0, 1.0),
        ]
        directory.append({"key": "b", "status": "ok"})
        written.update(watcher.look())
        written.update(watcher.look())
        written.close()
    found = scalars(log)
    assert [(tag, value) for tag, _, value, _ in found if "hour" not in tag] == [
        ("progress/done", 1.0),
        ("progress/failed", 1.0),
        ("progress/done", 2.0),
        ("progress/failed", 1.0),
    ]
    assert found[-1][3] == watcher.look().history[-1][0]
    again = Curves(str(log))
    again.update(watcher.look())
    again.close()
    assert scalars(log)[-1] == found[-1]
    assert len(list(log.iterdir())) == 1


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file/x cannot be written \(.*\): name another"):
        Curves(str(tmp_path / "file" / "x"))
