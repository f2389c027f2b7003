"""The whole comparison: what predicts the truth, at what cost, and what it is good for.

join -> choose a score (on one half with split="half") -> table of measures, curves against
the regulariser and the initialisations, reduction of the space, combinations of scores
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np

from nngp_tf.analysis import choice as choice_lib
from nngp_tf.analysis import combination, measures_table, reduction
from nngp_tf.analysis.bootstrap import Bootstrap
from nngp_tf.analysis.comparison import Comparison, compare
from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.partial_correlation import partial_spearman
from nngp_tf.analysis.profile import ENOUGH, add_profiles, best_profile
from nngp_tf.analysis.profile_curves import ProfileCurve, profile_curves
from nngp_tf.analysis.signals import NNGP, SIZE, STRUCTURE, TRAINING, Signal, Source

SPLITS = ("none", "half")
AUTHORS_SCORE = "/test_accuracy@best"
# Those of the authors, for accuracies on CIFAR-10 after 108 epochs.
_THRESHOLDS = (0.85, 0.87, 0.89, 0.91, 0.93)
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is asked of a comparison.

    Attributes:
      truth: See `nngp_tf.analysis.comparison.compare`, as are the next two.
      signals: Signals that are shown; where they are given, choices are among them.
      architectures: "common" or "each".
      thresholds: Of PQETP. Unless given: 0.85 to 0.93, the authors', where the truth is a table's,
        and quantiles of the truth otherwise.
      k: Architectures chosen by discovered performance.
      confidence: Of the intervals.
      num_resamples: Of the bootstrap.
      seed: Of resamples, halves, folds and random subsets.
      split: "none", or "half": regularisers and the score are chosen on one half of the
        architectures, and everything is reported on the other.
      reference: Name of the signal with which the others are compared; the authors' score of the
        first run unless given.
      score: Name of the signal that reduces and improves; unless given the fitted
        score with most parts (`nngp_tf.analysis.profile`) where there is one and the truth of 50
        networks to fit it to; otherwise the reference, or with split="half" the best on the half
        that chooses.
      fractions: Of the space that a reduction keeps.
    """

    truth: str | None = None
    signals: Sequence[str] | None = None
    architectures: str = "common"
    thresholds: Sequence[float] | None = None
    k: int = 10
    confidence: float = 0.95
    num_resamples: int = 1000
    seed: int = 0
    split: str = "none"
    reference: str | None = None
    score: str | None = None
    fractions: Sequence[float] = reduction.FRACTIONS


@dataclasses.dataclass(frozen=True)
class PartialRow:
    """The partial rank correlation of a score with the truth, given others."""

    score: str
    given: tuple[str, ...]
    estimate: Estimate


