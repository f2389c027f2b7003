"""Files written whole or not at all."""

import pytest
import tensorflow as tf

from nngp_tf.analysis.files import write_whole

pytestmark = pytest.mark.fast


def test_what_was_there_is_replaced_and_nothing_stays_aside(tmp_path):
    path = tmp_path / "new" / "file"
    assert write_whole(path, b"old") == str(path)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(ValueError, match=r"/file cannot be written \(.+\): name another place"):
        write_whole(tmp_path / "file", b"content")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_paths_of_tensorflow_file_systems(tmp_path):
    path = f"ram://{tmp_path.name}/folder/file"
    assert write_whole(path, b"\x00content") == path
    with tf.io.gfile.GFile(path, "rb") as file:
        assert file.read() == b"\x00content"
