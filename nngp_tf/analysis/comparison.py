"""Runs and tables joined by architecture: what each knows of the same ones, and the truth of them.

    known      architectures of every source, or with "each" of any run
    with truth of them, those whose truth is known
    compared   of them, those with a value of every signal shown; with "each" all

Nothing is left out without being counted: see `Coverage`.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable, Sequence

import numpy as np

from nngp_tf.analysis.signals import SIZE, TRAINING, Signal, Source

ARCHITECTURES = ("common", "each")
_MOST_NAMED = 20


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How many architectures there are, and why not more.

    Attributes:
      sources: Name, architectures and failed ones of each source.
      num_known: Architectures that every source knows; any run, with "each".
      num_with_truth: Of them, those with a known truth.
      num_compared: Of them, those with a value of every signal shown; all, with "each".
      missing: For each shown signal that lacks values, how many of those with truth.
      architectures: "common" or "each".
    """

    sources: tuple[tuple[str, int, int], ...]
    num_known: int
    num_with_truth: int
    num_compared: int
    missing: dict[str, int]
    architectures: str

    def lines(self) -> list[str]:
        """Say it in sentences."""
        lines = [
            f"{name}: {num:,} architectures, {failed:,} of them failed"
            for name, num, failed in self.sources
        ]
        known = "known to every source" if self.architectures == "common" else "known to a run"
        lines.append(
            f"{self.num_known:,} are {known}, {self.num_with_truth:,} of them have a known truth, "
            f"and {self.num_compared:,} are compared"
        )
        lines += [
            f"{name} has no value for {num:,} of those with a known truth"
            for name, num in self.missing.items()
        ]
        return lines


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """N architectures: their truth, and signals that may predict it.

    Attributes:
      keys: Of the architectures.
      truth: Their truth; its values are finite.
      signals: Aligned with `keys`, the truth not among them.
      shown: Names of those that tables and figures show, in order.
      coverage: What was left out.
    """

    keys: tuple[str, ...]
    truth: Signal
    signals: tuple[Signal, ...]
    shown: tuple[str, ...]
    coverage: Coverage

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, name: str) -> Signal:
        for signal in self.signals:
            if signal.name == name:
                return signal
        raise ValueError(f"there is no signal {name!r}: {_choices(self.signals)}")

    def shown_signals(self) -> list[Signal]:
        """Return the signals that tables and figures show."""
        return [self[name] for name in self.shown]

    def families(self, suffix: str) -> dict[str, list[Signal]]:
        """Return the families whose names end so: their signals by increasing setting."""
        families: dict[str, list[Signal]] = {}
        for signal in self.signals:
            if signal.family is not None and signal.family.endswith(suffix):
                families.setdefault(signal.family, []).append(signal)
        return {
            name: sorted(members, key=lambda s: s.setting) for name, members in families.items()
        }

    def take(self, rows: np.ndarray) -> Comparison:
        """Return the comparison of some architectures: rows [n]."""
        return dataclasses.replace(
            self,
            keys=tuple(self.keys[row] for row in rows),
            truth=self.truth.take(rows),
            signals=tuple(signal.take(rows) for signal in self.signals),
        )

    def halves(self, seed: int) -> tuple[Comparison, Comparison]:
        """Return two comparisons of one half of the architectures each, drawn at random."""
        # By key, so that the order of rows in a run does not count.
        order = np.argsort(self.keys)
        order = order[np.random.default_rng(seed).permutation(len(order))]
        middle = len(order) // 2
        return self.take(np.sort(order[:middle])), self.take(np.sort(order[middle:]))


