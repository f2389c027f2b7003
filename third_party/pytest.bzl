"""A Bazel test of one pytest file."""

def pytest_test(name, srcs, deps = [], data = [], tags = [], **kwargs):
    """Runs the file in `srcs` by pytest; `bazel test --test_filter=X` becomes pytest's `-k X`.

    Files that are marked `long` are tested where they are named: `bazel test //...` passes over them.
    """
    long = "long" in tags
    native.py_test(
        name = name,
        size = "enormous" if long else "large" if "slow" in tags else "medium",
        srcs = ["//third_party:pytest_main.py"] + srcs,
        args = ["$(location %s)" % src for src in srcs] + (["-m long"] if long else []),
        data = data + ["//:pyproject.toml"],
        main = "//third_party:pytest_main.py",
        tags = tags + (["manual"] if long else []),
        deps = deps + ["//tests:conftest", "//third_party:pytest"],
        **kwargs
    )
