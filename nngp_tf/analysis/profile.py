"""One score from all that leave-one-out says of a network: its profile.

ranks of every leave-one-out accuracy, error and summary of the spectrum, of every kernel
-> ridge regression of the truth's rank, fitted to other architectures

A few dozen architectures with a known truth are enough for the fit; it needs no further training.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from nngp_tf.analysis.combination import FEWEST, cross_validated_regression, rank_regression
from nngp_tf.analysis.comparison import Comparison
from nngp_tf.analysis.signals import NNGP, Signal


def add_profiles(comparison: Comparison, fitted_on: Comparison | None, seed: int) -> Comparison:
    """Show a signal SOURCE/profile after the other scores of each run that holds profiles.

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
    for source in dict.fromkeys(signal.source for signal in comparison.signals):
        names = [
            signal.name
            for signal in comparison.signals
            if signal.source == source and signal.in_profile
        ]
        # A regulariser at which the kernel of any architecture fails says nothing of the others.
        names = [
            name
            for name in names
            if np.isfinite(comparison[name].values).all() and np.isfinite(fit[name].values).all()
        ]
        if names:
            comparison = _show(comparison, _profile(comparison, fitted_on, names, source, seed))
    return comparison


def _profile(comparison, fitted_on, names, source, seed):
    scores = [comparison[name].values for name in names]
    if fitted_on is None:
        values = cross_validated_regression(comparison.truth.values, scores, seed)
        how = "cross-validated on these architectures"
    else:
        values = rank_regression(
            fitted_on.truth.values, [fitted_on[name].values for name in names], scores
        )
        how = "fitted to the other half"
    return dataclasses.replace(
        comparison[names[0]],
        name=f"{source}/profile",
        label=f"profile: {len(names)} leave-one-out scores in a regression, {how}",
        values=values,
        kind=NNGP,
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
