"""What a comparison says, in a sentence each."""

from __future__ import annotations

import math

from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.measures_table import MeasureRow
from nngp_tf.analysis.signals import NNGP, TRAINING
from nngp_tf.analysis.study import Study


def titles(study: Study) -> dict[str, str]:
    """Return what to call each signal: its label, with its source where labels repeat."""
    shown = study.reported.shown_signals()
    labels = [signal.label for signal in shown]
    found = {}
    for signal in (*study.reported.signals, study.reported.truth):
        repeats = labels.count(signal.label) > 1
        found[signal.name] = f"{signal.label} ({signal.source})" if repeats else signal.label
    return found


def findings(study: Study) -> list[str]:
    """Return the findings, the most important first."""
    name = titles(study)
    lines = [
        f"{len(study.reported):,} architectures, truth: {name[study.reported.truth.name]}; "
        f"intervals are {study.confidence:.0%} bootstrap intervals over architectures"
    ]
    rows = [row for row in study.rows if not math.isnan(row.kendall_tau.value)]
    if rows:
        best = max(rows, key=lambda row: row.kendall_tau.value)
        lines.append(f"best signal of all: {_described(best, name)}")
    lines += _kernel([row for row in rows if row.kind == NNGP], study, name)
    lines += _reduction(study, name)
    lines += _improvement(study, name)
    return lines


def _kernel(rows, study, name):
    if not rows:
        return
    best = max(rows, key=lambda row: row.kendall_tau.value)
    yield f"best NNGP score of the {len(rows)} shown: {_described(best, name)}"
    if best.name != study.reference:
        yield (
            f"it is {_sure(best.difference, 'better', 'worse')} than {name[study.reference]}: "
            f"difference {best.difference}"
        )
    choice = study.choice
    if study.is_split and choice.best is not None:
        found = next(row for row in study.rows if row.name == choice.best)
        yield (
            f"chosen on the other half ({choice.num_architectures:,} architectures) among "
            f"{choice.num_candidates} NNGP scores: {name[choice.best]}, with a tau of "
            f"{choice.tau:.3f} there and {found.kendall_tau} here"
        )


def _described(row: MeasureRow, name):
    cost = ""
    if row.times_cheaper is not None and math.isfinite(row.times_cheaper):
        cost = f", {row.times_cheaper:.3g} times cheaper than the truth"
    elif row.times_cheaper is not None:
        cost = ", free"
    chosen = ", chosen on these data and so optimistic" if row.is_chosen_here else ""
    return f"{name[row.name]}, Kendall's tau {row.kendall_tau}{cost}{chosen}"


def _reduction(study, name):
    for second, rows in study.reductions.items():
        row = min(rows, key=lambda row: abs(math.log(row.fraction / 0.25)))
        cost = "" if row.share_of_cost is None else f" at {row.share_of_cost:.0%} of the cost"
        yield (
            f"reduce: of the best {row.fraction:.0%} by {name[row.first]}, {name[second]} finds "
            f"{row.found:.4f}{cost}; of as many at random {row.found_at_random:.4f}"
        )


def _improvement(study, name):
    for row in study.partials:
        if len(row.given) == 1:
            yield (
                f"improve: partial rank correlation of {name[row.score]} with the truth given "
                f"{name[row.given[0]]}: {row.estimate}"
            )
    kinds = {row.name: row.kind for row in study.rows}
    defined = [row for row in study.combinations if not math.isnan(row.kendall_tau.value)]
    untrained = [row for row in defined if all(kinds.get(p) != TRAINING for p in row.parts)]
    for rows, words in ((untrained, "without training"), (defined, "of all")):
        if rows:
            best = max(rows, key=lambda row: row.kendall_tau.value)
            gains = "; ".join(f"{gain} over {name[part]}" for part, gain in best.gains.items())
            yield (
                f"improve: the best combination {words} is the {best.method} of "
                f"{', '.join(name[part] for part in best.parts)}: tau {best.kendall_tau}, {gains}"
            )


def _sure(difference: Estimate, better: str, worse: str) -> str:
    """Return the word, hedged where the interval holds zero."""
    word = better if difference.value > 0 else worse
    if difference.low is None or not difference.low <= 0 <= difference.high:
        return word
    return f"not surely {word}"
