"""Text files as editors, spreadsheets and other systems write them."""

from __future__ import annotations

import codecs
import gzip
import os
import zlib

_MARK = "\ufeff"
_GZIP = b"\x1f\x8b"
# Longer marks first: that of UTF-32 begins like that of UTF-16.
_OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def read(path: str | os.PathLike[str]) -> str:
    """Read a file of UTF-8, which may be compressed by gzip, whatever its name.

    Args:
      path: The file; may be gs:// and the like.

    Returns:
      Its text as `decode` gives it.

    Raises:
      ValueError: The file is missing, a directory, cannot be read or decompressed, or is in another
        encoding.
    """
    path = os.fspath(path)
    try:
        content = _content(path)
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except FileNotFoundError as error:
        raise ValueError(f"there is no file {path}: check the path") from error
    except IsADirectoryError as error:
        raise ValueError(f"{path} is a directory, expected a file: name a file in it") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"{path} cannot be read ({reason}): is it damaged or protected?"
        ) from error
    return decode(content, path)


def decode(content: bytes, name: str) -> str:
    r"""Decode UTF-8 with or without byte-order marks, and with any kind of line ends.

    Args:
      content: Of a file.
      name: The file, for messages.

    Returns:
      The text without marks, its lines ended by "\n".

    Raises:
      ValueError: The content is UTF-16, UTF-32 or otherwise no UTF-8, or holds a NUL character.
    """
    for mark, encoding in _OTHER_MARKS:
        if content.startswith(mark):
            raise _other_encoding(name, encoding)
    if b"\0" in content:
        raise _of_nul(content, name)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{_place(content, error.start, name)}: byte 0x{content[error.start]:02x} is not UTF-8 "
            "(Latin-1 or Windows-1252?), expected UTF-8: save it as UTF-8"
        ) from error
    # A mark may stand inside, where files have been joined.
    return text.replace(_MARK, "").replace("\r\n", "\n").replace("\r", "\n")


def _content(path: str) -> bytes:
    if "://" not in path:
        with open(path, "rb") as file:
            return file.read()
    import tensorflow as tf  # Only here: files on disk are read without it.

    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read()
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError from error
    except tf.errors.OpError as error:
        raise OSError(error.message) from error


def _of_nul(content: bytes, name: str) -> ValueError:
    """Return what to raise for content that holds NUL bytes."""
    # Characters of ASCII take one byte of two in UTF-16, and one of four in UTF-32.
    share = content.count(0) / len(content)
    alternating = max(content[::2].count(0), content[1::2].count(0)) > 0.3 * len(content)
    if alternating and 0.3 < share < 0.8:
        return _other_encoding(name, "UTF-32" if share > 0.6 else "UTF-16")
    return ValueError(
        f"{_place(content, content.index(0), name)}: holds a NUL character, expected text in "
        "UTF-8: it is damaged or no text file"
    )


def _other_encoding(name: str, encoding: str) -> ValueError:
    return ValueError(f"{name} is {encoding}, expected UTF-8: save it as UTF-8")


def _place(content: bytes, position: int, name: str) -> str:
    before = content[:position].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return f"{name}:{before.count(bytes([10])) + 1}"
