"""Runs the module that its first argument names, as `python -m` does, inside a Bazel target."""

import runpy
import sys

if __name__ == "__main__":
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
