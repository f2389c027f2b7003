"""The mobile space in PyGlove: sizes, both ways, and a search by PyGlove's own algorithms."""

import numpy as np
import pyglove as pg
import pytest

from nngp_tf.search_spaces import mnas, mnas_pyglove

pytestmark = pytest.mark.fast

SPACES = [("mobilenet_v2", ()), ("mnasnet_a1", mnas.EXTENSIONS)]


def filters(network):
    """A cheap reward that few networks have much of."""
    return float(sum(block.num_repeats * block.output_filters for block in network.blocks))


@pytest.mark.parametrize("extensions", [(), ("depthwise",)])
@pytest.mark.parametrize("reference", mnas.REFERENCES)
def test_genotypes_are_the_distinct_graphs(reference, extensions):
    spec = pg.dna_spec(mnas_pyglove.space(reference, extensions))
    assert spec.space_size == mnas.distinct_size(reference, extensions)


@pytest.mark.parametrize(("reference", "extensions"), SPACES)
def test_networks_values_and_genotypes_both_ways(reference, extensions):
    rng = np.random.default_rng(0)
    template = pg.template(mnas_pyglove.space(reference, extensions))
    for _ in range(3):
        network = mnas.sample(rng, reference, extensions)
        value = mnas_pyglove.value_of(network, reference, extensions)
        assert mnas_pyglove.network_of(value).key == network.key
        dna = mnas_pyglove.dna_of(network, reference, extensions)
        assert template.decode(dna) == value


@pytest.mark.parametrize(("reference", "extensions"), SPACES)
def test_random_values_lie_in_the_space(reference, extensions):
    space = mnas_pyglove.space(reference, extensions)
    drawn = []
    for value, feedback in pg.sample(space, pg.geno.Random(seed=0), num_examples=5):
        drawn.append(mnas_pyglove.network_of(value))
        # PyGlove yields an example again until it has a reward.
        feedback(0.0)
    assert all(mnas.contains(network, reference, extensions) for network in drawn)
    assert len({network.key for network in drawn}) == 5


def test_published_network():
    dna = mnas_pyglove.dna_of(mnas.MNASNET_A1, "mnasnet_a1")
    value = pg.template(mnas_pyglove.space("mnasnet_a1")).decode(dna)
    assert mnas_pyglove.network_of(value).key == mnas.MNASNET_A1.key
    with pytest.raises(ValueError, match="outside the space of reference 'mobilenet_v2'"):
        mnas_pyglove.dna_of(mnas.MNASNET_A1)


def test_regularised_evolution_finds_better_networks_than_it_began_with():
    algorithm = pg.evolution.regularized_evolution(
        pg.evolution.mutators.Uniform(seed=1), population_size=8, tournament_size=4, seed=1
    )
    rewards = []
    for value, feedback in pg.sample(mnas_pyglove.space(), algorithm, num_examples=32):
        rewards.append(filters(mnas_pyglove.network_of(value)))
        feedback(rewards[-1])
    assert len(rewards) == 32
    # The first eight are random.
    assert np.mean(rewards[-8:]) > np.mean(rewards[:8])
