"""Coverage-guided fuzzers, as processes.

A fuzzer is a module that calls `main`, run as

    python -m tests.PACKAGE.MODULE SEEDS -runs=N

in an environment that has Atheris. It ends with 0 after N cases, none of which raised anything.
"""

import os
import pathlib
import re
import subprocess
import sys

from tests import environments

CASES = int(os.environ.get("NNGP_TF_FUZZ_CASES", "100000"))
_ROOT = pathlib.Path(__file__).resolve().parents[1]


def main(test_one):
    """Run a fuzzer, as the flags of libFuzzer in `sys.argv` say; never returns.

    Args:
      test_one: Takes bytes, and raises an exception where something is wrong.
    """
    import atheris  # Only this process needs it.

    atheris.Setup(sys.argv, test_one)
    atheris.Fuzz()


def assert_nothing_found(module, seeds, tokens, directory):
    """Run a fuzzer for `CASES` cases; skip where Atheris cannot be installed.

    Args:
      module: Its dotted name.
      seeds: Inputs as bytes, to begin with.
      tokens: Bytes that inputs are made of.
      directory: Where inputs are kept, among them the one that a failure is of.
    """
    python = environments.python_with_extra("fuzz")
    (directory / "seeds").mkdir()
    for index, seed in enumerate(seeds):
        (directory / "seeds" / str(index)).write_bytes(seed)
    escaped = ("".join(f"\\x{byte:02x}" for byte in token) for token in tokens)
    (directory / "tokens").write_text("".join(f'"{token}"\n' for token in escaped))
    fuzzer = subprocess.run(
        [
            python,
            "-m",
            module,
            directory / "seeds",
            f"-runs={CASES}",
            f"-dict={directory}/tokens",
            "-seed=1",
            "-max_len=1500",
            "-timeout=60",
            f"-artifact_prefix={directory}/",
            "-print_final_stats=1",
        ],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    print(module, *fuzzer.stdout.splitlines()[-8:], sep="\n")
    assert fuzzer.returncode == 0, fuzzer.stdout[-4000:]
    # A fuzzer whose first import fails, say, would have nothing to find either.
    (executed,) = re.findall(r"stat::number_of_executed_units: (\d+)", fuzzer.stdout)
    assert int(executed) >= CASES, fuzzer.stdout[-4000:]
    assert int(re.findall(r"cov: (\d+)", fuzzer.stdout)[-1]) > 30, fuzzer.stdout[-4000:]
