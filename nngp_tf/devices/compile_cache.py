"""Programs that XLA compiled, kept in a directory for the processes to come.

TensorFlow keeps what `jit_compile` programs become on CPU and GPU, and reads its option at its
import. It knows a program by its content and by the name that TensorFlow numbered in the order of
tracing. So a process that traces the same programs in the same order compiles nothing: the same
command again, or each worker of one that all workers run alike. Another order compiles again, and
each network that is trained is a program of its own. Without XLA, as features are computed on CPU
and GPU, there is nothing to keep.

On TPU, TensorFlow's option is for the programs that the PJRT runtime compiles itself; whether those
of a `TPUStrategy` are among them can be told on the hardware only. libtpu has an option of its own
(`--tpu_persistent_compilation_cache_location` in LIBTPU_INIT_ARGS), which is not documented: tried
once, it was taken and kept nothing of what was compiled ahead of time. What libtpu compiles ahead
of time can be serialised, but TensorFlow has no way to load it.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import MutableMapping

_OPTION = "--tf_xla_persistent_cache_directory="


def prepare(directory: str | None, environ: MutableMapping[str, str] = os.environ) -> None:
    """Set the variable by which TensorFlow finds the directory at its import.

    Args:
      directory: Where programs are kept, which may be gs://; it is made if it is not there. None
        keeps none, unless the environment says so.
      environ: Where the variable is set.

    Raises:
      ValueError: If the directory cannot be written.
    """
    if not directory:
        return
    if "://" not in directory:
        path = pathlib.Path(directory).absolute()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"compiled programs cannot be kept in {directory!r} ({error.strerror}): name a "
                "directory that can be written"
            ) from error
        if not os.access(path, os.W_OK):
            raise ValueError(
                f"compiled programs cannot be kept in {directory!r}, which cannot be written: name "
                "another directory"
            )
        directory = str(path)
    flags, option = environ.get("TF_XLA_FLAGS", ""), f"{_OPTION}'{directory}'"
    # Not again in a process that started itself anew. The last of two counts.
    if not flags.endswith(option):
        environ["TF_XLA_FLAGS"] = f"{flags} {option}".strip()
