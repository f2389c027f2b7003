"""What the README shows works."""

import pathlib
import re

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    module_hash, test_accuracy, loo_accuracy = capsys.readouterr().out.split()
    # The published hash of the ResNet-like cell; ten classes leave 0.1 to chance.
    assert module_hash == "b5fb4f6193360330b6ff6a52cbf0cad7"
    assert float(test_accuracy) > 0.5
    assert float(loo_accuracy) > 0.5


def test_configurations_that_are_named_exist():
    named = set(re.findall(r"configs/\w+\.gin", README))
    assert named
    for path in named:
        assert (ROOT / path).is_file(), path
