"""The figures of a comparison, by file name, with their captions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from nngp_tf.analysis import figures
from nngp_tf.analysis.findings import titles
from nngp_tf.analysis.signals import NNGP, TRAINING
from nngp_tf.analysis.study import AUTHORS_SCORE, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Figures = dict[str, tuple[str, "Figure"]]
_MOST_SCATTERS = 8
_MOST_CURVES = 8
_MOST_LEARNING_CURVES = 60
_FIT = re.compile(r" \(\d+ numbers, [^)]*\)")  # How a score was fitted.
_COSTS = {
    "multiply_adds": "Multiply-adds an architecture",
    "seconds": "Seconds an architecture",
}


def scatters(study: Study) -> Figures:
    """Draw the truth against the signals shown, at most eight of them."""
    name = titles(study)
    comparison = study.reported
    tau = {row.name: row.kendall_tau for row in study.rows}
    drawn = {}
    for number, signal in enumerate(_foremost(study, _MOST_SCATTERS), start=1):
        figure = figures.scatter(
            comparison.truth.values,
            signal.values,
            name[comparison.truth.name],
            name[signal.name],
            estimate=tau[signal.name],
        )
        drawn[f"scatter_{number:02d}.png"] = (f"Truth against {name[signal.name]}.", figure)
    return drawn


def exceedance(study: Study) -> Figures:
    """Draw PQETP against its threshold, at most eight curves."""
    name = titles(study)
    rows = {row.name: row for row in study.rows}
    curves = {
        name[signal.name]: rows[signal.name].pqetp for signal in _foremost(study, _MOST_CURVES)
    }
    truth_name = name[study.reported.truth.name]
    figure = figures.pqetp_curves(study.thresholds, curves, truth_name)
    caption = "How well a score tells those above a threshold from those below it."
    return {"pqetp.png": (caption, figure)}


def costs(study: Study) -> Figures:
    """Draw Kendall's tau and the discovered performance against each cost that is known."""
    name = titles(study)
    measures = {
        "tau": ("Kendall's tau", lambda row: row.kendall_tau),
        "discovered": (f"Best truth among the {study.k} best", lambda row: row.discovered),
    }
    drawn = {}
    for cost, cost_name in _COSTS.items():
        rows = [row for row in study.rows if getattr(row, cost) is not None]
        if not any(getattr(row, cost) for row in rows):
            continue
        for measure, (measure_name, estimate) in measures.items():
            points = [
                figures.CostPoint(name[row.name], getattr(row, cost), estimate(row)) for row in rows
            ]
            figure = figures.against_cost(points, cost_name, measure_name)
            caption = f"{measure_name} against {cost_name[0].lower()}{cost_name[1:]}."
            drawn[f"{measure}_against_{cost}.png"] = (caption, figure)
    return drawn


def settings(study: Study) -> Figures:
    """Draw tau against the regulariser and the initialisations: accuracies, then likelihoods."""
    drawn = {}
    for kind, curves, draw, words in (
        ("diag_reg", study.regularisers, figures.against_diag_reg, "the regulariser"),
        ("inits", study.initialisations, figures.against_num_inits, "initialisations"),
    ):
        groups: dict[tuple, dict[str, tuple]] = {}
        for curve in curves:
            source, _, quantity = curve.family.partition("/")
            scores = "accuracy" if "accuracy" in quantity.partition("@")[0] else "likelihood"
            # Curves of one figure are of one length.
            group = groups.setdefault((source, scores, curve.settings), {})
            group[quantity.replace("_", " ")] = curve.estimates
        for number, ((source, scores, values), estimates) in enumerate(groups.items(), start=1):
            caption = f"Kendall's tau of {source}'s scores by {scores} against {words}."
            figure = draw(values, estimates, "Kendall's tau")
            drawn[f"{kind}_{number:02d}_{source}_{scores}.png"] = (caption, figure)
    return drawn


