"""The reader of record files under a coverage-guided fuzzer."""

import json

import pytest

from tests import fuzzing, record_files

pytestmark = pytest.mark.long

PAYLOADS = record_files.payloads()
# Of one cell, the usual ones and one that is read by itself.
METRICS = [
    record_files.metrics(
        (record_files.START, (54.0, 1.5, 0.25, 0.5, 0.75), (108.0, 3.0, 0.5, 0.625, 0.875)), count
    )
    for count in (300, 9_000_000)
]


def test_records(tmp_path):
    separator = b"\x00\xff"
    seeds = [
        b"\x00" + b"".join(map(record_files.framed, PAYLOADS[:4])),
        b"\x00" + record_files.framed(PAYLOADS[0]),
        b"\x01" + separator.join(PAYLOADS[:4]),
        b"\x01" + json.dumps(json.loads(PAYLOADS[2]), indent=1).encode(),
        b"\x02" + separator.join(METRICS),
        b"\x02" + METRICS[0],
        b"\x03" + bytes(range(256)),
    ]
    hashes = [cell.module_hash.encode() for cell in record_files.CELLS]
    operations = [b"conv3x3-bn-relu", b"conv1x1-bn-relu", b"maxpool3x3", b"input", b"output"]
    tokens = [separator, b'", "', b"108", b"2147483648", *hashes, *operations]
    fuzzing.assert_nothing_found("tests.data.record_fuzzer", seeds, tokens, tmp_path)
