"""How many networks have to be trained before a fit to them predicts the others.

for each number of known networks, twenty times: draw who is known -> fit -> tau of all the others

What varies is who is known; the architectures are the same throughout.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from nngp_tf.analysis import metrics
from nngp_tf.analysis.combination import rank_regression
from nngp_tf.analysis.comparison import Comparison
from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.profile import profile_parts

_NUM_KNOWN = (12, 25, 50, 100, 200, 400, 800)
_DRAWS = 20


@dataclasses.dataclass(frozen=True)
class ProfileCurve:
    """Kendall's tau of a fitted score by the number of networks that it is fitted to.

    Attributes:
      name: Of the score, such as "nngp/profile".
      num_known: Networks with a known truth.
      estimates: For each number the mean tau over draws, and the range of 95% of them.
    """

    name: str
    num_known: tuple[int, ...]
    estimates: tuple[Estimate, ...]


def profile_curves(comparison: Comparison, seed: int) -> list[ProfileCurve]:
    """Return a curve for each fitted score; none below 50 architectures or without profiles.

    Args:
      comparison: At most half of its architectures are known at once.
      seed: Of the draws.
    """
    num_known = tuple(n for n in _NUM_KNOWN if 2 * n <= len(comparison))
    if len(num_known) < 2:
        return []
    return [
        ProfileCurve(name, num_known, tuple(_tau(comparison, parts, n, seed) for n in num_known))
        for name, parts in profile_parts(comparison).items()
    ]


def _tau(comparison, parts, num_known, seed):
    # The same networks are known to every score.
    rng = np.random.default_rng([seed, num_known])
    truth = comparison.truth.values
    scores = [comparison[part].values for part in parts]
    taus = []
    for _ in range(_DRAWS):
        order = rng.permutation(len(comparison))
        known, others = order[:num_known], order[num_known:]
        predicted = rank_regression(
            truth[known], [s[known] for s in scores], [s[others] for s in scores]
        )
        taus.append(metrics.kendall_tau(truth[others], predicted).value)
    low, high = np.quantile(taus, [0.025, 0.975])
    return Estimate(float(np.mean(taus)), float(low), float(high))
