"""How far a run is, as text.

Of many shards, those are shown that are not done and have been without a new row for longest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from nngp_tf.runs.status import Progress, ShardProgress

MOST_SHARDS = 50


def report(progress: Progress) -> str:
    """Return lines of text that show how far a run is."""
    known = progress.total is not None
    about = f" (of {progress.not_begun} shards estimated)" if progress.not_begun else ""
    lines = [
        f"{progress.path}: {progress.done:,}"
        + (f" of {progress.total:,}{about}" if known else "")
        + f" architectures done, {progress.failed:,} failed",
        f"{_number(progress.hourly)} an hour in the last hour, "
        f"{_number(progress.hourly_overall)} overall, {_duration(progress.seconds_left)} left",
        f"{'shard':>14} {'done':>9} {'failed':>7} {'total':>9}  {'last row':14}  writer",
    ]
    now = time.time()
    shown = _shown(progress.shards)
    for shard in shown:
        total = "" if shard.total is None else f"{shard.total:,}"
        ago = "" if shard.last_row is None else f"{_duration(now - shard.last_row)} ago"
        lines.append(
            f"{f'{shard.shard.index} of {shard.shard.count}':>14} {shard.done:>9,} "
            f"{shard.failed:>7,} {total:>9}  {ago:14}  {shard.holder or 'none'}"
        )
    if left := len(progress.shards) - len(shown):
        done = sum(map(_is_done, progress.shards))
        lines.append(f"{left:,} shards more; {done:,} of all are done")
    lines += [f"damaged: {damage}" for damage in progress.damages]
    return "\n".join(lines)


def _shown(shards: Sequence[ShardProgress]) -> Sequence[ShardProgress]:
    if len(shards) <= MOST_SHARDS:
        return shards
    left = [shard for shard in shards if not _is_done(shard)]
    return sorted(left, key=lambda shard: shard.last_row or 0.0)[:MOST_SHARDS]


def _is_done(shard):
    return shard.holder is None and shard.total is not None and shard.done >= shard.total


def _number(value):
    return "?" if math.isnan(value) else f"{value:,.1f}"


def _duration(seconds):
    if math.isnan(seconds):
        return "?"
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{max(seconds, 0):.0f} seconds"
