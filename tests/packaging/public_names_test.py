"""`import nngp_tf` reaches every module, and loads TensorFlow when one needs it."""

import pathlib
import subprocess
import sys

import pytest

import nngp_tf
from tests.environments import ROOT

pytestmark = pytest.mark.fast

# Of an extra that is not in the environment of the tests.
OPTIONAL = {"nngp_tf.runs.pipeline"}


def modules():
    package = pathlib.Path(nngp_tf.__path__[0])
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if name != "nngp_tf" and name not in OPTIONAL:
            yield name


@pytest.mark.parametrize("name", list(modules()))
def test_a_module_is_reached(name):
    *packages, last = name.split(".")[1:]
    package = nngp_tf
    for part in packages:
        package = getattr(package, part)
    assert last in dir(package)
    found = getattr(package, last)
    # `profile` of gaussian_process is the function, of the module of that name.
    assert name in (found.__name__, getattr(found, "__module__", None))


@pytest.mark.parametrize(
    "statement",
    [
        "nngp_tf.search_spaces.nasbench101.sample(numpy.random.default_rng(0))",
        "nngp_tf.search_spaces.mnas.MNASNET_A1",
        "nngp_tf.analysis.metrics.kendall_tau([1, 2, 3], [1, 2, 3])",
        "nngp_tf.analysis.figures.pareto_front",
        "nngp_tf.data.benchmark_table.load",
        "nngp_tf.runs.status.Watcher",
        "dir(nngp_tf), dir(nngp_tf.runs), dir(nngp_tf.search_spaces)",
    ],
)
def test_what_needs_no_tensorflow_loads_none(statement):
    code = f"""
import sys, numpy
import nngp_tf
{statement}
assert not {{"tensorflow", "keras"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    "path, wrong, right",
    [("", "kernel", "kernels"), ("search_spaces", "nasbench102", "nasbench101")],
)
def test_an_unknown_name_is_an_attribute_error_with_the_nearest_one(path, wrong, right):
    package = getattr(nngp_tf, path) if path else nngp_tf
    with pytest.raises(AttributeError, match=f"no attribute '{wrong}'") as raised:
        getattr(package, wrong)
    assert repr(right) in str(raised.value)
    with pytest.raises(ImportError, match=wrong):
        exec(f"from {package.__name__} import {wrong}")
