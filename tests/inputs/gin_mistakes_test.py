"""Mistakes in gin: what to write instead is said, with the place."""

import os
import pathlib
import subprocess
import sys

import gin
import pytest

from launchers import gin_files

pytestmark = pytest.mark.fast

ROOT = pathlib.Path(__file__).resolve().parents[2]


@gin.configurable
def toy(number=1, text="", shape=None):
    return number, text, shape


@pytest.fixture(autouse=True)
def forget_gin():
    yield
    gin.clear_config()


def _said(*bindings, files=()):
    with pytest.raises(ValueError) as caught:
        gin_files.parse([str(file) for file in files], bindings)
    return " ".join(str(caught.value).split())


# What is written, and what the sentence tells to write.
MISTAKES = [
    ("toy.text = one_update", "in quotes, toy.text = 'one_update'"),
    ("toy.text = cifar10  # a set", "in quotes, toy.text = 'cifar10'"),
    ("toy.text = /a/b", "in quotes, toy.text = '/a/b'"),
    ("toy.text = gs://bucket/a", "in quotes, toy.text = 'gs://bucket/a'"),
    ("toy.text = file:cells.txt", "in quotes, toy.text = 'file:cells.txt'"),
    ("toy.text = a-b", "in quotes, toy.text = 'a-b'"),
    ("toy.text = 2024/run", "in quotes, toy.text = '2024/run'"),
    ("toy.text = 'abc", "open and close a string, toy.text = 'abc'"),
    ("toy.text = abc'", "open and close a string, toy.text = 'abc'"),
    ("toy.text = 'abc\"", "open and close a string, toy.text = 'abc'"),
    ("toy.text = '''abc", "open and close a string, toy.text = 'abc'"),
    ("toy.text = \u2018abc\u2019", "straight ones, toy.text = 'abc'"),
    ("toy.text = \u201cabc\u201d", 'straight ones, toy.text = "abc"'),
    ("toy.text = 'abc' def", "def follows the value"),
    ("toy.number = true", "true is written True, toy.number = True"),
    ("toy.number = FALSE", "FALSE is written False, toy.number = False"),
    ("toy.number = none", "none is written None, toy.number = None"),
    ("toy.number = null", "null is written None, toy.number = None"),
    ("toy.number = 2 * 3", "a number is written like 1.5"),
    ("toy.number = 1,5", "in brackets, toy.number = (1,5), and a number like 1.5"),
    ("toy.number = 08", "a number is written like 1.5"),
    ("toy.number =", "no value follows"),
    ("toy.number", "NAME.PARAMETER = VALUE"),
    ("toy.number 3", "NAME.PARAMETER = VALUE"),
    ("--toy.number = 3", "NAME.PARAMETER = VALUE"),
    ("toy.number := 3", "one equals sign, toy.number = 3"),
    ("toy.number == 3", "one equals sign, toy.number = 3"),
    ("toy.number: 3", "one equals sign, toy.number = 3"),
    ("toy.shape = (a, 'b')", "in quotes, 'a' within toy.shape"),
    ("toy.shape = {'a': b}", "in quotes, 'b' within toy.shape"),
    ("toy.shape = [1, true]", "true is written True, True within toy.shape"),
    ("toy.shape = [1, 2", "missing in toy.shape"),
    ("toy.shape = [1 2]", "missing in toy.shape"),
    ("include a/b.gin", "in quotes, include 'a/b.gin'"),
    ("toy.numbr = 3", "Did you mean 'number'?"),
    ("toy.zzz = 3", "Known: number, shape, text."),
    ("tooy.number = 3", "Did you mean 'toy'?"),
    ("toy.text = @tooy()", "Did you mean 'toy'?"),
    ("toy.text = %wide", "write wide = VALUE"),
    ("toy.number = 2 toy.text = 'a'", "a line of its own"),
    ("toy.number = 2; toy.text = 'a'", "a line of its own"),
    ("toy.text = a, toy.number = 2", "a line of its own"),
    ("toy.text = 'a' toy.number = 2", "a line of its own"),
    ("shape = 3", "write toy.shape = 3"),
    ("toy/shape = 3", "write toy.shape = 3"),
]


