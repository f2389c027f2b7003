"""The whole comparison on invented runs, and what it writes and says."""

import csv
import io
import math

import numpy as np
import pytest

from nngp_tf.analysis.choice import choose
from nngp_tf.analysis.comparison import compare
from nngp_tf.analysis.findings import findings, titles
from nngp_tf.analysis.inference_signals import inference_source
from nngp_tf.analysis.signals import NNGP, SIZE, TRAINING, Signal, Source
from nngp_tf.analysis.study import Settings, study
from nngp_tf.analysis.study_tables import csv_files
from nngp_tf.analysis.table_signals import table_source
from nngp_tf.analysis.training_signals import training_source
from tests.analysis import examples

pytestmark = [
    pytest.mark.fast,
    # Invented networks are all of one size.
    pytest.mark.filterwarnings("ignore:.*is undefined:RuntimeWarning"),
]

QUICK = Settings(num_resamples=50, fractions=(1.0, 0.25))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return examples.invented(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def found(sources):
    return study(sources, QUICK)


def test_the_regulariser_that_is_best_on_the_data_is_marked(found):
    by_name = {row.name: row for row in found.rows}
    assert by_name["nngp/test_accuracy@0.1"].is_chosen_here
    assert not by_name["nngp/test_accuracy@best"].is_chosen_here
    assert found.choice.best == "nngp/test_accuracy@0.1"
    assert found.choice.num_architectures == examples.SIZE
    # There are too few networks for a fitted score.
    assert found.reference == found.score == "nngp/test_accuracy@best"
    assert found.known == []
    # It stands with the scores of its run.
    kinds = [row.kind for row in found.rows]
    assert kinds[: kinds.count("nngp") + 1] == ["nngp"] * kinds.count("nngp") + ["structure"]


def test_one_half_chooses_and_the_other_reports(sources):
    found = study(sources, Settings(num_resamples=50, split="half", fractions=(0.5,)))
    chosen_on, reported = found.whole.halves(seed=0)
    assert found.reported.keys == reported.keys
    assert found.choice == choose(chosen_on)
    assert found.score == found.choice.best == "nngp/test_accuracy@0.1"
    assert not any(row.is_chosen_here for row in found.rows)
    assert {row.num_architectures for row in found.rows} == {examples.SIZE // 2}
    assert any("chosen on the other half (20 arch" in line for line in findings(found))


def test_where_signals_are_named_the_choice_is_among_them(sources):
    signals = ["nngp/*@best", "nngp/test_accuracy@10", "bench/parameters"]
    found = study(sources, Settings(num_resamples=5, split="half", signals=signals))
    assert found.choice.fixed == ()
    assert found.score in found.reported.shown
    assert any(found.score == row.name for row in found.rows)


def test_a_regulariser_that_fails_somewhere_is_not_chosen(tmp_path):
    rows = [
        examples.nngp_row(i, [math.nan if i == 3 else 0.01 * i, 0.1, 0.01 * (i % 7)])
        for i in range(examples.SIZE)
    ]
    bench = table_source(examples.table(tmp_path, np.linspace(0.8, 0.9, examples.SIZE)), "bench")
    comparison = compare([inference_source(examples.run(*rows), "nngp"), bench])
    # The first predicts without error where it does not fail; the second says nothing.
    assert "nngp/test_accuracy@10" in choose(comparison).fixed


def test_thresholds_are_the_authors_for_a_table_and_quantiles_otherwise(sources, found):
    assert found.thresholds == (0.85, 0.87, 0.89, 0.91, 0.93)
    trained = study(sources[:2], QUICK)
    truth = trained.reported.truth
    assert truth.name == "short/validation_accuracy_2"
    np.testing.assert_allclose(
        trained.thresholds, np.quantile(truth.values, [0.1, 0.25, 0.5, 0.75, 0.9])
    )
    assert study(sources, Settings(num_resamples=5, thresholds=[0.9])).thresholds == (0.9,)


def test_curves(found):
    (accuracy,) = [c for c in found.regularisers if c.family == "nngp/test_accuracy"]
    assert accuracy.settings == (0.001, 0.1, 10.0)
    # All the same at the first.
    assert math.isnan(accuracy.estimates[0].value)
    assert accuracy.estimates[1].value > accuracy.estimates[2].value
    (inits,) = [c for c in found.initialisations if c.family == "nngp/test_accuracy@best"]
    assert inits.settings == (1, 4)


def test_applications_use_what_is_shown(found):
    assert set(found.reductions) == {
        "short/validation_accuracy_1",
        "short/validation_accuracy_2",
        "bench/validation_accuracy_4",
    }
    given = [row.given for row in found.partials]
    assert given[:5] == [
        ("bench/parameters",),
        ("nngp/size_and_structure",),
        ("short/validation_accuracy_1",),
        ("bench/parameters", "short/validation_accuracy_1"),
        ("nngp/size_and_structure", "short/validation_accuracy_1"),
    ]
    assert len(found.combinations) == 2 * len(given)


def test_csv_files(found):
    files = {
        name: list(csv.DictReader(io.StringIO(text))) for name, text in csv_files(found).items()
    }
    assert len(files["signals.csv"]) == examples.SIZE
    first = files["signals.csv"][0]
    assert first["key"] == found.whole.keys[0]
    assert float(first["bench/test_accuracy_108"]) == found.whole.truth.values[0]
    # Every signal, shown or not.
    assert float(first["nngp/test_accuracy@0.001"]) == 0.1
    by_name = {row["signal"]: row for row in files["table.csv"]}
    row = by_name["nngp/test_accuracy@best"]
    expected = next(r for r in found.rows if r.name == row["signal"]).kendall_tau
    assert float(row["kendall_tau_low"]) == expected.low
    assert by_name["bench/parameters"]["times_cheaper"] == "inf"
    assert len(files["reductions.csv"]) == 3 * 2
    assert len(files["partials.csv"]) == len(found.partials)
    assert {row["part"] for row in files["combinations.csv"]} >= {"bench/parameters"}
    undefined = next(r for r in files["curves.csv"] if r["family"] == "nngp/test_accuracy")
    assert undefined["kendall_tau"] == ""


def test_findings(found):
    lines = findings(found)
    assert lines[0].startswith("40 architectures, truth: test accuracy after 108 epochs; intervals")
    assert any(line.startswith("best NNGP score of the") for line in lines)
    assert any(line.startswith("reduce: of the best 25% by test accuracy, best") for line in lines)
    assert any("the best combination without training" in line for line in lines)
    assert all("\n" not in line for line in lines)


def test_signals_of_one_label_are_told_apart(tmp_path, sources):
    other = training_source(
        examples.run(*[examples.training_row(i, {1: 0.01 * i}) for i in range(examples.SIZE)]),
        "again",
    )
    name = titles(study([*sources, other], Settings(num_resamples=5)))
    assert name["short/validation_accuracy_1"] == "validation accuracy after 1 epoch (short)"
    assert name["again/validation_accuracy_1"] == "validation accuracy after 1 epoch (again)"
    assert name["bench/parameters"] == "parameters"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "third"}, "split must be 'none' or 'half', got 'third'"),
        ({"reference": "nngp/x"}, "no signal 'nngp/x': name one of"),
        ({"score": "nngp/x"}, "no signal 'nngp/x': name one of"),
        ({"k": 41}, r"number of architectures \(40\), got 41"),
        ({"confidence": 2}, "confidence must lie between 0 and 1"),
        ({"fractions": (0,)}, r"fractions to keep must lie in \(0, 1\], got 0"),
    ],
)
def test_bad_settings(sources, options, message):
    with pytest.raises(ValueError, match=message):
        study(sources, Settings(**{"num_resamples": 5} | options))


def test_with_enough_known_networks_the_fitted_score_is_the_default(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.normal(0.9, 0.02, size=60)
    keys = tuple(map(examples.key, range(60)))
    parts = [
        Signal("nngp/first", "first", truth + rng.normal(size=60), NNGP, in_profile=True),
        Signal("nngp/parameters", "parameters", rng.normal(size=60), SIZE),
        Signal("nngp/truth", "truth", truth, TRAINING, is_shown=False, setting=1.0),
    ]
    few, enough = (
        study(
            [Source("nngp", "run", keys[:n], tuple(s.take(np.arange(n)) for s in parts))],
            Settings(truth="nngp/truth", num_resamples=5),
        )
        for n in (49, 60)
    )
    assert few.score == few.reference == enough.reference == "nngp/first"
    assert few.known == []
    assert enough.score == "nngp/profile_and_size"
    assert [curve.num_known for curve in enough.known] == [(12, 25)] * 2
    rows = csv.DictReader(io.StringIO(csv_files(enough)["known.csv"]))
    assert [(row["score"], row["num_known"]) for row in rows][:2] == [
        ("nngp/profile", "12"),
        ("nngp/profile", "25"),
    ]
