"""Figures of a comparison: which there are, and what they show where there is too much."""

import dataclasses

import numpy as np
import pytest

from nngp_tf.analysis import study_figures
from nngp_tf.analysis.study import Settings, study
from tests.analysis import drawn, examples

pytestmark = [
    pytest.mark.fast,
    # Invented networks are all of one size.
    pytest.mark.filterwarnings("ignore:.*is undefined:RuntimeWarning"),
]

SIGNALS = ["nngp/*@best", "short/*", "bench/parameters"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return examples.invented(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def found(sources):
    return study(sources, Settings(num_resamples=2, signals=SIGNALS, fractions=(1.0, 0.5)))


def test_of_many_signals_the_foremost_are_drawn_in_the_order_of_the_table(found):
    captions = [caption for caption, _ in study_figures.scatters(found).values()]
    assert list(study_figures.scatters(found)) == [f"scatter_0{i}.png" for i in range(1, 9)]
    assert len(found.rows) > 8
    # The authors' score and training are among them, whatever their tau; parameters come last.
    assert captions[0] == "Truth against test accuracy, best regulariser (authors')."
    assert captions[-2:] == [
        "Truth against validation accuracy after 1 epoch.",
        "Truth against validation accuracy after 2 epochs.",
    ]
    (curves,) = study_figures.exceedance(found).values()
    assert len(curves[1].legends[0].get_texts()) == 8


def test_costs_that_are_not_known_have_no_figure(found):
    names = set(study_figures.costs(found))
    assert names == {
        f"{measure}_against_{cost}.png"
        for measure in ("tau", "discovered")
        for cost in ("multiply_adds", "seconds")
    }
    rows = [dataclasses.replace(row, multiply_adds=None) for row in found.rows]
    names = set(study_figures.costs(dataclasses.replace(found, rows=rows)))
    assert names == {"tau_against_seconds.png", "discovered_against_seconds.png"}
    # Nor has what is free throughout.
    rows = [dataclasses.replace(row, multiply_adds=0.0, seconds=None) for row in found.rows]
    assert study_figures.costs(dataclasses.replace(found, rows=rows)) == {}


def test_a_figure_of_regularisers_holds_curves_of_one_length(found):
    names = list(study_figures.settings(found))
    assert names[:2] == ["diag_reg_01_nngp_accuracy.png", "diag_reg_02_nngp_likelihood.png"]
    first, *others = found.regularisers
    shorter = dataclasses.replace(
        first, settings=first.settings[:2], estimates=first.estimates[:2], family="nngp/x_accuracy"
    )
    changed = dataclasses.replace(found, regularisers=[first, shorter, *others], initialisations=[])
    figures = study_figures.settings(changed)
    assert len(figures) == 3
    (_, alone) = figures["diag_reg_02_nngp_accuracy.png"]
    assert [text.get_text() for text in alone.legends[0].get_texts()] == ["x accuracy"]


def test_reductions_are_numbered_by_what_picks(found):
    figures = study_figures.reductions(found)
    assert [caption for caption, _ in figures.values()] == [
        "The space reduced by test accuracy, best regulariser (authors'), and what validation "
        f"accuracy after {epochs} finds in it."
        for epochs in ("1 epoch", "2 epochs")
    ]
    assert list(figures) == ["reduction_01.png", "reduction_02.png"]


def test_combinations_stand_below_their_parts(found):
    figures = study_figures.combinations(found)
    assert list(figures) == ["combination.png", "partial.png"]
    text = drawn.texts(figures["combination.png"][1])
    assert text.index("test accuracy, best") < text.index("rank average:")
    assert "given parameters" in drawn.texts(figures["partial.png"][1])
    nothing = dataclasses.replace(found, combinations=[], partials=[])
    assert study_figures.combinations(nothing) == {}


def test_learning_curves_are_of_training_runs_with_several_epochs(found):
    ((name, (caption, figure)),) = study_figures.learning(found, tables={"bench"}).items()
    assert name == "learning_short.png"
    assert caption == f"Validation accuracy by epoch in short, of {examples.SIZE} architectures."
    assert len(figure.axes[0].get_lines()) == examples.SIZE
    assert study_figures.learning(found, tables={"bench", "short"}) == {}


def test_the_truth_is_the_last_point_of_its_own_learning_curve(sources):
    trained = study(sources[:2], Settings(num_resamples=2, signals=["nngp/test_accuracy@best"]))
    assert trained.reported.truth.name == "short/validation_accuracy_2"
    ((_, figure),) = study_figures.learning(trained, tables=set()).values()
    line = figure.axes[0].get_lines()[0]
    assert line.get_ydata()[-1] == trained.reported.truth.values[0]
    np.testing.assert_array_equal(line.get_xdata(), [1, 2])
