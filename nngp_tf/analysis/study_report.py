"""A comparison as a report: tables and figures on one page, and as files of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nngp_tf.analysis import figures, study_figures
from nngp_tf.analysis.files import write_whole
from nngp_tf.analysis.findings import findings, titles
from nngp_tf.analysis.report import Report, Section, Table
from nngp_tf.analysis.signals import Source
from nngp_tf.analysis.study import Study
from nngp_tf.analysis.study_tables import csv_files


def write(study: Study, sources: Sequence[Source], directory: str | os.PathLike[str]) -> str:
    """Write CSV files, PNG files and the report.

    Args:
      study: What was found.
      sources: What it was found from.
      directory: Where the files go; may be gs://. Files of the same names are replaced.

    Returns:
      The path of the report.

    Raises:
      ValueError: If it cannot be written, or matplotlib is not installed.
    """
    directory = os.fspath(directory).rstrip("/")
    report, drawn = build(study, sources)
    for name, text in csv_files(study).items():
        write_whole(f"{directory}/{name}", text.encode())
    for name, (_, figure) in drawn.items():
        figures.save_figure(figure, f"{directory}/{name}")
    return report.save(f"{directory}/report.html")


def build(study: Study, sources: Sequence[Source]) -> tuple[Report, study_figures.Figures]:
    """Return the report, and its figures with captions by file name."""
    tables = {source.name for source in sources if source.is_table}
    parts = (
        (_measures, study_figures.scatters(study)),
        (_exceedance, study_figures.exceedance(study)),
        (_costs, study_figures.costs(study)),
        (_settings, study_figures.settings(study)),
        (_known, study_figures.known(study)),
        (_reduction, study_figures.reductions(study)),
        (_combination, study_figures.combinations(study)),
        (_learning, study_figures.learning(study, tables)),
    )
    sections, drawn = [_data(study, sources)], {}
    for describe, some in parts:
        title, text, table = describe(study)
        if some or table is not None:
            sections.append(Section(title, text, table, list(some.values())))
        drawn |= some
    return Report("Which score predicts the truth", findings(study), sections), drawn


def _data(study, sources):
    coverage = study.whole.coverage
    text = "\n\n".join(f"{line}." for line in coverage.lines())
    if study.is_split:
        text += (
            f"\n\nA random half of them, {study.choice.num_architectures:,}, chose regularisers "
            f"and score; all numbers below are of the other {len(study.reported):,}."
        )
    rows = [
        [source.name, "table" if source.is_table else "run", len(source.keys), source.num_failed,
         source.path]
        for source in sources
    ]  # fmt: skip
    header = ["source", "kind", "architectures", "failed", "path"]
    return Section("Data", text, Table(header, rows))


def _measures(study):
    name = titles(study)
    header = [
        "signal", "n", "Kendall's tau", "minus reference", "Pearson", "Spearman",
        *(f"PQETP {threshold:.3g}" for threshold in study.thresholds),
        f"best of {study.k}", "regret", "seconds", "multiply-adds", "times cheaper",
    ]  # fmt: skip
    rows = [
        [
            name[row.name] + (" *" if row.is_chosen_here else ""),
            row.num_architectures,
            row.kendall_tau,
            row.difference,
            row.pearson,
            row.spearman,
            *row.pqetp,
            row.discovered,
            row.regret,
            row.seconds,
            row.multiply_adds,
            row.times_cheaper,
        ]
        for row in study.rows
    ]
    notes = {row.cost_note for row in study.rows if row.cost_note}
    starred = "* chosen as the best on these data: optimistic. "
    note = (
        (starred if any(row.is_chosen_here for row in study.rows) else "")
        + f"Reference: {name[study.reference]}. Costs are means over architectures; seconds are of "
        "the device that each was measured on, so that only multiply-adds compare across sources. "
        "Undefined: all architectures are on one side, or all scores equal."
        + "".join(f" Some {text}." for text in sorted(notes))
    )
    text = (
        "Each signal against the truth, larger is better throughout: negated where a small value "
        f"is good. Intervals are {study.confidence:.0%} bootstrap intervals over architectures, "
        "all from the same resamples."
    )
    return "Measures", text, Table(header, rows, note)


def _exceedance(study):
    text = (
        "The probability that an architecture above the threshold scores higher than one that is "
        "not."
    )
    return "Exceedance of a threshold", text, None


def _costs(study):
    text = (
        "A training step counts as three passes of its images, and an NNGP score as one pass of "
        "the images that it needs, times initialisations, calibration included."
    )
    return "Against cost", text, None


def _settings(study):
    text = "Each criterion at one regulariser for all architectures; fewer initialisations."
    return "Regularisers and initialisations", text, None


def _known(study):
    header = ["fitted score", "known networks", "Kendall's tau of the others"]
    rows = [
        [curve.name, number, estimate]
        for curve in study.known
        for number, estimate in zip(curve.num_known, curve.estimates, strict=True)
    ]
    text = (
        "A fitted score needs the truth of some networks. Each is fitted to so many, drawn at "
        "random twenty times, and predicts all the others: the mean, and the range of 95% of the "
        "draws. The score without a kernel says what the same truth is worth by itself."
    )
    return "How many networks to train", text, Table(header, rows) if rows else None


def _reduction(study):
    name = titles(study)
    header = [
        "picked by", "kept", "of them", "found", "found at random", "best surviving",
        "mean surviving", "share of cost",
    ]  # fmt: skip
    rows = [
        [
            name[second], f"{row.fraction:.0%}", row.num_survivors, row.found, row.found_at_random,
            row.best_surviving, row.mean_surviving,
            None if row.share_of_cost is None else f"{row.share_of_cost:.1%}",
        ]
        for second, of_second in study.reductions.items()
        for row in of_second
    ]  # fmt: skip
    text = (
        f"The best fraction by {name[study.score]} is kept; the one of them that a dearer signal "
        "puts first is found. The cost is that of both, relative to the dearer signal of all."
    )
    return "Use: reduce a search space", text, Table(header, rows) if rows else None


def _combination(study):
    name = titles(study)
    header = ["combination", "method", "Kendall's tau", "part", "gain over the part"]
    rows = [
        [
            " + ".join(name[p] for p in row.parts),
            row.method,
            row.kendall_tau,
            name[part],
            gain,
        ]
        for row in study.combinations
        for part, gain in row.gains.items()
    ]
    text = (
        "Ranks averaged, and a ridge regression on ranks that predicts each architecture from fits "
        "to others. Its interval takes the predictions as they are.\n\nA partial rank correlation "
        "above zero means that the score knows something of the truth that the given signals do "
        "not."
    )
    return "Use: improve a signal", text, Table(header, rows) if rows else None


def _learning(study):
    return "Learning curves", "As recorded by the training runs.", None
