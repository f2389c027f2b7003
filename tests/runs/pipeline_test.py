"""The pipeline of a sweep, in the environment of Beam: its flags, and what its job graph holds."""

import subprocess

import pytest

from tests import environments

pytestmark = pytest.mark.slow


def test_pipeline():
    python = environments.python_with_extra("beam")
    # The tests of this file are in another one, which wants Beam.
    cases = "tests/runs/pipeline_cases.py"
    ran = subprocess.run(
        [python, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", cases],
        cwd=environments.ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]
