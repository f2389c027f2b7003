"""Every command of docs/tpu.md: the shell takes it, and what it starts of ours parses."""

import importlib
import os
import pathlib
import re
import subprocess

import gin
import pytest
from absl import flags
from absl.testing import flagsaver

from launchers import app

pytestmark = pytest.mark.fast

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "tpu.md"
_ENTRY_POINT = re.compile(r'"([\w-]+) = nngp_tf\.(launchers\.\w+):run"')
SCRIPTS = dict(_ENTRY_POINT.findall((ROOT / "setup.py").read_text()))
STUBS = (
    *("gcloud", "python", "python3", "sbatch", "sudo", "pip", "dask", *SCRIPTS),
    *("nngp/bin/pip", "nngp/bin/nngp-inference", "preflight/bin/pip", "preflight/bin/python"),
    *(".venv/bin/pip", ".venv/bin/python"),
    *(".venv-beam/bin/pip", ".venv-beam/bin/python", ".venv-beam/bin/dask"),
)
# Notes its arguments, and runs what gcloud would run on a machine.
STUB = """#!/bin/sh
printf '%s\\0' "$0" "$@" > "$COMMANDS/$$"
for argument; do
  case $argument in --command=*) sh -eu -c "${argument#--command=}" ;; esac
done
"""


def blocks():
    """Return the shell blocks of the document as one script."""
    found = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) > 10
    return "\n".join(found)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Return every command that the document starts, save the shell's own, and its arguments."""
    directory = tmp_path_factory.mktemp("commands")
    notes, work = directory / "notes", directory / "work"
    notes.mkdir()
    for name in STUBS:
        stub = work / ("bin" if "/" not in name else "") / name
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(STUB)
        stub.chmod(0o755)
    for name in ("nngp_tf-1.0-py3-none-any.whl", "nngp.log"):
        (work / name).touch()
    environment = os.environ | {
        "PATH": f"{work / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "COMMANDS": str(notes),
    }
    done = subprocess.run(
        ["sh", "-eu", "-c", blocks() + "\nwait"],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return [note.read_text().split("\0")[:-1] for note in sorted(notes.iterdir())]


def started(command):
    """Return the module of ours that a command starts, and its arguments; None for another."""
    program, *arguments = command
    name = pathlib.Path(program).name
    if name in SCRIPTS:
        return SCRIPTS[name], arguments
    if name == "python" and arguments[1].startswith(("launchers.", "benchmarks.")):
        assert arguments[0] == "-m"
        return arguments[1], arguments[2:]
    if name == "sbatch":
        script = next(i for i, text in enumerate(arguments) if text.endswith(".sh"))
        assert (ROOT / arguments[script]).is_file()
        assert arguments[script + 1].isdecimal()
        return "launchers.nngp_inference", arguments[script + 2 :]
    return None


def test_what_they_start_parses(commands):
    seen = set()
    for module, arguments in filter(None, map(started, commands)):
        seen.add(module)
        importlib.import_module(module)
        is_sweep = module == "launchers.sweep"
        try:
            with flagsaver.flagsaver():
                others = flags.FLAGS([module, *arguments], known_only=is_sweep)[1:]
                app.shard()
                if module.startswith("launchers."):
                    app._parse_gin()
        finally:
            flags.FLAGS.unparse_flags()
            gin.clear_config()
        names = {other.partition("=")[0] for other in others}
        assert names <= ({"--runner", "--dask_client_address"} if is_sweep else set()), arguments
    expected = ("nngp_inference", "tpu_preflight", "status", "compare", "sweep")
    assert seen == {"benchmarks.gpu", *(f"launchers.{name}" for name in expected)}


def test_each_host_has_its_shard(commands):
    runs = [arguments for _, arguments in filter(None, map(started, commands))]
    whole = [run for run in runs if any("range:0:423624" in argument for argument in run)]
    shards = sorted(text for run in whole for text in run if text.startswith("--shard="))
    assert shards == [f"--shard={i}/4" for i in range(4)]
    assert all("--tpu=local" in run for run in whole)


def test_extras_that_are_installed_exist():
    extras = set(re.findall(r"^ {8}\"([\w.-]+)\": \[", (ROOT / "setup.py").read_text(), re.M))
    lists = re.findall(r"(?:'\.|\))\[([\w.,-]+)\]", blocks())
    named = set(",".join(lists).split(","))
    assert {"cpu", "gpu", "tpu-2.19", "preflight", "beam"} <= named <= extras


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#:]+)\)", DOCUMENT.read_text()):
        assert (DOCUMENT.parent / link).exists(), link