def compare(
    sources: Sequence[Source],
    truth: str | None = None,
    signals: Sequence[str] | None = None,
    architectures: str = "common",
) -> Comparison:
    """Join sources.

    Args:
      sources: At least one; names differ.
      truth: Name of the signal that is the truth. Unless given: the first table's test accuracy
        after 108 epochs, or without a table the last epoch of the training run with most epochs.
      signals: Names of the signals to show, or patterns such as "nngp/*"; a default set unless
        given.
      architectures: "common": compared are those of which every source knows something, and every
        signal shown has a value. "each": each signal is compared on the architectures of which it
        has a value.

    Raises:
      ValueError: If there is no truth, a name is unknown, or fewer than 2 architectures remain.
    """
    if architectures not in ARCHITECTURES:
        raise ValueError(f"architectures must be 'common' or 'each', got {architectures!r}")
    if not sources:
        raise ValueError("there is nothing to compare: name runs with --run, tables with --table")
    everything = [signal for source in sources for signal in source.signals]
    target = _truth(sources, everything, truth)
    known = _known(sources, architectures)
    aligned = [s for source in sources for s in _aligned(source, known)]
    (target,) = [signal for signal in aligned if signal.name == target]
    with_truth = np.flatnonzero(np.isfinite(target.values))
    target = target.take(with_truth)
    others = [s.take(with_truth) for s in aligned if s.name != target.name]
    if signals is None:
        shown = _default_signals(others, target, {s.name for s in sources if s.is_table})
    else:
        shown = _matching(others, signals)
    missing = {s.name: int(np.isnan(s.values).sum()) for s in shown}
    rows = np.arange(len(with_truth))
    if architectures == "common" and shown:
        rows = np.flatnonzero(np.isfinite([s.values for s in shown]).all(axis=0))
    coverage = Coverage(
        sources=tuple((s.name, len(s.keys), s.num_failed) for s in sources),
        num_known=len(known),
        num_with_truth=len(with_truth),
        num_compared=len(rows),
        missing={name: num for name, num in missing.items() if num},
        architectures=architectures,
    )
    if len(rows) < 2:
        raise ValueError(
            f"at least 2 architectures are needed, got {len(rows)}: {'; '.join(coverage.lines())}"
        )
    keys = tuple(known[row] for row in with_truth)
    names = tuple(signal.name for signal in shown)
    return Comparison(keys, target, tuple(others), names, coverage).take(rows)


def _truth(sources, signals, name):
    if name is not None:
        if name not in {signal.name for signal in signals}:
            raise ValueError(f"there is no signal {name!r} for the truth: {_choices(signals)}")
        return name
    by_name = {signal.name: signal for signal in signals}
    with_truth = [source for source in sources if source.truth is not None]
    if not with_truth:
        raise ValueError("the truth is not known: name a table with --table, or a training run")
    if tables := [source for source in with_truth if source.is_table]:
        return tables[0].truth
    return max(with_truth, key=lambda source: by_name[source.truth].setting).truth


def _known(sources, architectures):
    if architectures == "each":
        # A table knows the whole space: what it alone knows is in no run.
        runs = [source for source in sources if not source.is_table] or sources
        return list(dict.fromkeys(key for source in runs for key in source.keys))
    smallest = min(sources, key=lambda source: len(source.keys))
    others = [frozenset(source.keys) for source in sources if source is not smallest]
    return [key for key in smallest.keys if all(key in keys for keys in others)]


def _aligned(source, keys):
    row_of = {key: row for row, key in enumerate(source.keys)}
    rows = np.array([row_of.get(key, -1) for key in keys], np.int64)
    return [signal.take(rows) for signal in source.signals]


def _default_signals(signals, truth, tables):
    shown = [s for s in signals if s.is_shown and not _is_truth_itself(s, truth)]
    # Every source knows the sizes of its networks: once is enough, by the table if there is one.
    sizes = {}
    for signal in sorted(shown, key=lambda s: s.source not in tables):
        if signal.kind == SIZE:
            sizes.setdefault(signal.name.partition("/")[2], signal.name)
    return [s for s in shown if s.kind != SIZE or s.name in sizes.values()]


def _is_truth_itself(signal, truth):
    return (
        signal.kind == TRAINING
        and truth.kind == TRAINING
        and signal.source == truth.source
        and signal.setting >= truth.setting
    )


def _matching(signals: Iterable[Signal], patterns: Sequence[str]) -> list[Signal]:
    found = {}
    for pattern in patterns:
        matching = [s for s in signals if fnmatch.fnmatchcase(s.name, pattern)]
        if not matching:
            raise ValueError(f"there is no signal {pattern!r}: {_choices(signals)}")
        found |= {signal.name: signal for signal in matching}
    return list(found.values())


def _choices(signals):
    names = [s.name for s in signals if s.is_shown] + [s.name for s in signals if not s.is_shown]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"name one of {', '.join(names[:_MOST_NAMED])}{more}"