def known(study: Study) -> Figures:
    """Draw tau of the fitted scores against the networks whose truth is known, a figure a run."""
    by_run: dict[str, dict[str, tuple]] = {}
    for curve in study.known:
        source, _, quantity = curve.name.partition("/")
        by_run.setdefault(source, {})[quantity.replace("_", " ")] = curve.estimates
    drawn = {}
    for source, curves in by_run.items():
        figure = figures.against_num_known(study.known[0].num_known, curves, "Kendall's tau")
        caption = f"Kendall's tau of {source}'s fitted scores on the networks not fitted to."
        drawn[f"known_{source}.png"] = (caption, figure)
    return drawn


def reductions(study: Study) -> Figures:
    """Draw what reduction keeps and what is found in it, a figure for each signal that picks."""
    name = titles(study)
    drawn = {}
    for number, (second, rows) in enumerate(study.reductions.items(), start=1):
        found = {
            f"kept by {name[study.score]}": [row.found for row in rows],
            "kept at random": [row.found_at_random for row in rows],
        }
        figure = figures.reduction(
            [row.fraction for row in rows],
            found,
            {row.fraction: row.survivors for row in rows},
            name[study.reported.truth.name],
        )
        caption = f"The space reduced by {name[study.score]}, and what {name[second]} finds in it."
        drawn[f"reduction_{number:02d}.png"] = (caption, figure)
    return drawn


def combinations(study: Study) -> Figures:
    """Draw tau of the combinations beside their parts, and partial rank correlations."""
    if not study.combinations:
        return {}
    # The labels here are of several signals each.
    name = {signal: _FIT.sub("", title) for signal, title in titles(study).items()}
    tau = {row.name: row.kendall_tau for row in study.rows}
    parts = dict.fromkeys(part for row in study.combinations for part in row.parts)
    # A score that is not shown has no row.
    alone = [(name[part], tau[part]) for part in parts if part in tau]
    combined = [
        (f"{row.method}: {' + '.join(name[part] for part in row.parts)}", row.kendall_tau)
        for row in study.combinations
    ]
    partial = [
        (f"given {' and '.join(name[g] for g in row.given)}", row.estimate)
        for row in study.partials
    ]
    return {
        "combination.png": (
            "Signals alone and combined.",
            figures.combination(alone + combined, "Kendall's tau"),
        ),
        "partial.png": (
            f"What {name[study.score]} says of the truth beyond the others.",
            figures.combination(partial, "Partial rank correlation with the truth"),
        ),
    }


def learning(study: Study, tables: set[str]) -> Figures:
    """Draw the learning curves of each training run, of its first sixty architectures."""
    drawn = {}
    comparison = study.reported
    for family, members in comparison.families("/validation_accuracy").items():
        source = family.partition("/")[0]
        if comparison.truth.family == family:
            members = [*members, comparison.truth]
        if source in tables or len(members) < 2:
            continue
        rows = range(min(len(comparison), _MOST_LEARNING_CURVES))
        curves = {
            comparison.keys[row]: [(m.setting, float(m.values[row])) for m in members]
            for row in rows
        }
        caption = f"Validation accuracy by epoch in {source}, of {len(rows)} architectures."
        drawn[f"learning_{source}.png"] = (caption, figures.learning_curves(curves))
    return drawn


def _foremost(study, most):
    """Return the signals shown, those that matter most where there are too many, in order."""
    shown = study.reported.shown_signals()
    tau = {row.name: row.kendall_tau.value for row in study.rows}

    def importance(signal):
        is_named = signal.name in (study.score, study.reference)
        is_authors = signal.name.endswith(AUTHORS_SCORE)
        known = np.nan_to_num(tau[signal.name], nan=-1.0)
        return is_named, is_authors, signal.kind in (TRAINING, NNGP), known

    first = {s.name for s in sorted(shown, key=importance, reverse=True)[:most]}
    return [signal for signal in shown if signal.name in first]
