"""BUILD files: what is said there of the packages' imports is what their modules import."""

import ast
import pathlib

import pytest

pytestmark = pytest.mark.fast

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "nngp_tf"


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(package, packages):
    """The other packages that the modules of one import."""
    modules = {module for path in package.rglob("*.py") for module in imported_modules(path)}
    names = {module.split(".")[1] for module in modules if module.startswith("nngp_tf.")}
    return sorted(names & packages - {package.name})


def test_each_package_names_what_it_imports():
    (written,) = (
        ast.literal_eval(statement.value)
        for statement in ast.parse((PACKAGE / "BUILD").read_text()).body
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "IMPORTS"
    )
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    found = {name: imports(PACKAGE / name, packages) for name in packages}
    found["runs"].remove("analysis")  # See CIRCLE there.
    assert written == found, "correct IMPORTS in nngp_tf/BUILD"
