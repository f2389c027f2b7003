"""Records of a TFRecord file in blocks, each checksum verified and each fault named by position.

    length of the data     8 bytes, little endian
    masked CRC-32C of the length     4 bytes
    data
    masked CRC-32C of the data     4 bytes

A wrong checksum of the data concerns one record. After a wrong checksum of a length nothing says
where the next record begins, so the rest of the file is one fault.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from nngp_tf.data import crc32c

BLOCK_BYTES = 2**21  # Read at a time.
MAX_LENGTH = 2**16  # Of data; a hundred times what a record of the benchmark takes.
_HEADER = struct.Struct("<QI")
_FOOTER = 4


class Fault(NamedTuple):
    """A record that cannot be used.

    Attributes:
      record: Its position in the file, counted from 0.
      offset: The byte at which it begins.
      reason: What is wrong with it.
    """

    record: int
    offset: int
    reason: str


class Block(NamedTuple):
    """Consecutive records of a file.

    Attributes:
      data: Bytes, uint8, among them those of the records.
      starts: [n] int64 positions in `data` at which the data of each sound record begins.
      lengths: [n] int64.
      records: [n] int64 positions in the file, counted from 0.
      offsets: [n] int64 bytes of the file at which they begin.
      faults: Of the records in between that are not sound.
      end: The byte of the file up to which this block has read.
    """

    data: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    records: np.ndarray
    offsets: np.ndarray
    faults: list[Fault]
    end: int


def blocks(file: BinaryIO, size: int, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Read a file from its beginning.

    Args:
      file: Open at its beginning.
      size: Bytes of the file.
      block_bytes: How much to read at a time.
    """
    buffer = b""
    offset = 0  # Of the buffer's first byte.
    record = 0
    while True:
        read = file.read(block_bytes)
        block, used, count = _block(buffer + read, record, offset)
        buffer, offset, record = (buffer + read)[used:], offset + used, record + count
        fault, whole = _next_fault(buffer, record, offset, size)
        if fault is None and buffer and not read:
            fault = Fault(record, offset, "the file ends within it")
        if fault is not None:
            block.faults.append(fault)
        yield block._replace(end=offset + len(buffer))
        if not read or (fault is not None and not whole):
            return
        if whole:
            buffer, offset, record = b"", offset + whole, record + 1
            file.seek(offset)


def _block(buffer: bytes, record: int, offset: int) -> tuple[Block, int, int]:
    """Return the whole records at the beginning of a buffer, their bytes and their number."""
    data = np.frombuffer(buffer, np.uint8)
    begins, end = _walk(buffer)
    begins = np.array(begins, np.int64)
    lengths_right = _is_intact(data, begins, np.full(len(begins), 8))
    if not lengths_right.all():
        first_wrong = int(np.argmin(lengths_right))
        end = int(begins[first_wrong])
        begins = begins[:first_wrong]
    starts = begins + _HEADER.size
    lengths = np.diff(begins, append=end) - _HEADER.size - _FOOTER
    records = record + np.arange(len(begins))
    intact = _is_intact(data, starts, lengths)
    faults = [
        Fault(int(records[row]), offset + int(begins[row]), "the checksum of its data is wrong")
        for row in np.flatnonzero(~intact)
    ]
    block = Block(
        data,
        starts[intact],
        lengths[intact],
        records[intact],
        offset + begins[intact],
        faults,
        end=offset + end,
    )
    return block, end, len(begins)


def _walk(buffer: bytes) -> tuple[list[int], int]:
    """Return where records begin if the lengths are right, and where the last one ends."""
    begins = []
    position, last = 0, len(buffer) - _HEADER.size - _FOOTER
    unpack = _HEADER.unpack_from
    while position <= last:
        length, _ = unpack(buffer, position)
        if length > min(MAX_LENGTH, last - position):
            break
        begins.append(position)
        position += length + _HEADER.size + _FOOTER
    return begins, position


def _is_intact(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return for slices [n] whether the checksum after each is right."""
    if not len(starts):
        return np.empty(0, bool)
    footers = (starts + lengths)[:, None] + np.arange(_FOOTER)
    stored = np.ascontiguousarray(data[footers]).view("<u4")[:, 0]
    return crc32c.mask(crc32c.checksums(data, starts, lengths)) == stored


def _next_fault(buffer: bytes, record: int, offset: int, size: int) -> tuple[Fault | None, int]:
    """Return what the header of a record that begins here gives away.

    Returns:
      What is wrong with it, if anything; and the bytes that it takes if it can be passed over.
    """
    if len(buffer) < _HEADER.size:
        return None, 0
    length, _ = _HEADER.unpack_from(buffer)
    header = np.frombuffer(buffer, np.uint8, _HEADER.size)
    if not _is_intact(header, np.array([0]), np.array([8]))[0]:
        reason = (
            f"the checksum of its length is wrong, so the remaining {size - offset} bytes cannot "
            "be divided into records"
        )
        return Fault(record, offset, reason), 0
    if length <= MAX_LENGTH:
        return None, 0
    whole = length + _HEADER.size + _FOOTER
    reason = f"it holds {length} bytes, and no record of the benchmark over {MAX_LENGTH}"
    return Fault(record, offset, reason), whole if offset + whole <= size else 0
