"""Framing: every record once for any size of blocks, and every fault named by position."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.data import tfrecords
from nngp_tf.data.tfrecords import Fault
from tests import record_files

pytestmark = pytest.mark.fast

PAYLOADS = [b"one", b"", b"three" * 20, b"4" * 300]
WHOLE = b"".join(map(record_files.framed, PAYLOADS))
OFFSETS = [0, 19, 35, 151]
BLOCK_BYTES = (1, 17, 64, 4096)


def _read(content, block_bytes=4096):
    """The sound records as (record, offset, payload), and the faults."""
    found, faults, ends = [], [], []
    for block in tfrecords.blocks(io.BytesIO(content), len(content), block_bytes):
        data = block.data.tobytes()
        columns = (block.records, block.offsets, block.starts, block.lengths)
        for record, offset, start, length in zip(*(c.tolist() for c in columns), strict=True):
            found.append((record, offset, data[start : start + length]))
        faults += block.faults
        ends.append(block.end)
    assert ends == sorted(ends)
    return found, faults


def _records(*without):
    rows = enumerate(zip(OFFSETS, PAYLOADS, strict=True))
    return [(record, *row) for record, row in rows if record not in without]


@pytest.mark.parametrize("block_bytes", BLOCK_BYTES)
def test_sound_files(block_bytes):
    assert _read(WHOLE, block_bytes) == (_records(), [])
    assert _read(b"", block_bytes) == ([], [])


def test_tensorflow_writes_the_same(tmp_path):
    path = str(tmp_path / "file.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for payload in PAYLOADS:
            writer.write(payload)
    assert (tmp_path / "file.tfrecord").read_bytes() == WHOLE


@pytest.mark.parametrize("block_bytes", BLOCK_BYTES)
@pytest.mark.parametrize(
    "position",
    [12, 14, 15, 18],  # First and last byte of the data and of its checksum.
)
def test_wrong_data_is_one_fault(position, block_bytes):
    content = bytearray(WHOLE)
    content[OFFSETS[2] + position] ^= 64
    fault = Fault(2, OFFSETS[2], "the checksum of its data is wrong")
    assert _read(bytes(content), block_bytes) == (_records(2), [fault])


@pytest.mark.parametrize("block_bytes", BLOCK_BYTES)
@pytest.mark.parametrize("position", range(12))
def test_after_a_wrong_length_the_rest_is_one_fault(position, block_bytes):
    content = bytearray(WHOLE)
    content[OFFSETS[1] + position] ^= 1
    found, (fault,) = _read(bytes(content), block_bytes)
    assert found == _records(1, 2, 3)
    assert fault[:2] == (1, OFFSETS[1])
    assert fault.reason == (
        f"the checksum of its length is wrong, so the remaining {len(WHOLE) - OFFSETS[1]} bytes "
        "cannot be divided into records"
    )


@pytest.mark.parametrize("block_bytes", BLOCK_BYTES)
@pytest.mark.parametrize("kept", [1, 11, 12, 13, 115])
def test_torn_ends(kept, block_bytes):
    fault = Fault(2, OFFSETS[2], "the file ends within it")
    assert _read(WHOLE[: OFFSETS[2] + kept], block_bytes) == (_records(2, 3), [fault])


@pytest.mark.parametrize("block_bytes", BLOCK_BYTES)
def test_giants_are_passed_over(block_bytes):
    # Not read, so that a length of any size takes no memory; hence its data need no checksum.
    length = tfrecords.MAX_LENGTH + 1
    header = struct.pack("<Q", length)
    header += struct.pack("<I", record_files.masked(record_files.crc32c(header)))
    content = WHOLE[: OFFSETS[1]] + header + bytes(length + 4) + WHOLE[OFFSETS[1] :]
    found, faults = _read(content, block_bytes)
    reason = "it holds 65537 bytes, and no record of the benchmark over 65536"
    assert faults == [Fault(1, OFFSETS[1], reason)]
    shift = length + 16
    after = [(record + 1, offset + shift, data) for record, offset, data in _records(0)]
    assert found == [*_records(1, 2, 3), *after]


@pytest.mark.parametrize("length", [2**17, 2**63 + 5])
def test_giants_that_the_file_does_not_hold(length):
    header = struct.pack("<Q", length)
    header += struct.pack("<I", record_files.masked(record_files.crc32c(header)))
    found, (fault,) = _read(WHOLE[: OFFSETS[1]] + header + bytes(100))
    assert found == _records(1, 2, 3)
    assert fault[:2] == (1, OFFSETS[1])
    assert fault.reason.startswith(f"it holds {length} bytes")


def test_a_file_that_shrinks_while_it_is_read_is_torn():
    blocks = list(tfrecords.blocks(io.BytesIO(WHOLE[:-1]), len(WHOLE), 4096))
    assert [fault for block in blocks for fault in block.faults] == [
        Fault(3, OFFSETS[3], "the file ends within it")
    ]
    assert np.sum([len(block.starts) for block in blocks]) == 3
