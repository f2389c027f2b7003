"""The TPU preflight: what it refuses and prints, and the TPU compiler where pip can install it."""

import json
import os
import pathlib
import re
import subprocess
import sys

import gin
import pytest
from absl import flags
from absl.testing import flagsaver

from launchers import app, tpu_preflight
from nngp_tf.kernels import tpu_compile
from nngp_tf.kernels.tpu_compile import Compilation, CompilationError, Topology
from nngp_tf.runs import mnas_preflight, preflight
from tests import environments

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = "--gin_file=configs/nasbench101_cifar10.gin"
MNAS = [
    "--tpu_topology=v5e:2x2",
    "--gin_param=nngp_inference.space = 'mnas'",
    "--gin_param=nngp_inference.num_architectures = 7",
]
OTHER_GENERATIONS = ("v4:2x2x1", "v5p:2x2x1", "v6e:2x2")
SMALL = [
    "--gin_file=configs/nasbench101_digits.gin",
    "--gin_param=nngp_inference.stem_filters = 8",
    "--gin_param=nngp_inference.num_train = 10",
    "--gin_param=nngp_inference.num_test = 6",
    "--image_shape=8,8,3",
]


@pytest.fixture(scope="module")
def preflight_python():
    """A Python that has the TPU compiler."""
    return environments.python_with_extra("preflight")


