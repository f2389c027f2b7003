"""A progress bar that log lines pass above."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import tqdm
from absl import logging


@contextlib.contextmanager
def bar(total: int, done: int, name: str) -> Iterator[tqdm.tqdm]:
    """Show architectures done, rate and time left on stderr, with absl's log lines above.

    Args:
      total: Architectures in all.
      done: Those done before.
      name: What is under way.

    Yields:
      The bar, to be told of each finished architecture by `update()`.
    """
    handler = logging.get_absl_handler().python_handler
    stream = handler.stream
    handler.setStream(_AboveBar())
    try:
        # Not shown before the first update, so that bad input found until then says one line.
        with tqdm.tqdm(
            total=total, initial=done, desc=name, unit="arch", file=sys.stderr, delay=1e-3
        ) as shown:
            yield shown
    finally:
        handler.setStream(stream)


class _AboveBar:
    """A stream that lets tqdm lift the bar for each write."""

    def write(self, text):
        tqdm.tqdm.write(text, file=sys.stderr, end="")

    def flush(self):
        sys.stderr.flush()
