"""The report of a comparison, and the files beside it."""

import pytest

from nngp_tf.analysis.study import Settings, study
from nngp_tf.analysis.study_report import build, write
from nngp_tf.analysis.study_tables import csv_files
from tests.analysis import examples

pytestmark = [
    pytest.mark.slow,
    # Invented networks are all of one size.
    pytest.mark.filterwarnings("ignore:.*is undefined:RuntimeWarning"),
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return examples.invented(tmp_path_factory.mktemp("sources"))


def test_the_report_and_its_files(sources, tmp_path):
    signals = ["nngp/test_accuracy@best", "short/validation_accuracy_1", "bench/parameters"]
    found = study(sources, Settings(num_resamples=20, signals=signals, fractions=(1.0, 0.25)))
    path = write(found, sources, f"{tmp_path}/out/")
    assert path == f"{tmp_path}/out/report.html"
    page = (tmp_path / "out" / "report.html").read_text()
    for text in (
        "Which score predicts the truth",
        "Use: reduce",
        "Use: improve",
        "Learning curves",
    ):
        assert text in page
    pictures = {p.name for p in (tmp_path / "out").glob("*.png")}
    assert pictures == {
        "scatter_01.png",
        "scatter_02.png",
        "scatter_03.png",
        "pqetp.png",
        "tau_against_multiply_adds.png",
        "tau_against_seconds.png",
        "discovered_against_multiply_adds.png",
        "discovered_against_seconds.png",
        "diag_reg_01_nngp_accuracy.png",
        "diag_reg_02_nngp_likelihood.png",
        "inits_01_nngp_accuracy.png",
        "inits_02_nngp_likelihood.png",
        "reduction_01.png",
        "combination.png",
        "partial.png",
        "learning_short.png",
    }
    assert page.count("<img") == len(pictures)
    assert (tmp_path / "out" / "table.csv").read_text() == csv_files(found)["table.csv"]


def test_sections_are_there_for_what_there_is(sources, tmp_path):
    # Without runs of training there is nothing to reduce for, nor learning curves.
    signals = ["nngp/test_accuracy@best"]
    found = study(sources[::2], Settings(num_resamples=5, signals=signals, split="half"))
    report, drawn = build(found, sources[::2])
    titles = [section.title for section in report.sections]
    assert titles == [
        "Data",
        "Measures",
        "Exceedance of a threshold",
        "Against cost",
        "Regularisers and initialisations",
    ]
    assert "40 are known to every source" in report.sections[0].text
    assert "A random half of them, 20, chose" in report.sections[0].text
    assert "scatter_02.png" not in drawn