@pytest.mark.parametrize(("mistake", "advice"), MISTAKES)
def test_mistakes_in_bindings_and_files(tmp_path, mistake, advice):
    said = _said("toy.number = 1", mistake)
    assert said.startswith("gin: ")
    assert advice in said
    # After sound lines and comments, in a file.
    path = tmp_path / "some.gin"
    path.write_text(f"# (a comment's\ntoy.text = 'x'\n{mistake}\n")
    gin.clear_config()
    said = _said(files=[path])
    assert advice in said
    if "%" not in mistake and not mistake.endswith("shape = 3"):  # These are known only at the end.
        assert "line 3" in said
        assert "some.gin" in said


def test_the_place_in_an_included_file(tmp_path):
    inner, outer = tmp_path / "inner.gin", tmp_path / "outer.gin"
    inner.write_text("toy.number = 2\n\ntoy.shape = (\n    'a',\n    b,\n)\ntoy.text = 'c'\n")
    outer.write_text(f"include {str(inner)!r}\n")
    said = _said(files=[outer])
    assert "inner.gin, line 3: toy.shape = " in said
    assert "'b' within toy.shape" in said


def test_files_that_include_one_another(tmp_path):
    one, other = tmp_path / "one.gin", tmp_path / "other.gin"
    one.write_text(f"include {str(other)!r}\n")
    other.write_text(f"include {str(one)!r}\n")
    assert "in a circle" in _said(files=[one])


def test_a_bracket_that_is_not_closed_is_named_where_it_opens(tmp_path):
    (tmp_path / "some.gin").write_text("toy.number = 2\ntoy.shape = (1,\ntoy.text = 'c'\n")
    said = _said(files=[tmp_path / "some.gin"])
    assert "line 2" in said
    assert "missing in toy.shape" in said


def test_a_block_of_bindings(tmp_path):
    (tmp_path / "some.gin").write_text("toy:\n  number = 2\n  text = abc\n")
    said = _said(files=[tmp_path / "some.gin"])
    assert "line 3" in said
    assert "text = 'abc'" in said


def test_a_module_that_python_cannot_read(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "gin_mistakes_broken.py").write_text("x = 1\ny = = 2\n")
    said = _said("import gin_mistakes_broken")
    assert "gin_mistakes_broken.py, line 2" in said


def test_missing_files_and_the_nearest_name(tmp_path):
    (tmp_path / "digits.gin").write_text("toy.number = 2\n")
    said = _said(files=[tmp_path / "digit.gin"])
    assert f"there is no gin file {tmp_path}/digit.gin" in said
    assert f"Did you mean '{tmp_path}/digits.gin'?" in said
    (tmp_path / "outer.gin").write_text(f"include '{tmp_path}/digist.gin'\n")
    said = _said(files=[tmp_path / "outer.gin"])
    assert "digits.gin'?" in said
    assert "outer.gin" in said
    assert "there is no gin file" in _said(files=[tmp_path])


def test_macros_that_are_used_are_no_mistakes():
    bindings = ["number = 3", "other = %number", "toy.shape = (1, [%other])", "unused = 5"]
    gin_files.parse([], bindings)
    assert toy() == (1, "", (1, [3]))


def test_a_launcher_says_it_in_one_line_without_a_traceback(tmp_path):
    (tmp_path / "some.gin").write_text("toy.text = one_update\n")
    program = (
        "import gin; from launchers import app\n"
        "@gin.configurable\n"
        "def toy(text=''): return text\n"
        "app.run(toy)\n"
    )
    (tmp_path / "toy.py").write_text(program)
    process = subprocess.run(
        [sys.executable, "toy.py", "--gin_file=some.gin"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert "some.gin, line 1" in line
    assert "toy.text = 'one_update'" in line
