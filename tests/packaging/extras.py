"""Installs each extra in an environment of its own, and sees whether it holds and works.

    python -m tests.packaging.extras               # all, and the pairs that are documented
    python -m tests.packaging.extras cpu cpu,beam  # some

Needs a package index, and up to 10 GiB of disk for [gpu]; one environment exists at a time. [tpu]
and [tpu-2.19] are left to `make test-tpu`.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "extras"
PAIRS = ("cpu,figures,test,lint", "cpu,figures", "cpu,beam", "cpu,preflight", "cpu,search")
# What each extra is for, in a few lines.
USES = {
    # TensorFlow Datasets imports what it needs of a data set at its first use.
    "cpu": "import tensorflow_datasets as tfds; tfds.builder_cls('cifar10')",
    "gpu": "import tensorflow as tf; assert tf.test.is_built_with_cuda()",
    "figures": (
        "from nngp_tf.analysis import figures; figures.scatter("
        "[0.1, 0.2, 0.4], [0.2, 0.3, 0.3], 'score', 'accuracy')"
    ),
    "preflight": (
        "from nngp_tf.kernels import tpu_compile as compile; "
        "compile.check_topology(compile.Topology.parse('v5e:2x2'))"
    ),
    "beam": (
        "import sys; from nngp_tf.launchers import sweep; sys.argv[1:] = ["
        "'--gin_file=configs/demo.gin', '--gin_param=nngp_inference.num_architectures = 2', "
        "'--run_dir=sweep', '--direct_num_workers=2']; sweep.run()"
    ),
    "fuzz": "import atheris",
    "tensorboard": "import tensorboard.summary",
    "search": "from nngp_tf.search_spaces import mnas_pyglove; mnas_pyglove.space()",
    "test": "import hypothesis, psutil, pytest, xdist",
    "lint": "import ruff; ruff.find_ruff_bin()",
}
NEED_TENSORFLOW = {"preflight", "beam"}
WITHOUT_TENSORFLOW = """
import sys
import nngp_tf
from nngp_tf.analysis import metrics

cell = nngp_tf.search_spaces.nasbench101.Cell([[0, 1], [0, 0]], ["input", "output"])
assert cell.module_hash and metrics.kendall_tau([1, 2, 3], [1, 2, 3]).value == 1
assert not {"tensorflow", "keras"} & set(sys.modules)
"""


def extras() -> list[str]:
    """Return the extras of setup.py, without [tpu]."""
    text = (ROOT / "setup.py").read_text()
    names = re.findall(r'^        "(\w+)": \[', text, re.MULTILINE)
    assert set(names) - {"tpu"} == set(USES), "say in USES what each extra is for"
    return [name for name in names if name != "tpu"]


def copy_sources(path: pathlib.Path) -> pathlib.Path:
    """Copy what is packaged: files that one build leaves in a tree get into the next wheel."""
    for name in ("nngp_tf", "launchers", "configs"):
        shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, path)
    return path


def run(*command: object, code: int = 0) -> str:
    """Run a command outside of the tree; return its output.

    Raises:
      RuntimeError: If it ends with another exit code.
    """
    done = subprocess.run(
        list(map(str, command)),
        cwd=BUILD,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != code:
        raise RuntimeError(f"{' '.join(map(str, command))[:200]}\n{done.stdout[-2000:]}")
    return done.stdout


def try_extras(wheel: pathlib.Path, names: str) -> str:
    """Install the extras, use each, and return what came of the README's ten lines."""
    environment = BUILD / "environment"
    python = environment / "bin" / "python"
    run(sys.executable, "-m", "venv", "--clear", environment)
    run(python, "-m", "pip", "install", "--upgrade", "pip")
    run(python, "-m", "pip", "install", "--no-compile", "--progress-bar=off", f"{wheel}[{names}]")
    run(python, "-m", "pip", "check")
    run(python, "-c", WITHOUT_TENSORFLOW)
    has_tensorflow = bool({"cpu", "gpu"} & set(names.split(",")))
    for name in names.split(","):
        if has_tensorflow or name not in NEED_TENSORFLOW:
            run(python, "-c", USES[name])
    (ten_lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    if has_tensorflow:
        return run(python, "-c", ten_lines).splitlines()[-1]
    for command, code in (([python, "-c", ten_lines], 1), ([environment / "bin/nngp-status"], 2)):
        said = run(*command, code=code).splitlines()[-1]
        if "pip install 'nngp_tf[cpu]'" not in said:
            raise RuntimeError(f"does not name the extra with TensorFlow: {said}")
    return "names the extras that bring TensorFlow"


def main(chosen: list[str]) -> int:
    """Try the extras, print a line for each, and return how many failed."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    sources = copy_sources(BUILD / "sources")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", BUILD, sources)
    (wheel,) = BUILD.glob("*.whl")
    failed = 0
    for names in chosen or [*extras(), *PAIRS]:
        start = time.monotonic()
        try:
            outcome = f"ok: {try_extras(wheel, names)}"
        except RuntimeError as error:
            outcome = f"FAILED: {error}"
            failed += 1
        files = (BUILD / "environment").rglob("*")
        size = sum(path.lstat().st_size for path in files) / 2**20
        print(f"[{names}] {time.monotonic() - start:.0f} s, {size:,.0f} MiB, {outcome}", flush=True)
        shutil.rmtree(BUILD / "environment", ignore_errors=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
