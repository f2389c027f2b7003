"""Fuzzes the parser of block strings and of networks; see `tests.fuzzing`.

The first byte says what the text is: one block string, or networks, one a line.
"""

import atheris

with atheris.instrument_imports(include=["nngp_tf"]):
    from nngp_tf.search_spaces import mnas, mnas_strings
from tests import fuzzing

BLOCK = b"\x00"


def test_one(data):
    """Values that are written and read again as they are, or a sentence."""
    text = data[1:].decode(errors="surrogateescape")
    try:
        if data[:1] == BLOCK:
            block, stride = mnas_strings.decode(text)
            written = mnas_strings.encode(block, stride, block.input_filters)
            assert mnas_strings.decode(written) == (block, stride), written
        else:
            for network in mnas.parse_networks(text.split("\n"), "file"):
                again = mnas.Network.from_text(network.text)
                assert again == network, network.text
                assert again.key == network.key, network.text
    except ValueError as error:
        message = str(error)
        assert message.startswith("block string " if data[:1] == BLOCK else "file:"), message
        assert len(message) > 20 and "\n" not in message, message


if __name__ == "__main__":
    fuzzing.main(test_one)