def run(python, *arguments):
    return subprocess.run(
        [python, *arguments],
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.mark.parametrize(
    "topology",
    ["v5e:2x2", *(pytest.param(name, marks=pytest.mark.long) for name in OTHER_GENERATIONS)],
)
def test_compiles_for_a_tpu(preflight_python, tmp_path, topology):
    """The cell without a vertex: nine modules of one convolution take the least compiling."""
    out = tmp_path / "preflight.json"
    process = run(
        preflight_python,
        *("-m", "launchers.tpu_preflight", *SMALL),
        *(f"--tpu_topology={topology}", "--families=0", f"--out={out}"),
    )
    assert process.returncode == 0, process.stderr
    header, row, *_, last = process.stdout.splitlines()
    assert header == preflight.HEADER
    assert row.split()[:3] == ["0", "1", "yes"]
    assert last == f"wrote {out}"
    result = json.loads(out.read_text())
    assert result["topology"] == topology
    assert result["protocol"]["image_shape"] == [8, 8, 3]
    (program,) = result["programs"]
    assert program["compiles"]
    assert program["compile_seconds"] > 0
    assert 16 * 8 * 8 * 3 * 4 < program["peak_memory"] < 2**30
    assert program["bytes_accessed"] > 0
    # Pools, sums and draws come on top of the convolutions and products, of which the compiler
    # takes one batch and those that calibrate. The family has no cell but this.
    spec = preflight.Protocol(**result["protocol"]).spec(0, Topology.parse(topology).cores)
    batch, calibration = spec.division.batch_size, spec.calibration_size
    counted = (batch + calibration) / (spec.division.batches * batch + calibration)
    expected = result["space"]["families"]["0"]["mean_round_flops"] * counted
    assert expected < program["flops"] < 3 * expected
    assert result["space"]["cells"] == 423_624
    assert result["space"]["seconds"] > 0


# One kind of a mobile network's layers that has everything, and what begins and ends a round.
MNAS_LIBRARY = """
import json, sys
import tensorflow as tf
from nngp_tf.kernels.tpu_compile import Topology
from nngp_tf.runs import mnas_preflight

protocol = mnas_preflight.MnasProtocol((32, 32, 3), num_train=8, num_test=8, num_inits=2)
kind = next(x for x in protocol.kinds(["a1"]) if x.can_skip and x.widths.squeeze)
head = protocol.kinds(["a1"])[-1]
mnas_preflight.MnasProtocol.kinds = lambda self, families: [kind, head]
rows = mnas_preflight.compile_families(protocol, Topology.parse("v5e:2x2"))
json.dump(list(rows), open(sys.argv[1], "w"))
"""


def test_layers_of_mobile_networks_compile(preflight_python, tmp_path):
    out = tmp_path / "rows.json"
    process = run(preflight_python, "-c", MNAS_LIBRARY, out)
    assert process.returncode == 0, process.stderr
    rows = json.loads(out.read_text())
    assert [row["program"] for row in rows] == [
        *["begin", "batch", "end"],
        *["prepare", "forward"] * 2,
        "pool",
    ]
    assert [row["error"] for row in rows] == [None] * len(rows)
    # The head: 320 to 1,280 channels at one position, for 8 images.
    assert rows[6]["flops"] >= 2 * 8 * 320 * 1280


# Conditionals, channels of padding, two batches: a family with more of everything but modules.
LIBRARY = """
import json, sys
import tensorflow as tf
from nngp_tf.kernels import cell_costs, cell_layout, tpu_compile, work
from nngp_tf.kernels.cell_program import CellFamily
from nngp_tf.kernels.step import StepSpec, replica_program
from nngp_tf.models import Nasbench101Network
from tests.golden import INCEPTION

def compiled(name, stem_filters, division, keep_features):
    network = Nasbench101Network(
        INCEPTION, (16, 16, 3), stem_filters=stem_filters, num_stacks=1, modules_per_stack=1
    )
    family = CellFamily.of(network, "one_update", "bfloat16")
    spec = StepSpec(family, None, division, 8, 16, 8, keep_features)
    inputs = tf.nest.map_structure(
        lambda value: tf.TensorSpec(value.shape, value.dtype), cell_layout.encode(network)
    )
    scalar = tf.TensorSpec([], tf.int32)
    specs = [scalar, inputs, scalar, scalar, scalar, tf.TensorSpec([16, 16, 16, 3])]
    topology = tpu_compile.Topology.parse(name)
    found = tpu_compile.compile_function(replica_program(spec, "TPU"), specs, topology)
    kinds = cell_costs.costliest(family.num_feeders)
    images = division.batch_size + spec.calibration_size
    counted = images * cell_costs.image_flops(family, kinds, 16, 16)
    return {"flops": found.flops, "counted": counted, "peak_memory": found.peak_memory}

one = work.Division(init_groups=2, image_groups=1, rounds=1, batches=2, batch_size=8)
two = work.Division(init_groups=1, image_groups=2, rounds=1, batches=1, batch_size=8)
result = {
    "v5e": compiled("v5e:2x2", 66, one, False),
    "v6e": compiled("v6e:1x1", 64, two, True),
    "v4": compiled("v4:2x2x1", 64, two, False),
    "errors": {},
}
def attempt(name, call):
    try:
        call()
    except (ValueError, tpu_compile.CompilationError) as error:
        result["errors"][name] = [type(error).__name__, str(error)]

def large(x):
    return tf.linalg.matmul(x, x, transpose_b=True)

v5e = tpu_compile.Topology.parse("v5e:2x2")
attempt("grid", lambda: tpu_compile.check_topology(tpu_compile.Topology.parse("v5e:3x3")))
attempt("memory", lambda: tpu_compile.compile_function(large, [tf.TensorSpec([90000, 8])], v5e))
attempt("lowering", lambda: tpu_compile.compile_function(tf.where, [tf.TensorSpec([4])], v5e))
json.dump(result, open(sys.argv[1], "w"))
"""


@pytest.mark.long
def test_programs_and_what_does_not_compile(preflight_python, tmp_path):
    out = tmp_path / "result.json"
    process = run(preflight_python, "-c", LIBRARY, out)
    assert process.returncode == 0, process.stderr
    result = json.loads(out.read_text())
    errors = result.pop("errors")
    for compiled in result.values():
        assert compiled["peak_memory"] > 16 * 16 * 16 * 3 * 4
        # The compiler takes the loop over batches once, and of conditionals the costliest branch.
        assert compiled["counted"] < compiled["flops"] < 1.5 * compiled["counted"]
    kind, message = errors["grid"]
    assert kind == "ValueError"
    assert message.startswith("libtpu refuses the TPU topology 'v5e:3x3' (INVALID_ARGUMENT: ")
    kind, message = errors["memory"]
    assert kind == "CompilationError"
    assert message.startswith("RESOURCE_EXHAUSTED: ")
    kind, message = errors["lowering"]
    assert kind == "CompilationError"
    assert message.startswith("TensorFlow cannot lower it: ")
    assert "\n" not in "".join(text for _, text in errors.values())


@pytest.fixture
def launch(monkeypatch, capsys):
    """Runs the launcher in this process; returns its exit code, stdout and stderr."""

    def run_app(main, flags_parser):
        # As absl does, but without changes to logging that would outlive the test.
        sys.exit(main(flags_parser(sys.argv)))

    def launch(*arguments):
        monkeypatch.setattr(app.app, "run", run_app)
        monkeypatch.setattr(sys, "argv", ["path/tpu_preflight.py", *arguments])
        with flagsaver.flagsaver(), pytest.raises(SystemExit) as exited:
            tpu_preflight.run()
        gin.clear_config()
        out, error = capsys.readouterr()
        return exited.value.code or 0, out, error

    yield launch
    flags.FLAGS.unparse_flags()
    gin.clear_config()


@pytest.fixture
def compiler(monkeypatch):
    """Stands in for the packages; fails for two output feeders."""

    def compile_function(function, specs, topology):
        if specs[1]["feeder"].shape == (2,):
            raise CompilationError("Ran out of memory in memory space hbm.")
        return Compilation(1.0, 2.0, flops=3e9, bytes_accessed=4e9, peak_memory=2**20)

    monkeypatch.setattr(tpu_compile, "check_topology", lambda topology: None)
    monkeypatch.setattr(preflight, "compile_function", compile_function)
    compilation = Compilation(1.0, 2.0, flops=3e9, bytes_accessed=4e9, peak_memory=2**20)
    monkeypatch.setattr(mnas_preflight, "compile_function", lambda *_: compilation)


def test_all_compile(launch, compiler):
    code, out, _ = launch(CONFIG, "--tpu_topology=v4:2x2x1", "--families=4,1")
    assert code == 0
    header, *rows, last = out.splitlines()
    assert header == preflight.HEADER
    assert [row.split()[0] for row in rows[:2]] == ["4", "1"]
    assert last == "2 programs compile for v4:2x2x1"
    # The configuration's 2,000 images, 8 probes and 8 initialisations, on 8 cores.
    assert "21 batches of 96 images" in out
    assert "1 rounds for 8 initialisations" in out


def test_layers_of_mnasnet_compile(launch, compiler, tmp_path):
    out = tmp_path / "out.json"
    code, printed, error = launch(
        *MNAS, "--gin_param=nngp_inference.architectures = 'sample:mnasnet_a1'", f"--out={out}"
    )
    assert code == 0, error
    assert printed.startswith(mnas_preflight.HEADER)
    result = json.loads(out.read_text())
    assert len(result["programs"]) == 32
    assert result["protocol"]["reference"] == "mnasnet_a1"
    assert result["protocol"]["image_shape"] == [224, 224, 3]
    assert result["space"]["networks"] == result["protocol"]["num_architectures"] == 7


def test_more_than_a_core_holds(launch, compiler, monkeypatch):
    large = Compilation(1.0, 2.0, flops=3e9, bytes_accessed=4e9, peak_memory=9 * 2**30)
    monkeypatch.setattr(mnas_preflight, "compile_function", lambda *_: large)
    # What each program holds alone would fit into the 16 GiB; the images stay beside the layers.
    code, printed, _ = launch(*MNAS)
    assert code.startswith("tpu_preflight: a core would hold 18.0 GiB, and one of v5e:2x2 has 16:")
    assert "A core holds at most 18.0 GiB" in printed


def test_one_does_not_compile(launch, compiler, tmp_path):
    out = tmp_path / "out.json"
    code, printed, _ = launch(CONFIG, "--tpu_topology=v5e:2x2", f"--out={out}")
    assert code == "tpu_preflight: 1 of 5 programs do not compile for v5e:2x2"
    assert "no       Ran out of memory in memory space hbm." in printed
    programs = json.loads(out.read_text())["programs"]
    assert [program["compiles"] for program in programs] == [True, True, False, True, True]


def test_gin_says_what_is_compiled(launch, compiler, tmp_path):
    out = tmp_path / "out.json"
    bindings = {
        "image_size": 16,
        "batch_norm": "'initial'",
        "compute_dtype": "'float32'",
        "batch_size": 50,
        "num_test": 0,
    }
    arguments = [f"--gin_param=nngp_inference.{name} = {value}" for name, value in bindings.items()]
    code, _, error = launch(
        CONFIG, *arguments, "--tpu_topology=v5e:2x2", "--families=0", f"--out={out}"
    )
    assert code == 0, error
    assert json.loads(out.read_text())["protocol"] == {
        "image_shape": [16, 16, 3],
        "stem_filters": 128,
        "num_train": 1000,
        "num_test": 0,
        "num_inits": 8,
        "batch_norm": "initial",
        "compute_dtype": "float32",
        "batch_size": 50,
        "calibration_size": None,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([CONFIG], "--tpu_topology is required"),
        ([CONFIG, "--tpu_topology=v3:2x2"], "unknown TPU topology 'v3:2x2': write a generation of"),
        ([CONFIG, "--tpu_topology=v5e:2x2x2"], "TPU topology 'v5e:2x2x2' must have 2 sides"),
        (["--tpu_topology=v5e:2x2"], "gin binds no parameter of nngp_inference"),
        (
            ["--tpu_topology=v5e:2x2", "--gin_param=nothing.seed = 1"],
            "gin: No configurable matching 'nothing'",
        ),
        (
            [CONFIG, "--tpu_topology=v5e:2x2", "--gin_param=nngp_inference.space = 'darts'"],
            "space must be nasbench101 or mnas, got 'darts'",
        ),
        ([*MNAS, "--families=b1"], "--families must be of a1, all, got b1"),
        ([*MNAS, "--image_shape=31,32,3"], "images of 31 x 32 are too small for the strides"),
        (
            [*MNAS, "--gin_param=nngp_inference.architectures = 'sample:resnet'"],
            "reference must be one of",
        ),
        (
            [CONFIG, "--tpu_topology=v5e:2x2", "--gin_param=nngp_inference.num_inits = 2.5"],
            "num_inits must be an integer, got 2.5: correct it in gin",
        ),
        (
            [CONFIG, "--tpu_topology=v5e:2x2", "--gin_param=nngp_inference.stem_filters = 3"],
            "3 channels cannot be shared by the 4 vertices",
        ),
        (
            [CONFIG, "--tpu_topology=v5e:2x2", "--image_shape=32,32"],
            "takes 3 integers, got '32,32'",
        ),
        ([CONFIG, "--tpu_topology=v5e:2x2", "--families=few"], "takes integers, got 'few'"),
        ([CONFIG, "--tpu_topology=v5e:2x2", "--families=5"], "must be of .*, got 5"),
        ([CONFIG, "--tpu_topology=v5e:2x2", "--efficiency=2"], "--efficiency=2: 2.0 is not"),
        ([CONFIG, "--tpu_topology=v5e:2x2", "--out=/absent/x.json"], "--out"),
    ],
)
def test_refused(launch, compiler, arguments, message):
    code, out, error = launch(*arguments)
    assert code == 2
    assert out == ""
    (line,) = error.splitlines()
    assert re.match(f"tpu_preflight: .*{message}", line), line


def test_refused_without_the_packages(launch, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    tpu_compile._devices.cache_clear()
    monkeypatch.setattr(tpu_compile, "_ENVIRONMENT", {})
    code, out, error = launch(CONFIG, "--tpu_topology=v5e:2x2")
    assert (code, out) == (2, "")
    (line,) = error.splitlines()
    assert line.startswith("tpu_preflight: compiling for a TPU needs the packages jax and libtpu")
    assert "pip install 'nngp_tf[preflight]'" in line
