"""Architectures of any space out of lines of text.

one text form a line; blank lines, and whatever follows a '#', are ignored
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def parse(
    lines: Iterable[str], source: str, from_text: Callable[[str], Any], name: str
) -> list[Any]:
    """Read one architecture a line, each key once.

    Args:
      lines: Lines of text.
      source: What the lines come from, for messages; usually a file name.
      from_text: From a text form to an architecture with a `key`; raises ValueError.
      name: What an architecture of the space is called, for messages.

    Raises:
      ValueError: A line is malformed, or its architecture has the key of an earlier one. The
        message begins with `source:line`.
    """
    architectures = []
    line_of_key = {}
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            architecture = from_text(text)
        except ValueError as error:
            raise ValueError(f"{source}:{number}: {error}") from error
        first = line_of_key.setdefault(architecture.key, number)
        if first != number:
            raise ValueError(
                f"{source}:{number}: the same {name} as {source}:{first} (key {architecture.key}), "
                "remove one of the two lines"
            )
        architectures.append(architecture)
    return architectures
