"""Output files named by the user, written whole or not at all, on disk or at gs://."""

from __future__ import annotations

import os

from nngp_tf.runs import files


def write_whole(path: str | os.PathLike[str], content: bytes) -> str:
    """Put a file in place, and make its directory where it is missing.

    Args:
      path: Where it is to be; what is there is replaced.
      content: What it is to hold.

    Returns:
      The path.

    Raises:
      ValueError: If it cannot be written.
    """
    path = os.fspath(path)
    try:
        if directory := os.path.dirname(path):
            files.make_directory(directory)
        files.write(path, content, writer=str(os.getpid()))
    except OSError as error:
        raise ValueError(
            f"{path} cannot be written ({error.strerror}): name another place"
        ) from error
    return path
