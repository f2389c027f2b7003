"""Hashes and cells as compact columns."""

import hashlib

import numpy as np
import pytest

from nngp_tf.data import stored_cells
from nngp_tf.data.stored_cells import CellTexts, ModuleHashes
from nngp_tf.search_spaces.nasbench101 import Cell

pytestmark = pytest.mark.fast

ZERO = "0" * 32
# Equal but for zeros at the end, which NumPy's byte strings drop.
ZEROS_AT_THE_END = ["ab" + "0" * 30, "ab00cd" + "0" * 26, ZERO, "00ab" + "0" * 28]
POOL = ("010001000", "input,maxpool3x3,output")


def test_hashes_are_a_sequence():
    texts = [hashlib.md5(bytes([number])).hexdigest() for number in range(100)]
    hashes = ModuleHashes.from_texts(texts)
    assert len(hashes) == 100
    assert list(hashes) == texts
    assert hashes == texts
    assert hashes == tuple(texts)
    assert hashes == ModuleHashes.from_texts(texts)
    assert hashes != texts[::-1]
    assert hashes != ModuleHashes.from_texts(texts[1:])
    assert hashes[-1] == texts[-1]
    assert hashes[3:5] == texts[3:5]
    assert hashes.digests.nbytes == 1600
    with pytest.raises(IndexError):
        hashes[100]
    with pytest.raises(ValueError, match="read-only"):
        hashes.digests[0] = 0
    # As `numpy.lexsort` takes them.
    assert np.array_equal(np.lexsort((hashes,)), np.argsort(texts))


def test_find():
    texts = [hashlib.md5(bytes([number])).hexdigest() for number in range(100)] + ZEROS_AT_THE_END
    hashes = ModuleHashes.from_texts(texts)
    assert [hashes.find(text) for text in texts] == list(range(104))
    for absent in ("f" * 32, "ab01" + "0" * 28, texts[0].upper(), texts[0][:-1], "", None, 3, []):
        assert hashes.find(absent) is None
    without_zero = ModuleHashes.from_texts(texts[:100])
    assert without_zero.find(ZERO) is None
    assert ModuleHashes.from_texts([]).find(ZERO) is None


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "G" + "0" * 31, "A" + "0" * 31])
def test_texts_that_are_no_hashes(text):
    with pytest.raises(ValueError, match=f"must be 32 hexadecimal digits, got '{text}'"):
        ModuleHashes.from_texts([ZERO, text])


def test_equal_texts_are_kept_once():
    texts = CellTexts()
    specs = [POOL, ("0100", "input,output"), ("010001000", "input,conv1x1-bn-relu,output"), POOL]
    ids = [texts.ids(*spec) for spec in specs]
    assert ids == [(0, 0), (1, 1), (0, 2), (0, 0)]
    cells = texts.stored(*np.array(ids).T)
    assert cells.adjacencies == ("010001000", "0100")
    assert len(cells) == 4
    assert list(cells) == [stored_cells.parse_cell(*spec) for spec in specs]
    assert cells[0] == Cell.from_text("010/001/000:input,maxpool3x3,output")


@pytest.mark.parametrize(
    ("adjacency", "operations", "problem"),
    [
        ("01000100", POOL[1], "adjacency must have 9 digits for 3 operations, got 8"),
        ("010001000", "input,output", "adjacency must have 4 digits for 2 operations, got 9"),
        ("010000000", POOL[1], "the cell is disconnected"),
        ("010002000", POOL[1], "is not a matrix"),
        ("010001000", "input,maxpool5x5,output", "unknown operation 'maxpool5x5'"),
    ],
)
def test_texts_that_make_no_cell(adjacency, operations, problem):
    texts = CellTexts()
    texts.ids(*POOL)
    for _ in range(2):  # It is not remembered as sound.
        with pytest.raises(ValueError, match=problem):
            texts.ids(adjacency, operations)
