"""Tests of mobile networks as sequences of layer kinds."""

import numpy as np
import pytest

from nngp_tf.kernels import mnas_layout
from nngp_tf.models import MnasNetwork
from nngp_tf.search_spaces import mnas
from tests.kernels.mnas_examples import mixed

pytestmark = pytest.mark.fast

A1 = MnasNetwork(mnas.MNASNET_A1, (64, 64, 3))


def sampled(number, **options):
    rng = np.random.default_rng(0)
    return [MnasNetwork(mnas.sample(rng, **options), (64, 64, 3)) for _ in range(number)]


def test_static_kinds_hold_the_shapes_of_a1():
    layers = mnas_layout.encode(A1, static=True)
    assert len(layers) == 1 + 16 + 1
    stem, first, second, *_, head = (layer.kind for layer in layers)
    assert stem == mnas_layout.LayerKind("conv", 3, 2, False, (3, 0, 0, 32), (64, 64))
    assert first == mnas_layout.LayerKind("mbconv", 3, 1, False, (32, 32, 8, 16), (32, 32))
    assert second == mnas_layout.LayerKind("mbconv", 3, 2, True, (16, 96, 4, 24), (32, 32))
    assert head == mnas_layout.LayerKind("conv", 1, 1, False, (320, 0, 0, 1280), (2, 2))
    # Repeats of a block share a kind, whatever their keys.
    assert layers[8].kind == layers[9].kind
    assert not np.array_equal(layers[8].inputs["keys"], layers[9].inputs["keys"])


def test_inputs_tell_what_kinds_do_not():
    layers = mnas_layout.encode(mixed())
    assert [bool(layer.inputs["squeezes"]) for layer in layers] == [
        *[False, True, True, False, False, False, False, True, True],
        *[False, True, True, False, False, False],
    ]
    skips = [mnas_layout.SKIPS[int(layer.inputs["skip"])] for layer in layers]
    assert {skips[8], skips[11], skips[6], skips[13]} == set(mnas_layout.SKIPS)
    assert layers[4].inputs["widths"].tolist() == [12, 0, 0, 12]
    assert layers[8].inputs["widths"].tolist() == [12, 36, 3, 12]


def test_kinds_without_shapes_are_few():
    def kinds(networks):
        return {layer.kind for each in networks for layer in mnas_layout.encode(each)}

    assert len(kinds(sampled(300))) == 13
    assert len(kinds(sampled(300, extensions=mnas.EXTENSIONS))) == 17


@pytest.mark.parametrize("reference", mnas.REFERENCES)
def test_kinds_with_shapes_are_those_of_the_docstring(reference):
    kinds = list(mnas_layout.space_kinds(A1, reference))
    assert len(kinds) == len(set(kinds)) == 432 + 24 + 168 + 4
    for network in sampled(100, reference=reference):
        assert {layer.kind for layer in mnas_layout.encode(network, static=True)} <= set(kinds)


def test_extensions_add_kinds():
    # A fifth block function; every skip is an input.
    kinds = list(mnas_layout.space_kinds(A1, extensions=mnas.EXTENSIONS))
    assert len(kinds) == (432 + 24 + 168) // 4 * 5 + 4


def test_unknown_reference():
    with pytest.raises(ValueError, match="reference must be one of"):
        next(mnas_layout.space_kinds(A1, "mobilenet"))
