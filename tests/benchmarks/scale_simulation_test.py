"""The simulated sweep where its end is known, and its laws where it is not."""

import numpy as np
import pytest

from benchmarks import scale_simulation
from benchmarks.scale_simulation import Settings, simulate

pytestmark = pytest.mark.fast

FREE = {"start_seconds": 0.0, "row_seconds": 0.0, "open_seconds": 0.0, "open_row_seconds": 0.0}


def test_known_makespans():
    costs = np.full(120, 2.0)
    one = simulate(costs, Settings(1, share_size=10, **FREE), 0)
    assert one.makespan == pytest.approx(240)
    assert one.efficiency == pytest.approx(1)
    four = simulate(costs, Settings(4, share_size=10, **FREE), 0)
    assert four.makespan == pytest.approx(60)
    # Twelve shares on five workers take three rounds.
    assert simulate(costs, Settings(5, share_size=10, **FREE), 0).makespan == pytest.approx(60)
    assert simulate(costs, Settings(12, share_size=10, **FREE), 0).makespan == pytest.approx(20)
    assert simulate(costs, Settings(50, share_size=10, **FREE), 0).efficiency == pytest.approx(0.24)


def test_overheads_add_up():
    costs = np.full(20, 1.0)
    settings = Settings(
        1, 10, start_seconds=5, row_seconds=0.5, open_seconds=2, open_row_seconds=0.1
    )
    # The rows of the first share are not the second's to read.
    outcome = simulate(costs, settings, 0)
    assert outcome.makespan == pytest.approx(5 + 2 * 2 + 20 * 1.5)
    assert outcome.opening == pytest.approx(4 / outcome.makespan)


def test_a_share_that_is_tried_again_reads_its_own_rows():
    def opening(seconds):
        free = FREE | {"open_row_seconds": seconds}
        settings = Settings(1, 50, preemptions_per_hour=40.0, **free)
        outcome = simulate(np.full(50, 10.0), settings, 3)
        assert outcome.preemptions > 0
        return outcome.opening * outcome.makespan

    assert opening(0.0) == 0
    assert opening(1e-3) > 1e-3


def test_slow_workers():
    settings = Settings(3, 10, slow_share=1.0, slow_factor=3.0, **FREE)
    assert simulate(np.full(30, 1.0), settings, 0).makespan == pytest.approx(30)


def test_no_row_is_lost_to_preemption():
    costs = np.random.default_rng(0).uniform(1, 30, 2000)
    calm = simulate(costs, Settings(20, 10), 0)
    stormy = simulate(costs, Settings(20, 10, preemptions_per_hour=2.0), 0)
    assert stormy.rows == calm.rows == 2000
    assert stormy.preemptions > 10
    # Of each preempted worker at most the network that was under way.
    assert stormy.lost <= stormy.preemptions
    assert stormy.makespan > calm.makespan
    assert stormy.efficiency < calm.efficiency
    assert stormy == simulate(costs, Settings(20, 10, preemptions_per_hour=2.0), 0)


def test_costs_are_fitted():
    work = np.linspace(1e8, 5e9, 40)
    rows = [{"multiply_adds": w, "seconds": 3 + 18e-9 * w} for w in work]
    overhead, rate, scatter = scale_simulation.fit_costs(rows)
    assert overhead == pytest.approx(3)
    assert rate == pytest.approx(18)
    np.testing.assert_allclose(scatter, 1)


def test_loads():
    settings = Settings(30, 10)
    outcome = scale_simulation.Outcome(100.0, 1.0, 0.0, 0, 0, 2000)
    borne = scale_simulation.loads(outcome, settings)
    assert borne["rows/s"] == 20
    # Two shares a second, beside 200 names on average.
    assert borne["names listed/s"] == 4 * 2 * 200
    # Two signs of life a second.
    assert borne["names listed/s, object store"] == (4 * 2 + 2) * 200
    assert borne["MB written/s"] == pytest.approx(20 * 5.5 * 0.009)
