"""Environments of their own, for extras that do not go with the packages that are tested."""

import ast
import pathlib
import subprocess
import sys
import sysconfig

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def python_with_extra(extra):
    """Return a Python that sees this one's packages and has an extra of setup.py besides.

    It is made once, in the tree; the test is skipped where the extra cannot be installed.
    """
    requirements = _requirements(extra)
    environment = ROOT / f".venv-{extra}"
    python = environment / "bin" / "python"
    stamp = environment / "setup.stamp"
    packages = sysconfig.get_path("purelib")
    wanted = "\n".join([*requirements, sys.version, packages, ""])
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        inner = subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        )
        # Unlike a bare path, this also follows the .pth files that it finds there.
        line = f"import site; site.addsitedir({packages!r})\n"
        (pathlib.Path(inner.strip()) / "tested_environment.pth").write_text(line)
        install = [python, "-m", "pip", "install", "--progress-bar=off", *requirements]
        subprocess.run(install, check=True, capture_output=True, text=True, timeout=600)
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or "").strip().splitlines()[-1:] or [str(error)]
        pytest.skip(f"{' and '.join(requirements)} cannot be installed: {reason[0]}")
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{environment} cannot be made: {error}")
    stamp.write_text(wanted)
    return python


def _requirements(extra):
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())):
        if isinstance(node, ast.keyword) and node.arg == "extras_require":
            return ast.literal_eval(node.value)[extra]
    raise AssertionError("setup.py has no extras")
