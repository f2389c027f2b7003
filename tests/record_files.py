"""Small files in the official format of NAS-Bench-101, written one byte at a time.

Nothing of the reader takes part, the checksum included.
"""

import base64
import json
import struct

from nngp_tf.search_spaces.nasbench101 import Cell

CELLS = tuple(
    Cell.from_text(text)
    for text in (
        "010/001/000:input,maxpool3x3,output",
        "01/00:input,output",
        "0101/0010/0001/0000:input,conv3x3-bn-relu,conv3x3-bn-relu,output",
        "0110/0001/0001/0000:input,conv1x1-bn-relu,maxpool3x3,output",
    )
)
BUDGETS = (4, 108)
NUM_REPEATS = 3
# One `EvaluationData`: epoch 0 and four zeros. In the official file they are not all zero.
START = (0.0, 0.0, 0.0, 0.0, 0.0)


def crc32c(data):
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ 0x82F63B78 * (state & 1)
    return state ^ 0xFFFFFFFF


def masked(checksum):
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return rotated + 0xA282EAD8 & 0xFFFFFFFF


def framed(payload):
    length = struct.pack("<Q", len(payload))
    return b"".join(
        (
            length,
            struct.pack("<I", masked(crc32c(length))),
            payload,
            struct.pack("<I", masked(crc32c(payload))),
        )
    )


def varint(number):
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def evaluation(values):
    """One `EvaluationData`; the last fields may be left out."""
    tags = (0x09, 0x11, 0x19, 0x21, 0x29)[: len(values)]
    tagged = zip(tags, values, strict=True)
    return b"".join(bytes([tag]) + struct.pack("<d", value) for tag, value in tagged)


def metrics(evaluations, parameters, total_time=1.0):
    parts = []
    for values in evaluations:
        message = evaluation(values)
        parts += [b"\x0a", varint(len(message)), message]
    parts += [b"\x10", varint(parameters), b"\x19", struct.pack("<d", total_time)]
    return b"".join(parts)


def payload(cell, epochs, message):
    adjacency = "".join(str(digit) for row in cell.original_matrix.tolist() for digit in row)
    operations = ",".join(cell.original_ops)
    encoded = base64.b64encode(message).decode()
    return json.dumps([cell.module_hash, epochs, adjacency, operations, encoded]).encode()


def values(cell_index, epochs, repeat):
    """Half-way and final (seconds, train, validation, test) of one run, all different."""
    number = 100 * cell_index + 10 * BUDGETS.index(epochs) + repeat
    halfway = (number + 0.5, *((number + k) / 1024 for k in (1, 2, 3)))
    return halfway, (number + 1.0, *((number + k) / 1024 for k in (4, 5, 6)))


def parameters_of(cell_index):
    return 882_570 + cell_index * 5_000_000  # Three bytes as a varint, then four.


def run(cell_index, epochs, repeat):
    halfway, final = values(cell_index, epochs, repeat)
    evaluations = (START, (epochs / 2, *halfway), (epochs, *final))
    message = metrics(evaluations, parameters_of(cell_index))
    return payload(CELLS[cell_index], epochs, message)


def payloads():
    """Of all runs, budget by budget, so that those of one cell are not in a row."""
    return [
        run(cell_index, epochs, repeat)
        for epochs in BUDGETS
        for repeat in range(NUM_REPEATS)
        for cell_index in range(len(CELLS))
    ]
