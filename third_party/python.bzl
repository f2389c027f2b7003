"""Programs and tests of packages, found by glob."""

_MARKS = {
    "fast": ("fast", "large"),
    "slow": ("not fast and not long", "enormous"),
    "long": ("long", "enormous"),
}

def python_programs(srcs, deps):
    """Makes a target of each module, which runs it as `python -m` does."""
    for src in srcs:
        name = src[:-len(".py")]
        native.py_binary(
            name = name,
            srcs = ["//third_party:run_module.py"],
            args = [native.package_name().replace("/", ".") + "." + name],
            main = "//third_party:run_module.py",
            deps = deps,
        )

def pytest_tests(srcs, deps):
    """Makes targets FOLDER_fast, FOLDER_slow and FOLDER_long of the pytest files of each folder.

    The files' own marks say which tests those are. `bazel test --test_filter=X` becomes pytest's
    `-k X`. Tests that are marked `long` run where they are named: `bazel test //...` passes over
    them.
    """
    folders = {}
    for src in srcs:
        folder, _, file = src.rpartition("/")
        path = folder if folder else file
        folders.setdefault(folder.replace("/", "_") or "top", {})[path] = True
    for folder, paths in folders.items():
        for mark, (expression, size) in _MARKS.items():
            native.py_test(
                name = "%s_%s" % (folder, mark),
                size = size,
                srcs = ["//third_party:pytest_main.py"],
                args = ["%s/%s" % (native.package_name(), path) for path in paths] +
                       ["-m", "'%s'" % expression],
                data = ["//:pyproject.toml"],
                main = "//third_party:pytest_main.py",
                tags = [mark] + (["manual"] if mark == "long" else []),
                deps = deps,
            )
