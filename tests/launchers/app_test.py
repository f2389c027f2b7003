"""What launchers share: exit codes, one sentence on stderr, gin files found from anywhere."""

import os
import pathlib
import subprocess
import sys

import pytest

from launchers import app

pytestmark = pytest.mark.fast

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A launcher without TensorFlow, so that a process takes a fraction of a second.
TOY = """
import gin
from launchers import app
from nngp_tf.runs import errors

@gin.configurable
def toy(number=1, text="", shape=None, error=None):
    app.check_integers(number=number)
    run_dir = app.required(app.RUN_DIR)
    if number < 0:
        raise ValueError(f"number must not be negative, got {number}:\\n  give another\\n\\nMore.")
    if number == 0:
        raise RuntimeError("broken")
    if error is not None:
        raise getattr(errors, error)("it cannot go on:\\n  start it again\\n\\nMore.")
    return f"wrote {run_dir} {number} {text!r} {shape}"

if __name__ == "__main__":
    app.run(toy)
"""


@pytest.fixture
def toy(tmp_path):
    """Runs the toy launcher in a directory of its own."""
    (tmp_path / "toy.py").write_text(TOY)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "toy.py", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def assert_refused(process, sentence):
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr == f"toy: {sentence}\n"


def test_success(toy):
    process = toy("--run_dir=here", "--gin_param=toy.number = 3", "--gin_param=toy.text = 'a'")
    assert process.returncode == 0
    assert process.stdout == "wrote here 3 'a' None\n"
    assert process.stderr == ""


def test_files_come_before_parameters_and_later_ones_count(toy, tmp_path):
    (tmp_path / "one.gin").write_text("toy.number = 1\ntoy.text = 'one'\ntoy.shape = (1, 2)\n")
    (tmp_path / "two.gin").write_text("include 'one.gin'\ntoy.text = 'two'\n")
    process = toy("--run_dir=here", "--gin_param=toy.number = 7", "--gin_file=two.gin")
    assert process.stdout == "wrote here 7 'two' (1, 2)\n"
    process = toy("--run_dir=here", "--gin_file=two.gin", "--gin_file=one.gin")
    assert process.stdout == "wrote here 1 'one' (1, 2)\n"


def test_configurations_of_the_package_are_found_from_anywhere(toy):
    process = toy("--run_dir=here", "--gin_file=configs/nasbench101_digits.gin")
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    # It was read, and so was what it includes: the toy has none of their parameters.
    assert line.startswith("toy: gin: No configurable matching 'nngp_inference'")
    assert "configs/base/nasbench101.gin" in line


def test_bad_input_is_its_first_sentence(toy):
    assert_refused(
        toy("--run_dir=here", "--gin_param=toy.number = -1"),
        "number must not be negative, got -1: give another",
    )


@pytest.mark.parametrize(
    "error",
    ["RunEndedError", "NotWrittenError", "LostError", "LostWorkerError", "TooManyFailuresError"],
)
def test_a_run_that_was_well_begun_ends_with_a_sentence_and_another_exit_code(toy, error):
    process = toy("--run_dir=here", f"--gin_param=toy.error = {error!r}")
    assert process.returncode == 1
    assert process.stdout == ""
    assert process.stderr == "toy: it cannot go on: start it again\n"


def test_a_failure_shows_where(toy):
    process = toy("--run_dir=here", "--gin_param=toy.number = 0")
    assert process.returncode == 1
    assert "Traceback" in process.stderr
    assert "RuntimeError: broken" in process.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--run_dir is required"),
        (["--run_dir="], "--run_dir is required"),
        (["--run_dir"], "Missing value for flag --run_dir"),
        (["--run_dri=x"], "Unknown command line flag 'run_dri'. Did you mean: run_dir ?"),
        (["--run_dir=x", "y"], "unexpected argument 'y': launchers take flags only"),
        (
            ["--run_dir=x", "--logical_cpus=two"],
            "flag --logical_cpus=two: invalid literal for int() with base 10: 'two'",
        ),
        (
            ["--run_dir=x", "--gin_param=toy.numbre = 1"],
            "gin: Configurable 'toy' doesn't have a parameter named 'numbre'. Did you mean "
            "'number'? In bindings string line 1 toy.numbre = 1",
        ),
        (
            ["--run_dir=x", "--gin_param=toy.number = 2", "--gin_param=toy.number = = 3"],
            "gin: --gin_param: toy.number = = 3: a value is given by one equals sign, toy.number "
            "= 3",
        ),
        (
            ["--run_dir=x", "--gin_param=toi.number = 1"],
            "gin: No configurable matching 'toi'. Did you mean 'toy'? In bindings string line 1 "
            "toi.number = 1",
        ),
        (
            ["--run_dir=x", "--gin_param=toy.number = '3'"],
            "number must be an integer, got '3': correct it in gin",
        ),
        (
            ["--run_dir=x", "--gin_param=toy.number = 2.0"],
            "number must be an integer, got 2.0: correct it in gin",
        ),
    ],
)
def test_bad_flags_and_parameters(toy, arguments, sentence):
    assert_refused(toy(*arguments), sentence)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ["there is no gin file bad.gin"]),
        ("toy.number = = 3\n", ["bad.gin, line 1: toy.number = = 3: "]),
        ("toy.number = 1\ntoy.number 3\n", ["bad.gin, line 2: toy.number 3: "]),
        ("include 'missing.gin'\n", ["there is no gin file missing.gin"]),
        ("toy.numbre = 1\n", ["parameter named 'numbre'", 'In file "bad.gin", line 1']),
        ("import no_such_module\n", ["No module named 'no_such_module'"]),
        # A directory of that name is not taken for a Python package.
        ("include 'directory/missing.gin'\n", ["there is no gin file directory/missing.gin"]),
        ("toy.shape = @nothing\n", ["No configurable matching reference '@nothing'"]),
    ],
)
def test_bad_gin_files(toy, tmp_path, content, parts):
    if content is not None:
        (tmp_path / "bad.gin").write_text(content)
    (tmp_path / "directory").mkdir()
    process = toy("--run_dir=x", "--gin_file=bad.gin")
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith("toy: gin: ")
    assert all(part in line for part in parts), line


def test_check_integers():
    app.check_integers(a=1, b=None, c=-3)
    for bad in (True, 1.0, "1", [1]):
        with pytest.raises(ValueError, match="b must be an integer, got"):
            app.check_integers(a=1, b=bad)


def test_check_booleans():
    app.check_booleans(a=True, b=False)
    for bad in (0, 1, "no", None):
        with pytest.raises(ValueError, match="b must be True or False, got"):
            app.check_booleans(a=True, b=bad)
