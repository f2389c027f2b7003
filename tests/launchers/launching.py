"""Launchers as tests run them: in this process, or as processes of their own."""

import contextlib
import io
import os
import pathlib
import re
import subprocess
import sys

import gin
import pytest
from absl import flags
from absl.testing import flagsaver

from launchers import app

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What TensorFlow and absl's logger write to stderr.
_CHATTER = re.compile(r"WARNING:|To enable|[IWE]\d{4} |\d{4}-\d\d-\d\d |\s*$")


def launch(launcher, *arguments):
    """Run a launcher in this process; return its exit code, stdout and stderr."""

    def run(main, flags_parser):
        # As absl does, but without changes to logging that would outlive the test.
        sys.exit(main(flags_parser(sys.argv)))

    out, error = io.StringIO(), io.StringIO()
    name = launcher.__name__.rpartition(".")[2]
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app.app, "run", run)
            patch.setattr(sys, "argv", [f"path/{name}.py", *arguments])
            with (
                flagsaver.flagsaver(),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(error),
                pytest.raises(SystemExit) as exited,
            ):
                launcher.run()
    finally:
        flags.FLAGS.unparse_flags()
        gin.clear_config()
    return exited.value.code or 0, out.getvalue(), error.getvalue()


def start(name, *arguments, **environment):
    """Start the launcher of that name as a process, without a GPU."""
    return subprocess.Popen(
        [sys.executable, "-m", f"launchers.{name}", *arguments],
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Wait for a process; return its exit code, stdout and stderr."""
    try:
        out, error = process.communicate(timeout=300)
    finally:
        process.kill()
    return process.returncode, out, error


def said(error):
    """Return the lines of stderr, progress bars among them, that the launcher itself wrote."""
    lines = error.replace("\r", "\n").splitlines()
    return [line for line in lines if not _CHATTER.match(line)]


def assert_refused(name, launched, message):
    """Check that the launcher of that name exited with 2 and one sentence, nothing else.

    Args:
      name: Of the launcher.
      launched: Exit code, stdout and stderr.
      message: A regular expression that the sentence begins with, or holds.
    """
    code, out, error = launched
    assert code == 2
    assert out == ""
    (line,) = error.splitlines()
    assert re.match(f"{name}: .*{message}", line), line
    # Gin's own remark on where it called.
    assert f"configurable '{name}' (<" not in line
