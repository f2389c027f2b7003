"""Every command of the tutorial runs, one after the other, with fewer and smaller networks."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long

ROOT = pathlib.Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
NUM_CELLS = 4
# Added to the configurations that the commands name: a program of one module in place of three.
SMALLER = {
    "demo.gin": "\nnngp_inference.num_stacks = 1\n",
    "demo_training.gin": "\nshort_training.num_stacks = 1\nshort_training.num_train = 200\n",
}


def commands():
    """The shell blocks of the tutorial as one script."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    script = "\n".join(blocks)
    assert script.count("CELLS=24") == 1
    return script.replace("CELLS=24", f"CELLS={NUM_CELLS}")


def test_commands_run(tmp_path):
    for name in ("launchers", "nngp_tf"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for name, lines in SMALLER.items():
        with (tmp_path / "configs" / name).open("a") as file:
            file.write(lines)
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    process = subprocess.run(
        ["sh", "-eu", "-c", commands()],
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    written = re.findall(r"^wrote (.*)$", process.stdout, re.MULTILINE)
    assert written == [
        "runs/tutorial/nngp/results*.jsonl",
        "runs/tutorial/short/results*.jsonl",
        "runs/tutorial/long/results*.jsonl",
        "runs/tutorial/report/report.html",
        "runs/tutorial/kept/results*.jsonl",
        "runs/tutorial/rescored/results*.jsonl",
    ]
    report = (tmp_path / "runs/tutorial/report/report.html").read_text()
    assert "data:image/png;base64," in report
    assert (tmp_path / "runs/tutorial/report/table.csv").stat().st_size > 1000


def test_figures_are_there():
    for figure in re.findall(r"!\[.*?\]\((.*?)\)", TUTORIAL.read_text()):
        assert (TUTORIAL.parent / figure).stat().st_size > 10_000
