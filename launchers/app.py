"""What launchers share: their flags, gin files, and exit codes.

Flags say where and on what; gin says what. Exit code 0: done; 2: bad input, one sentence on stderr;
1: failed.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Sequence

import gin
from absl import app, flags, logging

import nngp_tf
from nngp_tf.runs.errors import RunEndedError

from . import gin_files

_GIN_FILES = flags.DEFINE_multi_string("gin_file", [], "Gin configuration files, later ones last.")
_GIN_PARAMS = flags.DEFINE_multi_string("gin_param", [], "Gin bindings, applied after the files.")
RUN_DIR = flags.DEFINE_string("run_dir", None, "Run directory.")
OUT = flags.DEFINE_string("out", None, "Directory, or for tpu_preflight JSON file, to write to.")
RESUME = flags.DEFINE_bool(
    "resume", True, "Go on with a run found in the directory; --noresume refuses it instead."
)
RETRY_FAILED = flags.DEFINE_bool(
    "retry_failed", False, "Compute architectures that failed before again."
)
PATIENCE = flags.DEFINE_float(
    "patience", 3600.0, "Seconds to wait for room or access when rows cannot be written.", 0.0
)
SHARD = flags.DEFINE_string(
    "shard", "0/1", "I/N: every N-th architecture from the I-th on, for N runs at once."
)
STRATEGY = flags.DEFINE_string(
    "strategy", None, "cpu, gpu, mirrored, multi_worker or tpu; unset: what TensorFlow picks."
)
TPU = flags.DEFINE_string("tpu", None, "Name or grpc:// address of a Cloud TPU; 'local' on its VM.")
STARTUP_TIMEOUT = flags.DEFINE_float(
    "startup_timeout", 600.0, "Seconds to wait for the other workers of multi_worker to start.", 0.0
)
LOGICAL_CPUS = flags.DEFINE_integer(
    "logical_cpus", None, "Splits the CPU into so many devices, to try sharding without a GPU."
)
COMPILE_CACHE = flags.DEFINE_string(
    "compile_cache", None, "Directory that keeps what XLA compiles for processes to come."
)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Directory of TFDS data sets.")
DOWNLOAD = flags.DEFINE_bool("download", False, "Whether TFDS may download and prepare a data set.")
TRUTH = flags.DEFINE_string("truth", None, "Table of trained accuracies to compare with.")


def run(launch: Callable[[], str]) -> None:
    """Parse flags and gin, call `launch`, print what it wrote, and exit.

    Args:
      launch: Does the work and returns the line that names what it wrote. A ValueError it raises
        is bad input.
    """

    def main(argv):
        try:
            if len(argv) > 1:
                raise ValueError(f"unexpected argument {argv[1]!r}: launchers take flags only")
            _parse_gin()
            print(launch())
        except ValueError as error:
            logging.debug("bad input", exc_info=True)
            _refuse(error)
        except RunEndedError as error:
            logging.debug("ended", exc_info=True)
            _refuse(error, exit_code=1)

    app.run(main, flags_parser=_parse_flags)


def required(flag: flags.FlagHolder[str | None]) -> str:
    """Return the value of a flag.

    Raises:
      ValueError: If it was not given.
    """
    if not flag.value:
        raise ValueError(f"--{flag.name} is required")
    return flag.value


def check_integers(**values: int | None) -> None:
    """Check arguments from gin that are to be integers, or None.

    Raises:
      ValueError: If one is not.
    """
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError(f"{name} must be an integer, got {value!r}: correct it in gin")


def check_booleans(**values: bool) -> None:
    """Check arguments from gin that are to be True or False.

    Raises:
      ValueError: If one is not: 'no' would count as True.
    """
    for name, value in values.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be True or False, got {value!r}: correct it in gin")


def shard() -> tuple[int, int]:
    """Return index and count of --shard.

    Raises:
      ValueError: If it is not of the form I/N with 0 <= I < N.
    """
    index, _, count = SHARD.value.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise ValueError(f"--shard is written I/N with 0 <= I < N, 0/4 say, got {SHARD.value!r}")
    return int(index), int(count)


def names(name: str, values: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Check an argument from gin that is to hold some of the names that are known, each once.

    Raises:
      ValueError: If it does not.
    """
    values = (values,) if isinstance(values, str) else tuple(values)
    if not set(values) <= set(known) or len(set(values)) < len(values):
        raise ValueError(
            f"{name} must hold names among {', '.join(known)}, each once, got {values}: correct it "
            "in gin"
        )
    return values


def increasing(name: str, values: Sequence[int], below: int) -> tuple[int, ...]:
    """Check an argument from gin that is to hold increasing positive integers below a limit.

    Raises:
      ValueError: If it does not.
    """
    values = tuple(values) if isinstance(values, list | tuple) else (values,)
    for value in values:
        check_integers(**{name: value})
    if any(low >= high for low, high in zip((0, *values), (*values, below), strict=True)):
        raise ValueError(
            f"{name} must hold increasing integers from 1 up to below {below}, got {values}: "
            "correct it in gin"
        )
    return values


def _parse_flags(argv):
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        _refuse(error)


def _parse_gin():
    package = pathlib.Path(nngp_tf.__file__).resolve().parent
    # Configurations are found from anywhere: beside the package, or in it where it is installed.
    for parent in (package.parent, package):
        gin.add_config_file_search_path(str(parent))
    gin_files.parse(_GIN_FILES.value, _GIN_PARAMS.value)


def _refuse(error, exit_code=2):
    # Gin adds where it called; libraries write paragraphs, of which the first says what is wrong.
    text, _, _ = str(error).strip().partition("\n  In call to configurable ")
    sentence = " ".join(text.partition("\n\n")[0].split())
    print(f"{pathlib.Path(sys.argv[0]).stem}: {sentence}", file=sys.stderr)
    sys.exit(exit_code)
