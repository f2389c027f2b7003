"""BUILD files: a target for every Python file, whose deps are what the file imports."""

import ast
import dataclasses
import functools
import itertools
import pathlib
import re
import sys

import pytest

pytestmark = pytest.mark.fast

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = ("benchmarks", "configs", "launchers", "nngp_tf", "tests")
LIBRARY_HEADER = 'package(default_visibility = ["//visibility:public"])'
TEST_HEADER = 'load("//third_party:pytest.bzl", "pytest_test")'
DOTTED_NAME = re.compile(rf"\b(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
IMPLIED_TEST_DEPS = {"//tests:conftest", "//third_party:pytest"}  # by third_party/pytest.bzl


@dataclasses.dataclass(frozen=True)
class Target:
    """One rule of a BUILD file that has Python sources."""

    rule: str
    label: str
    source: str  # relative to ROOT
    deps: frozenset
    tags: frozenset

    @property
    def build_file(self):
        return f"{self.label[2:].split(':')[0]}/BUILD"

    def text(self):
        """What one would write into the BUILD file."""
        package, name = self.label[2:].split(":")
        lines = [f"name = {quote(name)},", f"srcs = [{quote(pathlib.Path(self.source).name)}],"]
        if self.tags:
            lines.append(f"tags = [{', '.join(map(quote, sorted(self.tags)))}],")
        deps = sorted((shorten(dep, package) for dep in self.deps), key=lambda x: (x[0] != ":", x))
        if len(deps) == 1:
            lines.append(f"deps = [{quote(deps[0])}],")
        elif deps:
            lines += ["deps = [", *(f"    {quote(dep)}," for dep in deps), "],"]
        return "\n".join([f"{self.rule}(", *(f"    {line}" for line in lines), ")"])


def quote(text):
    return f'"{text}"'


def shorten(label, package):
    """`//a/b:c` as written in `package`: `:c` in a/b, `//a/b` elsewhere if c is b."""
    directory, name = label[2:].split(":")
    if directory == package:
        return f":{name}"
    return f"//{directory}" if directory.split("/")[-1] == name else label


def lengthen(label, package):
    """The inverse of `shorten`."""
    if label.startswith(":"):
        return f"//{package}{label}"
    return label if ":" in label else f"{label}:{label.split('/')[-1]}"


def written_targets(package):
    """The targets that have one Python source, from the BUILD file of a directory."""
    path = ROOT / package / "BUILD"
    for statement in ast.parse(path.read_text()).body if path.exists() else ():
        call = statement.value if isinstance(statement, ast.Expr) else None
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError(f"{path}:{statement.lineno}: this test reads only plain rules")
        if call.func.id not in ("py_library", "py_binary", "py_test", "pytest_test"):
            continue
        attributes = {
            keyword.arg: ast.literal_eval(keyword.value)
            for keyword in call.keywords
            if keyword.arg in ("name", "srcs", "deps", "tags")
        }
        deps = frozenset(lengthen(dep, package) for dep in attributes.get("deps", ()))
        for source in attributes.get("srcs", ()):
            yield Target(
                rule=call.func.id,
                label=f"//{package}:{attributes['name']}",
                source=f"{package}/{source}",
                deps=deps,
                tags=frozenset(attributes.get("tags", ())),
            )


def label_of(source):
    """The label of a Python file: named after the file, `__init__.py` after its directory."""
    path = pathlib.PurePosixPath(source)
    name = path.parent.name if path.name == "__init__.py" else path.stem
    return f"//{path.parent}:{name}"


def source_of(module):
    """The file of a dotted first-party module, None where there is none."""
    path = module.replace(".", "/")
    for candidate in (f"{path}.py", f"{path}/__init__.py"):
        if (ROOT / candidate).is_file():
            return candidate
    return None


@functools.cache
def parse(source):
    return ast.parse((ROOT / source).read_text(), source)


def imported_modules(source):
    """Dotted names of what a file imports, `from a import b` as `a.b` where that is a module."""
    package = pathlib.PurePosixPath(source).parent.parts
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                member = f"{module}.{alias.name}"
                yield member if source_of(member) else module


def mentioned_modules(source):
    """First-party modules in a test's strings, as in `[sys.executable, "-m", "launchers.x"]`."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(parse(source))
        if isinstance(node, DOCUMENTED) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for match in DOTTED_NAME.findall(node.value) if id(node) not in docstrings else ():
                parts = match.split(".")
                prefixes = (".".join(parts[:n]) for n in range(len(parts), 1, -1))
                yield from itertools.islice(filter(source_of, prefixes), 1)


def imported_labels(source):
    """The labels of all first-party and third-party modules that a file imports."""
    modules = list(imported_modules(source))
    if source.startswith("tests/"):
        modules += mentioned_modules(source)
    for module in modules:
        top = module.split(".")[0]
        if (found := source_of(module)) is not None:
            if found != source:
                yield label_of(found)
        elif top in PACKAGES:
            pass  # a directory without __init__.py: nothing to depend on
        elif top not in sys.stdlib_module_names:
            yield f"//third_party:{top}"


def marks(source):
    """The marks of a test file: `fast` and `long` where the whole file is, `slow` where any is."""
    module_marks = [
        ast.unparse(node.value)
        for node in parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    for mark in ("fast", "long"):
        if any(f"pytest.mark.{mark}" in text for text in module_marks):
            yield mark
    nodes = ast.walk(parse(source))
    if any(isinstance(n, ast.Attribute) and ast.unparse(n) == "pytest.mark.slow" for n in nodes):
        yield "slow"


def expected_target(source):
    """The target that a Python file needs."""
    name = pathlib.PurePosixPath(source).name
    deps, tags, rule = set(imported_labels(source)), (), "py_library"
    if name.endswith("_test.py"):
        rule, tags = "pytest_test", marks(source)
        deps -= IMPLIED_TEST_DEPS
    elif any(
        isinstance(n, ast.If) and "__main__" in ast.unparse(n.test) for n in parse(source).body
    ):
        rule = "py_binary"
    return Target(rule, label_of(source), source, frozenset(deps), frozenset(tags))


def python_files():
    return [
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    ]


def problems():
    """One line for every line that the BUILD files lack, or have in vain."""
    sources = python_files()
    directories = {str(pathlib.PurePosixPath(source).parent) for source in sources}
    written = {}
    for package in sorted(directories):
        if not (ROOT / package / "BUILD").exists():
            header = TEST_HEADER if package.startswith("tests") else LIBRARY_HEADER
            yield f"{package}/BUILD: begin it with\n{header}"
        for target in written_targets(package):
            if target.source not in sources:
                yield f"{package}/BUILD: {target.label} has a source that is not there"
            written[target.source] = target
    third_party = {
        line.split('"')[1]
        for line in (ROOT / "third_party" / "BUILD").read_text().splitlines()
        if line.strip().startswith("name = ")
    }
    for source in sources:
        wanted, found = expected_target(source), written.get(source)
        if found is None:
            yield f"{wanted.build_file}: add for {source}\n{wanted.text()}"
            continue
        where = f"{found.build_file}: {quote(found.label.split(':')[1])}"
        package = found.build_file.removesuffix("/BUILD")
        if (found.rule, found.label) != (wanted.rule, wanted.label):
            yield f"{where}: make it\n{wanted.text()}"
        for dep in sorted(wanted.deps - found.deps):
            yield f"{where}: add to deps: {quote(shorten(dep, package))},"
        for dep in sorted(found.deps - wanted.deps):
            yield f"{where}: not imported, remove from deps: {quote(shorten(dep, package))},"
        for tag in sorted(wanted.tags - found.tags):
            yield f"{where}: add to tags: {quote(tag)},"
        for tag in sorted((found.tags - wanted.tags) & {"fast", "slow", "long"}):
            yield f"{where}: not marked so, remove from tags: {quote(tag)},"
        for dep in sorted(wanted.deps):
            directory, name = dep[2:].split(":")
            if directory == "third_party" and name not in third_party:
                yield f"third_party/BUILD: add a py_library {quote(name)}, imported by {source}"


def test_build_files_match_the_imports():
    if found := list(problems()):
        pytest.fail("\n".join(["Change the BUILD files:", *found]), pytrace=False)
