"""A run's progress as TensorBoard's scalars, at the times of its rows.

    progress/done, progress/failed, progress/rows_an_hour over the seconds since the first row

A point a second at most, which is the second's last row. The rate is that of the hour before.
"""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence

from nngp_tf.runs.status import Progress, hourly_rate

# The same at each start, whose points take the place of the last one's.
_NAME = "events.out.tfevents.0.nngp_tf.progress"


def points(
    history: Sequence[tuple[float, bool]], after: float
) -> Iterator[tuple[float, int, Mapping[str, float]]]:
    """Yield (seconds since 1970, seconds since the first row, value by name) of each point.

    Args:
      history: See `nngp_tf.runs.status.Progress`.
      after: Seconds since 1970; earlier points are left out.
    """
    times = [when for when, _ in history]
    failed = list(itertools.accumulate(not is_ok for _, is_ok in history))
    seconds = [int(when - times[0]) for when in times]
    for index in range(bisect.bisect_right(times, after), len(times)):
        if index + 1 == len(times) or seconds[index] < seconds[index + 1]:
            values = {
                "done": index + 1,
                "failed": failed[index],
                "rows_an_hour": hourly_rate(times[: index + 1], times[index]),
            }
            yield times[index], seconds[index], values


class Curves:
    """An event file that grows with a run."""

    def __init__(self, directory: str):
        """Begin the file anew.

        Args:
          directory: Where it is.

        Raises:
          ValueError: If it cannot be written.
        """
        import tensorflow as tf  # On first use: progress on its own is shown without it.

        self._event, self._summary = tf.compat.v1.Event, tf.compat.v1.Summary
        self._until = 0.0
        try:
            tf.io.gfile.makedirs(directory)
            self._writer = tf.io.TFRecordWriter(os.path.join(directory, _NAME))
            self._write(self._event(wall_time=0.0, file_version="brain.Event:2"))
        except tf.errors.OpError as error:
            raise ValueError(
                f"TensorBoard directory {directory} cannot be written ({error.message}): name "
                "another"
            ) from error

    def update(self, progress: Progress) -> None:
        """Add the points that came since."""
        for when, step, values in points(progress.history, self._until):
            summary = self._summary()
            for name, value in values.items():
                summary.value.add(tag=f"progress/{name}", simple_value=value)
            self._write(self._event(wall_time=when, step=step, summary=summary))
            self._until = when
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()

    def _write(self, event):
        self._writer.write(event.SerializeToString())
