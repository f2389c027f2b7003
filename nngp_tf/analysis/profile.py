"""One score from all that leave-one-out says of a network: its profile.

ranks of every leave-one-out accuracy, error and summary of the spectrum, of every kernel
[-> beside them those of the parameters and multiply-adds, and of the structure]
-> ridge regression of the truth's rank, fitted to other architectures

A few dozen architectures with a known truth are enough for the fit; it needs no further training.
Since a fit to what costs nothing may do as well, that is shown beside it:

    profile                      the kernels alone
    profile_and_size             with parameters and multiply-adds
    profile_size_and_structure   and with what can be read off the architecture
    size_and_structure           these without any kernel
"""

from __future__ import annotations

import dataclasses

import numpy as np

from nngp_tf.analysis.combination import FEWEST, cross_validated_regression, rank_regression
from nngp_tf.analysis.comparison import Comparison
from nngp_tf.analysis.signals import NNGP, SIZE, STRUCTURE, Signal

# With the truth of fewer a fit predicts no better than the authors' score, which needs none.
ENOUGH = 50


def add_profiles(comparison: Comparison, fitted_on: Comparison | None, seed: int) -> Comparison:
    """Show the fitted scores, SOURCE/profile and so on, after the others of each run with profiles.

    Args:
      comparison: Whose architectures are scored.
      fitted_on: Other architectures, that the regression is fitted to; None for a cross-validation
        on the same ones.
      seed: Of the folds.

    Returns:
      The comparison with the signals; as it is where there are no profiles, or fewer than 10
      architectures to fit to.
    """
    fit = comparison if fitted_on is None else fitted_on
    if len(fit) < FEWEST:
        return comparison
    for name, parts in profile_parts(comparison, fit).items():
        signal = _profile(comparison, fitted_on, parts, name, seed)
        comparison = _show(comparison, signal)
    return comparison


def profile_parts(comparison: Comparison, *others: Comparison) -> dict[str, list[str]]:
    """Return the signals that each fitted score rests on, by its name; none without profiles.

    A regulariser at which the kernel of any architecture fails says nothing of the others, and is
    left out.

    Args:
      comparison: Which signals there are.
      *others: Where they have to be finite as well.
    """
    found = {}
    for source in dict.fromkeys(signal.source for signal in comparison.signals):
        names = [
            signal.name
            for signal in comparison.signals
            if signal.source == source
            and signal.in_profile
            and all(np.isfinite(c[signal.name].values).all() for c in (comparison, *others))
        ]
        if not names:
            continue
        sizes, structure = (
            [s.name for s in comparison.signals if s.source == source and s.kind == kind]
            for kind in (SIZE, STRUCTURE)
        )
        found |= {f"{source}/profile": names, f"{source}/profile_and_size": names + sizes}
        if structure:
            found |= {
                f"{source}/profile_size_and_structure": names + sizes + structure,
                f"{source}/size_and_structure": sizes + structure,
            }
    return found


def best_profile(comparison: Comparison) -> str | None:
    """Return the name of the fitted score with most parts that a comparison shows, if any."""
    for quantity in ("profile_size_and_structure", "profile_and_size"):
        for name in comparison.shown:
            if name.partition("/")[2] == quantity:
                return name
    return None


def _profile(comparison, fitted_on, names, name, seed):
    scores = [comparison[part].values for part in names]
    if fitted_on is None:
        values = cross_validated_regression(comparison.truth.values, scores, seed)
        how = "cross-validated"
    else:
        values = rank_regression(
            fitted_on.truth.values, [fitted_on[part].values for part in names], scores
        )
        how = "fitted to the other half"
    return dataclasses.replace(
        comparison[names[0]],
        name=name,
        label=f"{name.partition('/')[2].replace('_', ' ')} ({len(names)} numbers, {how})",
        values=values,
        kind=NNGP if any(comparison[part].kind == NNGP for part in names) else STRUCTURE,
        family=None,
        setting=None,
        is_shown=True,
        in_profile=False,
    )


def _show(comparison: Comparison, signal: Signal) -> Comparison:
    shown = list(comparison.shown)
    ours = [
        position
        for position, name in enumerate(shown)
        if comparison[name].source == signal.source and comparison[name].kind == NNGP
    ]
    shown.insert(max(ours, default=len(shown) - 1) + 1, signal.name)
    return dataclasses.replace(
        comparison, signals=(*comparison.signals, signal), shown=tuple(shown)
    )
