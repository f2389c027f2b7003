"""Properties of every division of work."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngp_tf.kernels.work import divide

pytestmark = pytest.mark.fast

PROBLEMS = {
    "num_inits": st.integers(1, 70),
    "num_images": st.integers(1, 3000),
    "num_replicas": st.integers(1, 64) | st.sampled_from([128, 2048]),
    "batch_size": st.integers(1, 300),
    "calibration_size": st.integers(0, 200),
}


def divisors(number):
    return [d for d in range(1, number + 1) if number % d == 0]


def images_run(init_groups, image_groups, problem):
    """Images that a replica runs, one after the other, in a grid: what takes the time."""
    rounds = math.ceil(problem["num_inits"] / init_groups)
    share = math.ceil(problem["num_images"] / image_groups)
    batches = math.ceil(share / problem["batch_size"])
    return rounds * (batches * math.ceil(share / batches) + problem["calibration_size"])


def every_problem(test):
    """Runs a test on drawn problems; a busy machine must not fail it."""
    return settings(deadline=None)(given(problem=st.fixed_dictionaries(PROBLEMS))(test))


class TestEveryDivision:
    @every_problem
    def test_uses_every_replica(self, problem):
        division = divide(**problem)
        assert division.init_groups * division.image_groups == problem["num_replicas"]

    @every_problem
    def test_covers_every_initialisation(self, problem):
        division = divide(**problem)
        assert division.rounds * division.init_groups >= problem["num_inits"]
        # No round is for nothing.
        assert (division.rounds - 1) * division.init_groups < problem["num_inits"]

    @every_problem
    def test_covers_every_image(self, problem):
        division = divide(**problem)
        assert division.padded_images >= problem["num_images"]
        assert division.padded_images == (
            division.image_groups * division.batches * division.batch_size
        )

    @every_problem
    def test_batches_fit_and_none_is_without_need(self, problem):
        division = divide(**problem)
        share = math.ceil(problem["num_images"] / division.image_groups)
        assert 1 <= division.batch_size <= problem["batch_size"]
        assert division.batches == math.ceil(share / problem["batch_size"])

    @every_problem
    def test_pads_by_less_than_an_image_for_each_batch(self, problem):
        division = divide(**problem)
        padding = division.padded_images - problem["num_images"]
        assert padding < division.image_groups * division.batches

    @every_problem
    def test_no_grid_ends_sooner(self, problem):
        division = divide(**problem)
        chosen = images_run(division.init_groups, division.image_groups, problem)
        for groups in divisors(problem["num_replicas"]):
            other = images_run(problem["num_replicas"] // groups, groups, problem)
            # Initialisations come first: more groups of images only where that ends sooner.
            assert chosen < other if groups < division.image_groups else chosen <= other

    @every_problem
    def test_wastes_less_than_half_of_a_long_run(self, problem):
        """With work for all, replicas run little that counts for nothing."""
        division = divide(**problem)
        if problem["num_inits"] < 2 * problem["num_replicas"]:
            return
        # The grid of initialisations alone wastes part of one round of three at worst.
        useful = problem["num_inits"] * (problem["num_images"] + problem["calibration_size"])
        done = problem["num_replicas"] * images_run(
            division.init_groups, division.image_groups, problem
        )
        batches = math.ceil(problem["num_images"] / problem["batch_size"])
        assert done < 1.5 * useful * (1 + batches / problem["num_images"])


@pytest.mark.parametrize(
    ("problem", "grid"),
    [
        # (num_inits, num_images, num_replicas, batch_size): (init_groups, image_groups, rounds)
        ((8, 100, 1, 50), (1, 1, 8)),
        ((8, 100, 8, 50), (8, 1, 1)),
        ((8, 100, 4, 50), (4, 1, 2)),
        # One initialisation is shared by all.
        ((1, 100, 4, 50), (1, 4, 1)),
        ((2, 100, 4, 50), (2, 2, 1)),
        # Three on two: one after the other at half the images beat two rounds of whole ones.
        ((3, 100, 2, 50), (1, 2, 3)),
        # A TPU pod: 8 initialisations on 2,048 cores.
        ((8, 2048, 2048, 100), (8, 256, 1)),
    ],
)
def test_examples(problem, grid):
    division = divide(*problem)
    assert (division.init_groups, division.image_groups, division.rounds) == grid


def test_calibration_counts_against_sharing_images():
    """Each replica calibrates for itself, so a large batch makes sharing pointless."""
    assert divide(3, 100, 2, 50, calibration_size=0).image_groups == 2
    assert divide(3, 100, 2, 50, calibration_size=100).image_groups == 1


def test_more_replicas_than_images():
    division = divide(1, 3, 8, 2)
    assert division.padded_images >= 3
    assert division.batch_size == division.batches == 1


def test_even_batches():
    """110 images in two batches of 55, not 100 and 10 with 90 of padding."""
    division = divide(1, 110, 1, 100)
    assert (division.batches, division.batch_size, division.padded_images) == (2, 55, 110)
