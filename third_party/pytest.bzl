"""A Bazel test of one pytest file."""

def pytest_test(name, srcs, deps = [], data = [], tags = [], **kwargs):
    """Runs the file in `srcs` by pytest; `bazel test --test_filter=X` becomes pytest's `-k X`."""
    native.py_test(
        name = name,
        size = "large" if "slow" in tags else "medium",
        srcs = ["//third_party:pytest_main.py"] + srcs,
        args = ["$(location %s)" % src for src in srcs],
        data = data + ["//:pyproject.toml"],
        main = "//third_party:pytest_main.py",
        tags = tags,
        deps = deps + ["//tests:conftest", "//third_party:pytest"],
        **kwargs
    )
