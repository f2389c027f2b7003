"""CSV files of a comparison: one header whatever there is, and numbers that can be read again."""

import csv
import io
import math

import numpy as np
import pytest

from nngp_tf.analysis.study import Settings, study
from nngp_tf.analysis.study_tables import csv_files
from tests.analysis import examples

pytestmark = [
    pytest.mark.fast,
    # Invented networks are all of one size.
    pytest.mark.filterwarnings("ignore:.*is undefined:RuntimeWarning"),
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return examples.invented(tmp_path_factory.mktemp("sources"))


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_without_a_use_of_the_score_files_have_a_header_alone(sources):
    found = study(sources[::2], Settings(num_resamples=2, signals=["nngp/test_accuracy@best"]))
    files = csv_files(found)
    assert files["reductions.csv"] == "first,second,fraction,found\n"
    assert files["combinations.csv"] == "parts,method,kendall_tau\n"
    assert files["partials.csv"] == "score,given,partial_spearman\n"
    assert len(rows(files["table.csv"])) == 1


def test_numbers_are_read_again_bit_for_bit(sources):
    settings = Settings(num_resamples=5, thresholds=[0.87654, 0.9], k=3, fractions=(0.5,))
    found = study(sources, settings)
    files = {name: rows(text) for name, text in csv_files(found).items()}
    for written, row in zip(files["table.csv"], found.rows, strict=True):
        assert (written["signal"], written["kind"]) == (row.name, row.kind)
        for name, estimate in {
            "kendall_tau": row.kendall_tau,
            "pqetp_0.8765": row.pqetp[0],
            "discovered_3": row.discovered,
        }.items():
            got = [written[name], written[f"{name}_low"], written[f"{name}_high"]]
            expected = [estimate.value, estimate.low, estimate.high]
            assert got == ["" if math.isnan(value) else str(value) for value in expected]
    # A row a curve and setting, regularisers first.
    number = sum(len(c.settings) for c in (*found.regularisers, *found.initialisations))
    assert len(files["curves.csv"]) == number
    assert files["curves.csv"][0]["setting"] == "diag_reg"
    assert files["curves.csv"][-1]["setting"] == "num_inits"
    row = found.reductions["short/validation_accuracy_1"][0]
    (written,) = [r for r in files["reductions.csv"] if r["second"] == row.second]
    assert float(written["found"]) == row.found.value
    assert float(written["quantile_0.5"]) == np.median(row.survivors)


def test_halves_are_told_apart(sources):
    found = study(sources, Settings(num_resamples=2, split="half", fractions=(0.5,)))
    signals = rows(csv_files(found)["signals.csv"])
    assert [row["key"] for row in signals] == list(found.whole.keys)
    reported = {row["key"] for row in signals if row["is_reported"] == "True"}
    assert reported == set(found.reported.keys)
    assert {row["is_reported"] for row in signals} == {"True", "False"}
