"""The mobile space: choices, sizes, sampling, mutation, membership, files."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngp_tf.search_spaces import mnas
from tests.search_spaces.mnas_examples import PLAIN, networks, replaced

pytestmark = pytest.mark.fast

SPACES = list(
    itertools.product(mnas.REFERENCES, [(), ("skip",), ("depthwise",), ("skip", "depthwise")])
)
any_space = st.sampled_from(SPACES)
any_rng = st.builds(np.random.default_rng, st.integers(0, 2**32))


def test_choices_of_a_block():
    # Facts, section A12b.
    blocks = mnas.choices("mobilenet_v2")
    assert blocks[2] == {
        "num_repeats": (2, 3, 4),
        "block_fn": ("conv", "mbconv"),
        "expand_ratio": (1, 3, 6),
        "kernel_size": (3, 5),
        "se_ratio": (0.0, 0.25),
        "output_filters": (24, 32, 40),
        "skip": ("identity",),
    }
    assert [block["num_repeats"] for block in blocks if block["num_repeats"][0] == 1] == [
        (1, 2),
        (1, 2, 3),
        (1, 2),
    ]
    (extended, *_) = mnas.choices("mnasnet_a1", ["skip", "depthwise"])
    assert extended["block_fn"] == ("conv", "mbconv", "dconv")
    assert extended["skip"] == ("identity", "none", "max_pool", "average_pool")
    assert mnas.choices("mnasnet_a1")[4]["output_filters"] == (84, 112, 140)


@pytest.mark.parametrize("reference", mnas.REFERENCES)
def test_sizes(reference):
    # Facts, section A12b.
    assert mnas.size(reference) == 216**5 * 144**2 == 9_749_755_840_167_936
    assert mnas.distinct_size(reference) == 126**5 * 84**2 == 224_084_231_917_056
    assert mnas.size(reference, ["skip"]) == mnas.size(reference) * 4**7


@pytest.mark.parametrize(
    ("reference", "extensions"),
    [("mobilenet_v2", ()), ("mnasnet_a1", ()), ("mnasnet_a1", ("skip", "depthwise"))],
)
def test_distinct_size_counts_keys(reference, extensions):
    """Of each block with the others at rest: the blocks are independent."""
    spaces = mnas.choices(reference, extensions)
    rest = mnas.sample(np.random.default_rng(0), reference)
    product = 1
    for position, space in enumerate(spaces):
        keys = {
            replaced(rest, position, **dict(zip(space, values, strict=True))).key
            for values in itertools.product(*space.values())
        }
        product *= len(keys)
    assert product == mnas.distinct_size(reference, extensions)


@pytest.mark.parametrize("make_rng", [np.random.default_rng, np.random.RandomState])
@pytest.mark.parametrize(("reference", "extensions"), SPACES)
def test_samples_lie_in_the_space_and_depend_on_the_seed_alone(make_rng, reference, extensions):
    def draw(seed):
        rng = make_rng(seed)
        return [mnas.sample(rng, reference, extensions) for _ in range(30)]

    drawn = draw(1)
    assert drawn == draw(1)
    assert drawn != draw(2)
    assert all(mnas.contains(network, reference, extensions) for network in drawn)
    assert len({network.key for network in drawn}) == 30


def test_samples_are_uniform_over_each_choice():
    rng = np.random.default_rng(0)
    drawn = [mnas.sample(rng, extensions=mnas.EXTENSIONS) for _ in range(1500)]
    for position, space in enumerate(mnas.choices(extensions=mnas.EXTENSIONS)):
        for name, values in space.items():
            given_values = [getattr(network.blocks[position], name) for network in drawn]
            for value in values:
                share = given_values.count(value) / len(drawn)
                # Four and a half standard deviations: some 140 comparisons.
                deviation = np.sqrt(1 / len(values) / len(drawn))
                assert abs(share - 1 / len(values)) < 4.5 * deviation, (position, name, value)


def test_samples_are_stable():
    # Recorded from this implementation. Runs are resumed by drawing the same networks again.
    assert mnas.sample(np.random.default_rng(0)).text == (
        "stem32/r2_k3_s11_e3_i32_o12/r1_k5_s22_e1_i12_o30_se0.25_conv/"
        "r3_k5_s22_e6_i30_o32_se0.25/r4_k5_s22_e1_i32_o48_se0.25/r3_k3_s11_e3_i48_o120_se0.25/"
        "r4_k5_s22_e1_i120_o160_conv/r1_k3_s11_e3_i160_o240_conv"
    )


@given(any_space, any_rng)
@settings(max_examples=60)
def test_mutants_differ_in_one_choice(space, rng):
    parent = mnas.sample(rng, *space)
    child = mnas.mutate(parent, rng, *space)
    changed = [
        (position, name)
        for position in range(7)
        for name in mnas.choices()[0]
        if getattr(parent.blocks[position], name) != getattr(child.blocks[position], name)
    ]
    assert len(changed) == 1
    assert child.key != parent.key
    assert mnas.contains(child, *space)


def test_every_change_of_one_choice_is_drawn():
    rng = np.random.default_rng(0)
    parent = mnas.sample(rng)
    children = {mnas.mutate(parent, rng) for _ in range(600)}
    plain = sum(block.block_fn == "conv" for block in parent.blocks)
    # Repeats 2 (or 1), function 1, expansion 2, kernel 1, squeeze-excitation 1, filters 2; of a
    # conv block neither expansion nor squeeze-excitation.
    assert len(children) == 7 * 9 - 2 - 3 * plain


def test_mutants_of_a_published_network():
    rng = np.random.default_rng(0)
    for _ in range(50):
        child = mnas.mutate(mnas.MNASNET_A1, rng, "mnasnet_a1")
        assert mnas.contains(child, "mnasnet_a1")
    with pytest.raises(ValueError, match="outside the space of reference 'mobilenet_v2'"):
        mnas.mutate(mnas.MNASNET_A1, rng)


@given(any_space, networks())
@settings(max_examples=60)
def test_members_are_written_with_the_choices(space, network):
    """Random networks mostly lie outside; what they say of a conv block then is of no effect."""
    inside = mnas.sample(np.random.default_rng(network.blocks[0].output_filters), *space)
    conv = replaced(inside, 3, block_fn="conv")
    odd = replaced(conv, 3, expand_ratio=9, se_ratio=0.7, skip="none")
    assert mnas.member(odd, *space).key == conv.key
    for block, values in zip(mnas.member(odd, *space).blocks, mnas.choices(*space), strict=True):
        assert all(getattr(block, name) in values[name] for name in values)
    assert not mnas.contains(network, *space)
    with pytest.raises(ValueError, match="lies outside the space"):
        mnas.member(network, *space)


def test_no_skip_lies_in_the_space_where_it_is_of_no_effect():
    inside = mnas.sample(np.random.default_rng(0))
    repeated = replaced(inside, 2, block_fn="mbconv", num_repeats=3, skip="none")
    assert not mnas.contains(repeated)
    assert mnas.contains(repeated, extensions=["skip"])
    single = replaced(inside, 1, block_fn="mbconv", num_repeats=1, skip="none")
    assert mnas.contains(single)


@pytest.mark.parametrize(
    ("reference", "extensions", "message"),
    [
        ("mnasnet", (), "reference must be one of mobilenet_v2, mnasnet_a1, got 'mnasnet'"),
        ("mnasnet_a1", ("skips",), "names among depthwise, skip, got"),
        ("mnasnet_a1", "skip", "extensions must be a collection of names .* got 'skip'"),
    ],
)
def test_unknown_names_are_refused(reference, extensions, message):
    rng = np.random.default_rng(0)
    for call in (mnas.choices, mnas.size, mnas.distinct_size):
        with pytest.raises(ValueError, match=message):
            call(reference, extensions)
    with pytest.raises(ValueError, match=message):
        mnas.sample(rng, reference, extensions)
    with pytest.raises(ValueError, match=message):
        mnas.contains(PLAIN, reference, extensions)


def test_file_of_networks():
    lines = ["# two networks", "", f"{mnas.MNASNET_A1}  # A1", f"  {mnas.MNASNET_SMALL.text}\n"]
    parsed = mnas.parse_networks(lines, source="networks.txt")
    assert parsed == [mnas.MNASNET_A1, mnas.MNASNET_SMALL]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("r1_k3", "^networks.txt:3: block string 'r1_k3'"),
        (
            replaced(mnas.MNASNET_A1, 0, skip="identity").text,
            r"^networks.txt:3: the same network as networks.txt:2 \(key [0-9a-f]{16}\)",
        ),
    ],
)
def test_errors_in_a_file_name_the_line(line, message):
    with pytest.raises(ValueError, match=message):
        mnas.parse_networks(["# header", mnas.MNASNET_A1.text, line], source="networks.txt")
