"""The parser of block strings and networks under a coverage-guided fuzzer."""

import pytest

from nngp_tf.search_spaces import mnas
from tests import fuzzing

pytestmark = pytest.mark.long

NETWORKS = (mnas.MNASNET_A1, mnas.MNASNET_B1, mnas.MNASNET_SMALL)


def test_block_strings(tmp_path):
    blocks = sorted({string for network in NETWORKS for string in network.strings})
    blocks += ["r2_k7_s22_e9_i8_o12_se1e-05_conv", " maxskip_dconv_o12_i8_e1_s11_k3_r2"]
    seeds = [b"\x00" + block.encode() for block in blocks]
    seeds += [b"\x01" + network.text.encode() for network in NETWORKS]
    seeds.append(b"\x01# all\n" + b"\n".join(network.text.encode() for network in NETWORKS))
    tokens = [token for block in blocks for token in block.encode().split(b"_")]
    tokens += [b"r999999999_", b"stem999999999/", b"_i999999999_", b"_se1e-9", "²".encode()]
    fuzzing.assert_nothing_found(
        "tests.search_spaces.block_strings_fuzzer", seeds, sorted(set(tokens)), tmp_path
    )
