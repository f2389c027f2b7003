"""Runs pytest on the files and folders it is given, inside a Bazel test."""

import os
import sys

import pytest


def main(arguments: list[str]) -> int:
    """Run the tests, reporting to Bazel and writing only where Bazel allows."""
    if scratch := os.environ.get("TEST_TMPDIR"):
        os.environ["HOME"] = os.environ["TMPDIR"] = scratch
    if report := os.environ.get("XML_OUTPUT_FILE"):
        arguments = [*arguments, f"--junitxml={report}"]
    if chosen := os.environ.get("TESTBRIDGE_TEST_ONLY"):
        arguments = [*arguments, "-k", chosen]
    code = pytest.main([*arguments, "--config-file=pyproject.toml", "-p", "no:cacheprovider"])
    # A folder need not hold tests of each mark.
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
