"""The progress bar on stderr, with log lines above it."""

import logging as standard_logging
import time

import pytest
from absl import logging

from nngp_tf.runs import progress

pytestmark = pytest.mark.fast


def handled_stream():
    return logging.get_absl_handler().python_handler.stream


def log(text):
    # What absl's handler does once a program has parsed its flags; tests parse none.
    handler = logging.get_absl_handler().python_handler
    record = logging.get_absl_logger().makeRecord("absl", 20, "file.py", 1, text, (), None)
    standard_logging.StreamHandler.emit(handler, record)


def test_counts_what_was_done_before(capsys):
    with progress.bar(5, 3, "NNGP") as bar:
        time.sleep(0.2)  # The bar is drawn anew ten times a second at most.
        bar.update()
        bar.update()
    error = capsys.readouterr().err
    assert "NNGP: 100%" in error
    assert "5/5" in error
    assert "3/5" not in error  # Not before the first update.


def test_log_lines_stand_on_lines_of_their_own(capsys):
    with progress.bar(2, 0, "NNGP") as bar:
        log("before the bar is shown")
        time.sleep(0.2)
        bar.update()
        log("one is done")
        bar.update()
    error = capsys.readouterr().err
    assert "NNGP" in error
    assert "\n\n" not in error
    lines = error.replace("\r", "\n").split("\n")
    for text in ("before the bar is shown", "one is done"):
        (line,) = [line for line in lines if text in line]
        assert line.endswith(text)
        assert "NNGP" not in line


def test_bad_input_before_the_first_update_leaves_no_trace(capsys):
    with pytest.raises(ValueError, match="bad"), progress.bar(5, 0, "NNGP"):
        raise ValueError("bad")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_logging_goes_on_as_before(error):
    before = handled_stream()
    try:
        with progress.bar(1, 0, "NNGP"):
            assert handled_stream() is not before
            if error:
                raise error
    except KeyboardInterrupt:
        pass
    assert handled_stream() is before
