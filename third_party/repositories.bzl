"""External repositories, all made on this machine: Bazel needs no network."""

def _stub_impl(repository_ctx):
    repository_ctx.file("WORKSPACE", executable = False)
    for path, content in repository_ctx.attr.files.items():
        repository_ctx.file(path, content, executable = False)

_stub = repository_rule(
    doc = "A repository of the given files.",
    implementation = _stub_impl,
    attrs = {"files": attr.string_dict()},
)

def _native_rules(names):
    return "".join(["{0} = native.{0}\n".format(name) for name in names])

def offline_repositories():
    """Stands in for what Bazel's own C++, Java and coverage packages load.

    Bazel looks at those packages when it chooses toolchains, even where only Python is built, and would
    download the repositories they load from.
    """
    _stub(
        name = "rules_cc",
        files = {
            "cc/BUILD": "",
            "cc/defs.bzl": _native_rules(["cc_binary", "cc_library", "cc_test", "cc_toolchain", "cc_toolchain_suite"]),
        },
    )
    _stub(
        name = "rules_java",
        files = {
            "java/BUILD": "",
            "java/defs.bzl": _native_rules(["java_import", "java_runtime", "java_toolchain"]),
        },
    )
    _stub(
        name = "remote_coverage_tools",
        files = {
            "BUILD": """
package(default_visibility = ["//visibility:public"])
filegroup(name = "coverage_report_generator")
filegroup(name = "lcov_merger")
""",
        },
    )

_BUILD = """
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")

package(default_visibility = ["//visibility:public"])

py_runtime(
    name = "py3_runtime",
    interpreter_path = "{python}",
    python_version = "PY3",
)

py_runtime_pair(
    name = "runtime_pair",
    py3_runtime = ":py3_runtime",
)

toolchain(
    name = "toolchain",
    toolchain = ":runtime_pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)
"""

_LIBRARY = """
py_library(
    name = "{name}",
    data = {records},
)
"""

# Prints "import_name record_file" for every distribution that gives a top-level module.
_LIST_MODULES = """
import importlib.metadata as metadata
import re

for name, distributions in sorted(metadata.packages_distributions().items()):
    if re.fullmatch("[A-Za-z]\\\\w*", name):
        for distribution in sorted(set(distributions)):
            print(name, metadata.distribution(distribution)._path / "RECORD")
"""

def _python_environment_impl(repository_ctx):
    python = repository_ctx.os.environ.get("NNGP_TF_PYTHON")
    if not python:
        environment = str(repository_ctx.path(Label("@//:WORKSPACE")).dirname) + "/.venv"
        python = environment + "/bin/python"
        if repository_ctx.path(environment + "/setup.stamp").exists:
            # Looking up the label makes Bazel read the environment again after each `make setup`.
            repository_ctx.path(Label("@//:.venv/setup.stamp"))
    if not repository_ctx.path(python).exists:
        fail("no Python at %s: run `make setup`, or set NNGP_TF_PYTHON to an interpreter" % python)
    result = repository_ctx.execute([python, "-c", _LIST_MODULES])
    if result.return_code:
        fail("%s cannot list its packages:\n%s" % (python, result.stderr))

    records = {}
    for line in result.stdout.splitlines():
        name, record = line.split(" ", 1)
        copy = "%s/%s" % (name, record.split("/")[-2])
        repository_ctx.file(copy, repository_ctx.read(record), executable = False)
        records.setdefault(name, []).append(copy)
    repository_ctx.file(
        "BUILD",
        _BUILD.format(python = python) +
        "".join([_LIBRARY.format(name = name, records = copies) for name, copies in records.items()]),
        executable = False,
    )

python_environment = repository_rule(
    doc = """A Python interpreter with its installed packages.

    A package's target holds only the list of its files (its RECORD); modules are imported from the
    interpreter's site-packages, and tests run again when another version is installed.
    """,
    implementation = _python_environment_impl,
    environ = ["NNGP_TF_PYTHON"],
    local = True,
)
