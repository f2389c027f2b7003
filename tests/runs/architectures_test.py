"""Which architectures a run evaluates, and what is said where they cannot be had."""

import uuid

import numpy as np
import pytest
import tensorflow as tf

from nngp_tf.data import benchmark_table
from nngp_tf.runs.architectures import SELECTIONS, select
from nngp_tf.search_spaces import mnas, nasbench101
from nngp_tf.search_spaces.nasbench101 import NUM_CELLS

pytestmark = pytest.mark.fast

TEXTS = [
    "010/001/000:input,maxpool3x3,output",
    "01/00:input,output",
    "010/001/000:input,conv3x3-bn-relu,output",
    "0101/0010/0001/0000:input,conv3x3-bn-relu,conv3x3-bn-relu,output",
]


def chosen(selection, number=None, seed=0):
    return select("nasbench101", selection, number, seed)


@pytest.fixture
def table(tmp_path):
    """A benchmark table of the four cells; the accuracies are invented."""
    lines = ["module_hash,adjacency,operations,trainable_parameters,test_accuracy_108"]
    for text in TEXTS:
        matrix, _, ops = text.partition(":")
        key = nasbench101.Cell.from_text(text).key
        lines.append(f'{key},{matrix.replace("/", "")},"{ops}",1,0.5')
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_sample_is_distinct_and_seeded():
    cells = chosen("sample", 300)
    assert len({cell.key for cell in cells}) == 300
    assert all(cell.is_valid for cell in cells)
    assert cells == chosen("sample", 300)
    assert cells[:5] != chosen("sample", 5, seed=1)
    # So a run can be extended.
    assert cells[:100] == chosen("sample", 100)
    # As the benchmark's authors draw.
    assert cells[0] == nasbench101.sample(np.random.default_rng(0))


def test_a_sample_leaves_out_what_it_has(monkeypatch):
    first, second, third = map(nasbench101.Cell.from_text, TEXTS[:3])
    asked = []

    def draw(rng, uniform_over):
        asked.append(uniform_over)
        return [first, first, second, first, third][len(asked) - 1]

    monkeypatch.setattr(nasbench101, "sample", draw)
    assert chosen("sample_cells", 3) == [first, second, third]
    assert asked == ["cells"] * 5
    asked.clear()
    assert chosen("sample", 2) == [first, second]
    assert asked == ["matrices"] * 3


def test_the_notebook():
    cells = chosen("notebook")
    assert cells == nasbench101.notebook_cells()
    assert len(cells) == 250
    assert chosen("notebook", 7, seed=5) == cells[:7]


def test_a_range():
    space = list(nasbench101.enumerate_cells(0, 100))
    assert chosen("range:0:100") == space
    assert chosen("range:90:100", 4) == space[90:94]
    assert chosen("range:90:92", 4) == space[90:92]


@pytest.mark.parametrize("scheme", ["", "file://", "ram://"])
def test_a_file(tmp_path, scheme):
    path = f"{scheme}{tmp_path}/cells.txt" if scheme != "ram://" else f"ram://{uuid.uuid4()}.txt"
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(f"# Two of them.\n\n{TEXTS[1]}\r\n  {TEXTS[0]}  # a pool")
    cells = chosen(f"file:{path}")
    assert [cell.text for cell in cells] == [TEXTS[1], TEXTS[0]]
    assert chosen(f"file:{path}", 1, seed=9) == cells[:1]
    assert chosen(f"file:{path}", 10) == cells


def test_a_table_in_random_order(table):
    cells = chosen(f"table:{table}")
    assert sorted(cell.text for cell in cells) == sorted(TEXTS)
    assert cells == chosen(f"table:{table}")
    assert cells[:2] == chosen(f"table:{table}", 2)
    assert cells == chosen(f"table:{table}", 99)
    orders = {tuple(c.text for c in chosen(f"table:{table}", None, seed)) for seed in range(20)}
    # Of 24; the first in the file is not always first.
    assert len(orders) > 10
    assert len({order[0] for order in orders}) == 4


def test_the_shared_table(shared_data):
    path = shared_data / "nasbench101_20k.csv.gz"
    cells = chosen(f"table:{path}", 200)
    assert len({cell.key for cell in cells}) == 200
    table = benchmark_table.load(path)
    # The stored vertex order, from which the benchmark's networks were built.
    assert all(table[cell].cell == cell for cell in cells)
    rows = table.rows(cells)
    assert (np.diff(rows) < 0).any()
    assert rows.max() > 10_000


@pytest.mark.parametrize(
    "selection",
    [
        *("", "sampel", "Sample", " sample", "sample:3", "sample_cells:3", "notebook:x"),
        *("range", "range:", "file", "file:", "table", "table:"),
        *(None, 3, ["sample"]),
    ],
)
def test_unknown_selections(selection):
    with pytest.raises(ValueError, match=r"architectures must be one of .*, got") as caught:
        chosen(selection, 3)
    assert repr(selection) in str(caught.value)
    assert all(known in str(caught.value) for known in SELECTIONS["nasbench101"])


