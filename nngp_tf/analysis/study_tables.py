"""A comparison as CSV files.

    table.csv           a row a signal: every measure with its interval, and costs
    signals.csv         a row an architecture: the truth and every signal, empty where missing
    curves.csv          Kendall's tau at each regulariser and at each number of initialisations
    known.csv           tau of the fitted scores by the number of networks fitted to
    reductions.csv      a row a second score and fraction
    combinations.csv    a row a combination and part of it
    partials.csv        partial rank correlations

An estimate takes three columns: NAME, NAME_low and NAME_high.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from typing import Any

from nngp_tf.analysis.estimates import Estimate
from nngp_tf.analysis.study import Study


def csv_files(study: Study) -> dict[str, str]:
    """Return the content of each file, by name."""
    return {
        "table.csv": _csv(_measures(study)),
        "signals.csv": _csv(_signals(study)),
        "curves.csv": _csv(_curves(study), "family", "setting", "value", "kendall_tau"),
        "known.csv": _csv(_known(study), "score", "num_known", "kendall_tau"),
        "reductions.csv": _csv(_reductions(study), "first", "second", "fraction", "found"),
        "combinations.csv": _csv(_combinations(study), "parts", "method", "kendall_tau"),
        "partials.csv": _csv(_partials(study), "score", "given", "partial_spearman"),
    }


def _measures(study):
    for row in study.rows:
        yield {
            "signal": row.name,
            "label": row.label,
            "kind": row.kind,
            "num_architectures": row.num_architectures,
            "kendall_tau": row.kendall_tau,
            "difference": row.difference,
            "pearson": row.pearson,
            "spearman": row.spearman,
            **{
                f"pqetp_{threshold:.4g}": estimate
                for threshold, estimate in zip(study.thresholds, row.pqetp, strict=True)
            },
            f"discovered_{study.k}": row.discovered,
            f"regret_{study.k}": row.regret,
            "seconds": row.seconds,
            "multiply_adds": row.multiply_adds,
            "times_cheaper": row.times_cheaper,
            "cost_note": row.cost_note,
            "is_chosen_here": row.is_chosen_here,
            "reference": study.reference,
        }


def _signals(study):
    whole = study.whole
    columns = [(whole.truth.name, whole.truth), *((s.name, s) for s in whole.signals)]
    is_reported = frozenset(study.reported.keys)
    for row, key in enumerate(whole.keys):
        values = {name: float(signal.values[row]) for name, signal in columns}
        yield {"key": key, "is_reported": key in is_reported, **values}


def _curves(study):
    for setting, curves in (
        ("diag_reg", study.regularisers),
        ("num_inits", study.initialisations),
    ):
        for curve in curves:
            for value, estimate in zip(curve.settings, curve.estimates, strict=True):
                yield {
                    "family": curve.family,
                    "setting": setting,
                    "value": value,
                    "kendall_tau": estimate,
                }


def _known(study):
    for curve in study.known:
        for number, estimate in zip(curve.num_known, curve.estimates, strict=True):
            yield {"score": curve.name, "num_known": number, "kendall_tau": estimate}


def _reductions(study):
    for rows in study.reductions.values():
        for row in rows:
            yield {
                "first": row.first,
                "second": row.second,
                "fraction": row.fraction,
                "num_survivors": row.num_survivors,
                "num_picked": row.num_picked,
                "found": row.found,
                "found_at_random": row.found_at_random,
                "best_surviving": row.best_surviving,
                "mean_surviving": row.mean_surviving,
                **{f"quantile_{q:g}": value for q, value in row.quantiles.items()},
                "multiply_adds": row.multiply_adds,
                "seconds": row.seconds,
                "share_of_cost": row.share_of_cost,
            }


def _combinations(study):
    for row in study.combinations:
        for part, gain in row.gains.items():
            yield {
                "parts": " + ".join(row.parts),
                "method": row.method,
                "kendall_tau": row.kendall_tau,
                "part": part,
                "gain": gain,
            }


def _partials(study):
    for row in study.partials:
        yield {
            "score": row.score,
            "given": " + ".join(row.given),
            "partial_spearman": row.estimate,
        }


def _csv(rows: Iterable[Mapping[str, Any]], *columns_of_none: str) -> str:
    """Write rows of the same fields; a missing number is an empty cell.

    Where there is no row to tell the columns, some are named for those who read them.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header: list[str] | None = None
    for row in rows:
        cells: dict[str, Any] = {}
        for name, value in row.items():
            if isinstance(value, Estimate):
                cells |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            else:
                cells[name] = value
        if header is None:
            header = list(cells)
            writer.writerow(header)
        writer.writerow(["" if _is_missing(cell) else cell for cell in cells.values()])
    if header is None:
        writer.writerow(columns_of_none)
    return text.getvalue()


def _is_missing(cell):
    return cell is None or (isinstance(cell, float) and math.isnan(cell))