@dataclasses.dataclass(frozen=True)
class Curve:
    """Kendall's tau of the signals of a family, by increasing setting."""

    family: str
    settings: tuple[float, ...]
    estimates: tuple[Estimate, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """What was found.

    Attributes:
      whole: All that is compared.
      reported: What the numbers are of: with split="half" the half that chose nothing.
      is_split: Whether it is that half.
      choice: What was chosen, on the other half or, without a split, on the same.
      confidence: Of the intervals.
      k: Of discovered performance.
      thresholds: Of PQETP.
      reference: Name of the signal that differences are from.
      score: Name of the signal that reduces and improves.
      rows: The table of measures.
      regularisers: Tau at each regulariser, for each criterion of each run.
      initialisations: Tau at each number of initialisations.
      known: Tau of the fitted scores by how many networks they are fitted to, over the whole.
      reductions: By each second score, a row a fraction.
      combinations: Of the score with others.
      partials: Partial rank correlations of the score.
    """

    whole: Comparison
    reported: Comparison
    is_split: bool
    choice: choice_lib.Choice
    confidence: float
    k: int
    thresholds: tuple[float, ...]
    reference: str
    score: str
    rows: list[measures_table.MeasureRow]
    regularisers: list[Curve]
    initialisations: list[Curve]
    known: list[ProfileCurve]
    reductions: dict[str, list[reduction.ReductionRow]]
    combinations: list[combination.CombinationRow]
    partials: list[PartialRow]


def study(sources: Sequence[Source], settings: Settings) -> Study:
    """Compare sources.

    Raises:
      ValueError: If a setting is out of range, a signal unknown, or too little remains to compare.
    """
    if settings.split not in SPLITS:
        raise ValueError(f"split must be 'none' or 'half', got {settings.split!r}")
    whole = compare(sources, settings.truth, settings.signals, settings.architectures)
    if not whole.shown:
        raise ValueError("there is no signal beside the truth: name runs with --run")
    is_split = settings.split == "half"
    chosen_on, reported = whole.halves(settings.seed) if is_split else (whole, whole)
    if len(chosen_on) < 2:
        raise ValueError(f"split 'half' needs at least 4 architectures, got {len(whole)}")
    choice = choice_lib.choose(chosen_on, fixes_regularisers=settings.signals is None)
    if settings.signals is None:
        whole, reported = (_with_fixed(c, choice.fixed) for c in (whole, reported))
    if settings.signals is None:
        reported = add_profiles(reported, chosen_on if is_split else None, settings.seed)
    reference = settings.reference or _reference(reported)
    score = settings.score or _default_score(reported, len(chosen_on), choice, is_split, reference)
    thresholds = settings.thresholds
    if thresholds is None:
        tables = {source.name for source in sources if source.is_table}
        thresholds = _default_thresholds(reported, tables)
    bootstrap = Bootstrap(len(reported), settings.confidence, settings.num_resamples, settings.seed)
    rows = measures_table.table(
        reported, bootstrap, thresholds, settings.k, reference, () if is_split else choice.fixed
    )
    applications = _Applications(reported, reported[score], bootstrap, settings)
    return Study(
        whole=whole,
        reported=reported,
        is_split=is_split,
        choice=choice,
        confidence=settings.confidence,
        k=settings.k,
        thresholds=tuple(map(float, thresholds)),
        reference=reference,
        score=score,
        rows=rows,
        regularisers=_curves(reported, bootstrap, "@fixed"),
        known=profile_curves(whole, settings.seed),
        initialisations=[
            curve for curve in _curves(reported, bootstrap, ",inits") if len(curve.settings) > 1
        ],
        reductions=applications.reductions(),
        combinations=applications.combinations(),
        partials=applications.partials(),
    )


def _with_fixed(comparison, fixed):
    """Show chosen signals after the others of their run."""
    shown = list(comparison.shown)
    for name in fixed:
        source = comparison[name].source
        ours = [i for i, s in enumerate(shown) if comparison[s].source == source]
        nngp = [i for i in ours if comparison[shown[i]].kind == NNGP]
        shown.insert(max(nngp, default=len(shown) - 1) + 1, name)
    return dataclasses.replace(comparison, shown=tuple(shown))


def _reference(comparison):
    shown = comparison.shown_signals()
    authors = [s.name for s in shown if s.name.endswith(AUTHORS_SCORE)]
    nngp = [s.name for s in shown if s.kind == NNGP]
    return (authors or nngp or [s.name for s in shown])[0]


def _default_score(comparison, num_fitted, choice, is_split, reference):
    if num_fitted >= ENOUGH and (profile := best_profile(comparison)):
        return profile
    return choice.best if is_split and choice.best else reference


def _default_thresholds(comparison, tables):
    if comparison.truth.source in tables:
        return _THRESHOLDS
    return np.unique(np.quantile(comparison.truth.values, _QUANTILES)).tolist()


def _curves(comparison, bootstrap, suffix):
    truth = comparison.truth.values
    with warnings.catch_warnings():
        # Where the regulariser drowns the kernel all scores are equal; figures show the gap.
        warnings.simplefilter("ignore", RuntimeWarning)
        return [
            Curve(
                family=family.removesuffix(suffix),
                settings=tuple(signal.setting for signal in members),
                estimates=tuple(bootstrap.kendall_tau(truth, s.values) for s in members),
            )
            for family, members in comparison.families(suffix).items()
        ]


class _Applications:
    """Reduces by the score and combines it with the other signals shown."""

    def __init__(
        self, comparison: Comparison, score: Signal, bootstrap: Bootstrap, settings: Settings
    ):
        self._comparison, self._score = comparison, score
        self._bootstrap, self._settings = bootstrap, settings
        others = [s for s in comparison.shown_signals() if s.name != score.name]
        self._training = [s for s in others if s.kind == TRAINING]
        parameters = [s for s in others if s.kind == SIZE and s.label == "parameters"]
        self._untrained = parameters + [s for s in others if s.kind == STRUCTURE]

    def reductions(self) -> dict[str, list[reduction.ReductionRow]]:
        found = {}
        for second in self._training:
            truth, signals, bootstrap = self._known([self._score, second])
            if len(truth) >= 2:
                found[second.name] = reduction.reduce(
                    truth, *signals, bootstrap, self._settings.fractions, seed=self._settings.seed
                )
        return found

    def combinations(self) -> list[combination.CombinationRow]:
        rows = []
        for others in self._groups():
            truth, signals, bootstrap = self._known([self._score, *others])
            if len(truth) >= 2:
                rows += combination.combine(truth, signals, bootstrap, self._settings.seed)
        return rows

    def partials(self) -> list[PartialRow]:
        rows = []
        for others in self._groups():
            truth, (score, *given), bootstrap = self._known([self._score, *others])
            if len(truth) >= 2:
                estimate = partial_spearman(
                    truth, score.values, [s.values for s in given], bootstrap
                )
                rows.append(PartialRow(score.name, tuple(s.name for s in given), estimate))
        return rows

    def _groups(self):
        yield from ([u] for u in self._untrained)
        for training in self._training:
            yield [training]
            yield from ([u, training] for u in self._untrained)

    def _known(self, signals):
        """Return truth, signals and resamples of the architectures that have all the values."""
        rows = np.flatnonzero(np.isfinite([s.values for s in signals]).all(axis=0))
        if len(rows) == len(self._comparison):
            return self._comparison.truth.values, signals, self._bootstrap
        settings = self._settings
        bootstrap = Bootstrap(
            max(len(rows), 1), settings.confidence, settings.num_resamples, settings.seed
        )
        return self._comparison.truth.values[rows], [s.take(rows) for s in signals], bootstrap