@pytest.mark.parametrize("number", [0, -1])
@pytest.mark.parametrize("selection", ["sample", "notebook", "range:0:9", "file:x", "table:x"])
def test_numbers_that_are_not_positive(selection, number):
    with pytest.raises(
        ValueError, match=f"num_architectures must be positive or None, got {number}"
    ):
        chosen(selection, number)


@pytest.mark.parametrize("selection", ["sample", "sample_cells"])
@pytest.mark.parametrize("number", [None, NUM_CELLS // 2 + 1])
def test_samples_without_end(selection, number):
    # Drawing the last few cells anew until they are distinct would take for ever.
    with pytest.raises(ValueError, match=f"at most 211812 .* got {number}: use .*range:0:423624"):
        chosen(selection, number)


@pytest.mark.parametrize("text", ["5", "0:5:2", "a:b", "0:", ":5", "0-5"])
def test_malformed_ranges(text):
    with pytest.raises(ValueError, match=f"is written 'range:START:STOP', got 'range:{text}'"):
        chosen(f"range:{text}")


@pytest.mark.parametrize("text", ["-1:5", "5:5", "6:5", f"0:{NUM_CELLS + 1}"])
def test_ranges_outside_the_space(text):
    with pytest.raises(ValueError, match=f"0 <= START < STOP <= 423624, got 'range:{text}'"):
        chosen(f"range:{text}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0110/0001:input", "'0110/0001' is not a matrix"),
        ("nonsense", "'nonsense' is not a cell: write"),
        ("010/001/000:input,maxpool5x5,output", "unknown operation 'maxpool5x5'"),
        ("00/00:input,output", "the cell is disconnected"),
        (TEXTS[1], r"the same cell as cells\.txt:1 \(key [0-9a-f]{32}\), remove one"),
    ],
)
def test_malformed_files_name_file_and_line(tmp_path, line, message):
    path = tmp_path / "cells.txt"
    path.write_text(f"{TEXTS[1]}\n# A comment.\n{line}\n")
    with pytest.raises(ValueError, match=rf"^cells\.txt:3: .*{message}"):
        chosen(f"file:{path}", 1)


def test_unreadable_files(tmp_path):
    (tmp_path / "empty.txt").write_text("# Nothing yet.\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"empty\.txt holds no architectures: write a text form"):
        chosen(f"file:{tmp_path}/empty.txt")
    for name in ("missing.txt", "binary.txt", ".", "missing/file.txt"):
        with pytest.raises(ValueError, match=tmp_path.name):
            chosen(f"file:{tmp_path}/{name}")
    with pytest.raises(ValueError, match=r"nowhere://cells.txt cannot be read"):
        chosen("file:nowhere://cells.txt")
    with pytest.raises(ValueError, match="there is no file"):
        chosen(f"table:{tmp_path}/missing.csv")
    with pytest.raises(ValueError, match=r"its name must end in \.csv"):
        chosen(f"table:{tmp_path}/empty.txt")


def test_negative_seeds():
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        chosen("sample", 3, seed=-1)


def test_unknown_spaces():
    with pytest.raises(ValueError, match="space must be one of nasbench101, mnas, got 'nasbench2"):
        select("nasbench201", "sample", 3, 0)


class TestMnas:
    def test_a_sample_is_distinct_and_seeded(self):
        networks = select("mnas", "sample", 50, 0)
        assert len({network.key for network in networks}) == 50
        assert networks[:20] == select("mnas", "sample", 20, 0)
        assert networks[0] != select("mnas", "sample", 1, 1)[0]
        assert all(mnas.contains(network) for network in networks)

    def test_a_sample_around_another_reference(self):
        networks = select("mnas", "sample:mnasnet_a1", 20, 0)
        assert all(mnas.contains(network, "mnasnet_a1") for network in networks)
        assert networks != select("mnas", "sample", 20, 0)
        with pytest.raises(ValueError, match="reference must be one of mobilenet_v2, mnasnet_a1"):
            select("mnas", "sample:resnet", 20, 0)

    @pytest.mark.parametrize("number", [None, 10**15])
    def test_a_sample_has_a_number(self, number):
        with pytest.raises(ValueError, match=r"num_architectures must be at most .* got"):
            select("mnas", "sample", number, 0)

    def test_published(self):
        published = [mnas.MNASNET_A1, mnas.MNASNET_B1, mnas.MNASNET_SMALL]
        assert select("mnas", "published", None, 0) == published
        assert select("mnas", "published", 1, 3) == published[:1]

    def test_a_file(self, tmp_path):
        path = tmp_path / "networks.txt"
        networks = select("mnas", "sample", 3, 0)
        path.write_text("".join(f"{network.text}\n" for network in networks))
        assert select("mnas", f"file:{path}", None, 0) == networks
        path.write_text(TEXTS[0])
        with pytest.raises(ValueError, match=r"^networks\.txt:1: "):
            select("mnas", f"file:{path}", None, 0)

    @pytest.mark.parametrize(
        "selection", ["notebook", "range:0:5", "published:x", "file", "table:x"]
    )
    def test_what_only_cells_have(self, selection):
        with pytest.raises(ValueError, match="must be one of sample, sample:REFERENCE, published"):
            select("mnas", selection, 3, 0)
