"""Runs pytest on the files it is given, inside a Bazel test."""

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
    return pytest.main([*arguments, "--config-file=pyproject.toml", "-p", "no:cacheprovider"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
