"""Fuzzes the reader of NAS-Bench-101's record files; see `tests.fuzzing`.

The first byte says what the others are: a file as it is; payloads, which get right checksums;
metrics, which get into payloads of one cell; or bytes whose checksum is taken.
"""

import os
import pathlib
import sys
import tempfile

import atheris
import numpy as np

with atheris.instrument_imports(include=["nngp_tf"]):
    from nngp_tf.data import crc32c, nasbench_records
from tests import fuzzing, record_files

SEPARATOR = b"\x00\xff"
FILE, PAYLOADS, METRICS, CHECKSUM = (bytes([kind]) for kind in range(4))
_PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_PATH = pathlib.Path(tempfile.mkdtemp(dir=_PLACE)) / "file.tfrecord"


def test_one(data):
    """A table, or a sentence that says which file has what."""
    kind, data = data[:1], data[1:]
    if kind == CHECKSUM:
        # The one that it is compared with takes a step for each bit.
        data = data[:200]
        starts = np.array([0, len(data) // 3, len(data) // 2])
        lengths = np.array([len(data), len(data) // 2, 0])
        sums = crc32c.checksums(np.frombuffer(data, np.uint8), starts, lengths)
        for start, length, found in zip(starts, lengths, sums, strict=True):
            assert found == record_files.crc32c(data[start : start + length])
        return
    if kind == PAYLOADS:
        data = b"".join(map(record_files.framed, data.split(SEPARATOR)))
    elif kind == METRICS:
        data = b"".join(
            record_files.framed(record_files.payload(record_files.CELLS[0], 108, message))
            for message in data.split(SEPARATOR)
        )
    _PATH.write_bytes(data)
    on_corrupt = nasbench_records.ON_CORRUPT[len(data) % 2]
    try:
        table, corruption = nasbench_records.read(str(_PATH), on_corrupt)
    except ValueError as error:
        text = str(error)
        assert text.startswith(str(_PATH)) and len(text) > len(str(_PATH)) + 10, text
        assert "\n" not in text, text
    else:
        assert len(table) > 0
        assert on_corrupt == "skip" or corruption.num_faults == 0
        # By hash: nothing checks that a record's is that of its cell.
        for module_hash in table.module_hashes:
            runs = table[module_hash].accuracies.values()
            assert all(0 <= accuracy <= 1 for run in runs for accuracy in run)


if __name__ == "__main__":
    try:
        fuzzing.main(test_one)
    finally:
        _PATH.unlink(missing_ok=True)
        _PATH.parent.rmdir()
        sys.stdout.flush()
