"""Checksums of many slices at once, against published values and bit by bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nngp_tf.data import crc32c
from tests import record_files

pytestmark = pytest.mark.fast


def _checksum(data):
    data = np.frombuffer(data, np.uint8)
    return int(crc32c.checksums(data, np.array([0]), np.array([len(data)]))[0])


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        # RFC 3720, section B.4, and the usual check value.
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_published_values(data, checksum):
    assert _checksum(data) == checksum
    assert record_files.crc32c(data) == checksum


@settings(deadline=None)
@given(
    data=st.binary(min_size=1, max_size=80),
    cuts=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), min_size=1, max_size=12),
)
def test_slices_of_any_length_and_order(data, cuts):
    slices = [sorted(min(end, len(data)) for end in cut) for cut in cuts]
    starts = np.array([start for start, _ in slices])
    lengths = np.array([stop - start for start, stop in slices])
    sums = crc32c.checksums(np.frombuffer(data, np.uint8), starts, lengths)
    assert sums.tolist() == [record_files.crc32c(data[start:stop]) for start, stop in slices]


def test_more_slices_than_advance_together():
    data = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8)
    starts = np.arange(19_000)
    sums = crc32c.checksums(data, starts, np.full(19_000, 5))
    for start in (0, 8191, 8192, 18_999):
        assert sums[start] == record_files.crc32c(data[start : start + 5].tobytes())


def test_none():
    none = np.array([], int)
    assert crc32c.checksums(np.zeros(3, np.uint8), none, none).shape == (0,)


def test_mask():
    sums = np.array([0, 1, 0x80000000, 0xFFFFFFFF], np.uint32)
    assert crc32c.mask(sums).tolist() == [record_files.masked(value) for value in sums.tolist()]
