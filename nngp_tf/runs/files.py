"""Files that appear whole or not at all, on disk or at gs:// and the like.

    on disk             aside -> fsync -> rename -> fsync of the directory; without TensorFlow
    object stores       one object, which they show only when all of it is there
    elsewhere           aside -> rename, through tf.io.gfile

Whatever fails is an OSError, whose `strerror` is a reason to show.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

_OBJECT_STORES = ("gs", "s3")
_NO_DIRECTORY_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
# By the names of TensorFlow's errors; all others are errno.EIO.
_ERRNO = {
    "NotFoundError": errno.ENOENT,
    "AlreadyExistsError": errno.EEXIST,
    "PermissionDeniedError": errno.EACCES,
    "UnauthenticatedError": errno.EACCES,
    "ResourceExhaustedError": errno.ENOSPC,
}


def join(directory: str, name: str) -> str:
    """Return the path of a file in a directory.

    Raises:
      ValueError: If the name would lead out of the directory, or into another within it.
    """
    if name in ("", ".", "..") or {"/", os.sep, "\0"} & set(name):
        raise ValueError(
            f"{name!r} is no name of a file within {directory}: files are read and written by "
            "names without a path"
        )
    # gs:// paths have forward slashes on every system.
    return f"{directory.rstrip('/')}/{name}"


def absolute(path: str) -> str:
    """Return a path that names the same file in whatever directory a process works."""
    if (local := _local(path)) is None:
        return path
    return path.removesuffix(local) + os.path.abspath(local)


def make_directory(path: str) -> None:
    """Make a directory, and those above it, where they are missing."""
    if (local := _local(path)) is not None:
        os.makedirs(local, exist_ok=True)
        return
    with _gfile(path) as gfile:
        gfile.makedirs(path)


def names(directory: str) -> list[str]:
    """List what a directory holds, sorted; nothing where it is missing."""
    try:
        if (local := _local(directory)) is not None:
            return sorted(os.listdir(local))
        with _gfile(directory) as gfile:
            return sorted(name.rstrip("/") for name in gfile.listdir(directory))
    except FileNotFoundError:
        return []


def exists(path: str) -> bool:
    """Whether there is such a file."""
    if (local := _local(path)) is not None:
        return os.path.exists(local)
    with _gfile(path) as gfile:
        return gfile.exists(path)


def stamp(path: str) -> tuple[int, float]:
    """Return a file's length and the seconds since 1970 when it was last written."""
    if (local := _local(path)) is not None:
        status = os.stat(local)
        return status.st_size, status.st_mtime
    with _gfile(path) as gfile:
        status = gfile.stat(path)
        return status.length, status.mtime_nsec * 1e-9


def read(path: str) -> bytes:
    """Return all that a file holds."""
    with _opened(path) as file:
        return file.read()


def read_line(path: str, start: int) -> bytes:
    """Return the line that begins at that byte of a file, and read little else."""
    with _opened(path) as file:
        file.seek(start)
        return file.readline()


def write(path: str, content: bytes, writer: str) -> None:
    """Put a file in place, whole or not at all, on stable storage before this returns.

    Args:
      path: Where it is to be; what is there is replaced.
      content: What it is to hold.
      writer: A name that no other process at the same file goes by.
    """
    aside = aside_path(path, writer)
    if (local := _local(path)) is not None:
        with _aside(_local(aside), content) as written:
            os.replace(written, local)
        _sync_directory(os.path.dirname(local))
        return
    with _gfile(path) as gfile:
        target = path if path.startswith(tuple(f"{s}://" for s in _OBJECT_STORES)) else aside
        with gfile.GFile(target, "wb") as file:
            file.write(content)
        if target == aside:
            gfile.rename(aside, path, overwrite=True)


def create(path: str, content: bytes, writer: str) -> bool:
    """Put a file in place unless there is one.

    On disk only one of several processes succeeds. Elsewhere two within the same moment may, and
    the later file stays.

    Args:
      path: See `write`, as for the next two.
      content: What it is to hold.
      writer: A name that no other process at the same file goes by.

    Returns:
      Whether it was put in place.
    """
    if exists(path):
        return False
    local = _local(path)
    if local is None:
        write(path, content, writer)
        return True
    with _aside(_local(aside_path(path, writer)), content) as written:
        try:
            os.link(written, local)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.replace(written, local)
    _sync_directory(os.path.dirname(local))
    return True


def touch(path: str, content: bytes, writer: str) -> bool:
    """Renew the time of a file; where only writing does that, its content is written again.

    Returns:
      Whether it was written, which may bring back a file that another has just removed.
    """
    if (local := _local(path)) is not None:
        os.utime(local)
        return False
    write(path, content, writer)
    return True


def remove(path: str) -> None:
    """Remove a file; one that is gone is no error."""
    with contextlib.suppress(FileNotFoundError):
        if (local := _local(path)) is not None:
            os.remove(local)
        else:
            with _gfile(path) as gfile:
                gfile.remove(path)


def aside_path(path: str, writer: str) -> str:
    """Return where `write` and `create` write first."""
    return f"{path}.{writer}.partial"


def _local(path):
    """Return the path for the operating system; None for TensorFlow's file systems."""
    scheme, separator, rest = path.partition("://")
    if not separator:
        return path
    return rest if scheme == "file" else None


@contextlib.contextmanager
def _opened(path):
    """Open a file to be read as bytes."""
    if (local := _local(path)) is not None:
        # Who opens a pipe waits for somebody to write into it.
        if not stat.S_ISREG(os.stat(local).st_mode):
            raise OSError(errno.EINVAL, "it is not a plain file", local)
        with open(local, "rb") as file:
            yield file
        return
    with _gfile(path) as gfile, gfile.GFile(path, "rb") as file:
        yield file


@contextlib.contextmanager
def _aside(path: str, content: bytes) -> Iterator[str]:
    """Write a file on disk, and remove what is left of it at the end."""
    try:
        with open(path, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield path
    finally:
        with contextlib.suppress(OSError):
            os.remove(path)


def _sync_directory(path):
    descriptor = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_FSYNC:
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _gfile(path):
    """tf.io.gfile, whose errors become OSErrors."""
    import tensorflow as tf  # On first use: runs on disk are read and written without it.

    try:
        yield tf.io.gfile
    except tf.errors.OpError as error:
        name = type(error).__name__
        raise OSError(_ERRNO.get(name, errno.EIO), error.message or name, path) from error
