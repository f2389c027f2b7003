"""The wheel, and the one that is built from the source distribution."""

import os
import pathlib
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from tests.environments import ROOT
from tests.packaging import extras

pytestmark = pytest.mark.slow

BINDINGS = {"num_architectures": 2, "num_train": 20, "num_test": 20, "stem_filters": 2}


def run(*command, cwd, **environment):
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=inherited | environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def build(kind, source, out):
    """Build a "wheel" or an "sdist" of a source directory by setuptools, without a network."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    out.mkdir()
    run(sys.executable, "-c", code, out, cwd=source)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the source distribution, made as a packager makes it."""
    path = tmp_path_factory.mktemp("packages")
    sdist = build("sdist", extras.copy_sources(path / "tree"), path / "sdist")
    run("tar", "-xf", sdist, cwd=path)
    return build("wheel", path / sdist.name.removesuffix(".tar.gz"), path / "wheel")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment with the wheel, which sees the other packages of this one."""
    environment = tmp_path_factory.mktemp("installed") / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=ROOT)
    (site,) = environment.glob("lib/python*/site-packages")
    run(
        *(sys.executable, "-m", "pip", "--python", environment / "bin" / "python"),
        *("install", "--no-deps", "--quiet", wheel),
        cwd=ROOT,
    )
    # A bare path: the .pth files there, of this tree, are not followed.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


def test_the_wheel_holds_one_package_whole(wheel):
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert {name.partition("/")[0] for name in names} == {"nngp_tf"}
    for top in ("nngp_tf", "launchers", "configs"):
        paths = [path.relative_to(ROOT) for path in ROOT.joinpath(top).rglob("*") if path.is_file()]
        for path in paths:
            if path.suffix in (".py", ".gin"):
                wanted = path if top == "nngp_tf" else pathlib.Path("nngp_tf", path)
                assert wanted.as_posix() in names


def test_public_names_without_tensorflow(installed, tmp_path):
    code = """
import sys
import nngp_tf
nngp_tf.search_spaces.nasbench101.Cell([[0, 1], [0, 0]], ["input", "output"])
print(nngp_tf.launchers.__name__, "launchers" in dir(nngp_tf), "tensorflow" in sys.modules)
print(nngp_tf.__file__)
"""
    names, file = run(installed / "python", "-c", code, cwd=tmp_path).splitlines()
    assert names == "nngp_tf.launchers True False"
    assert file.startswith(str(installed.parent))


def test_console_scripts_and_modules_from_another_directory(installed, tmp_path):
    parameters = [f"--gin_param=nngp_inference.{n} = {value}" for n, value in BINDINGS.items()]
    # The gin file of that name is found in the package.
    arguments = ["--gin_file=configs/demo.gin", "--run_dir=run", *parameters]
    run(installed / "nngp-inference", *arguments, cwd=tmp_path)
    out = run(
        *(installed / "python", "-m", "nngp_tf.launchers.status", "--run_dir=run"), cwd=tmp_path
    )
    assert "2 of 2" in out or "2/2" in out


def test_every_console_script_loads(installed, tmp_path):
    code = """
from importlib import metadata
scripts = metadata.distribution("nngp_tf").entry_points.select(group="console_scripts")
print(*(script.load().__module__ for script in scripts))
"""
    found = run(installed / "python", "-c", code, cwd=tmp_path).split()
    programs = {path.stem for path in ROOT.glob("launchers/*.py")} - {
        "__init__",
        "app",
        "gin_files",
    }
    assert set(found) == {f"nngp_tf.launchers.{name}" for name in programs}
