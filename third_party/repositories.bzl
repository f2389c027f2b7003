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

py_library(
    name = "packages",
    data = ["packages.txt"],
)
"""

_LIST_PACKAGES = """
import importlib.metadata as metadata

print(*sorted({f"{d.name}=={d.version}" for d in metadata.distributions()}), sep="\\n")
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
    result = repository_ctx.execute([python, "-c", _LIST_PACKAGES])
    if result.return_code:
        fail("%s cannot list its packages:\n%s" % (python, result.stderr))

    repository_ctx.file("packages.txt", result.stdout, executable = False)
    repository_ctx.file("BUILD", _BUILD.format(python = python), executable = False)

python_environment = repository_rule(
    doc = """A Python interpreter with its installed packages.

    Modules are imported from the interpreter's site-packages. The target holds only the list of the
    packages and their versions: whatever is installed can be imported, what is absent is nowhere
    declared, and tests run again when another version is installed.
    """,
    implementation = _python_environment_impl,
    environ = ["NNGP_TF_PYTHON"],
    local = True,
)
