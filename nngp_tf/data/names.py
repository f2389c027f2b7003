"""The known names that are nearest to one that is not known."""

import difflib
import re
from collections.abc import Iterable

# Below this share of equal characters a name is no suggestion.
_LEAST_ALIKE = 0.6


def nearest(
    name: str, known: Iterable[str], *, first: Iterable[str] = (), count: int = 5
) -> list[str]:
    """Return the known names most like a name; capitals and punctuation do not count.

    Equal names come first, then those that only add a number (imagenet, imagenet2012), those that
    begin with the name, and then by the share of equal characters.

    Args:
      name: What was given, e.g. "CIFAR-10".
      known: The names to choose among.
      first: Those of them that go before equally good ones.
      count: How many to return at most.

    Returns:
      Names, best first; empty where none is alike.
    """
    wanted, first = _plain(name), set(first)

    def likeness(candidate: str) -> float:
        other = _plain(candidate)
        score = difflib.SequenceMatcher(None, wanted, other).ratio()
        if other.startswith(wanted) and wanted:
            rest = other[len(wanted) :]
            score += 3 if not rest else 2 if rest.isdigit() else 1
        return score + 0.5 * (candidate in first)

    scores = {candidate: likeness(candidate) for candidate in {*known, *first}}
    alike = [n for n in scores if scores[n] - 0.5 * (n in first) >= _LEAST_ALIKE]
    return sorted(alike, key=lambda candidate: (-scores[candidate], candidate))[:count]


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
