"""Text files of other systems: marks, line ends and encodings, in every file that is read."""

import codecs
import gzip
import os

import gin
import numpy as np
import pytest

from launchers import gin_files
from nngp_tf.data import benchmark_table, text_files
from nngp_tf.runs import architectures
from nngp_tf.search_spaces.nasbench101 import Cell

pytestmark = pytest.mark.fast

POOL = "010/001/000:input,maxpool3x3,output"
CSV = (
    "module_hash,adjacency,operations,trainable_parameters,test_accuracy_108\n"
    f'{Cell.from_text(POOL).key},010001000,"input,maxpool3x3,output",882570,0.75\n'
)
CELLS = f"{POOL}\n\n# another\n01/00:input,output\n"
GIN = "encoded.number = 7\nencoded.text = 'a'\n"

READ = {
    "plain": lambda text: text.encode(),
    "mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "two marks": lambda text: 2 * codecs.BOM_UTF8 + text.encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "mark and CRLF": lambda text: codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "no end of the last line": lambda text: text.rstrip().encode(),
    "blank lines": lambda text: f"\n{text}\n  \n\t\n".encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
}
REFUSED = {
    "UTF-16 with a mark": (lambda text: text.encode("utf-16"), "is UTF-16"),
    "UTF-16 little endian": (lambda text: text.encode("utf-16-le"), "is UTF-16"),
    "UTF-16 big endian": (lambda text: text.encode("utf-16-be"), "is UTF-16"),
    "UTF-32 with a mark": (lambda text: text.encode("utf-32"), "is UTF-32"),
    "UTF-32 big endian": (lambda text: text.encode("utf-32-be"), "is UTF-32"),
    "Latin-1": (lambda text: f"{text}# caf\xe9".encode("latin-1"), r":\d: byte 0xe9 is not UTF-8"),
    "NUL": (lambda text: f"{text}\0".encode(), r":\d: holds a NUL"),
    "zeros": (lambda text: bytes(4096), r":1: holds a NUL"),
}


@gin.configurable
def encoded(number=1, text=""):
    return number, text


@pytest.fixture(autouse=True)
def forget_gin():
    yield
    gin.clear_config()


def read_csv(path):
    path = path.rename(path.with_name("table.csv"))
    table = benchmark_table.load(path)
    assert [cell.text for cell in table] == [POOL]
    assert table.truth.tolist() == [0.75]


def read_cells(path):
    found = architectures.select("nasbench101", f"file:{path}", None, 0)
    assert [cell.text for cell in found] == [POOL, "01/00:input,output"]


def read_gin(path):
    gin_files.parse([str(path)], [])
    assert encoded() == (7, "a")


def read_included_gin(path):
    including = path.with_name("including.gin")
    including.write_bytes(codecs.BOM_UTF8 + f"include {os.fspath(path)!r}\r\n".encode())
    read_gin(including)


READERS = {"table": (read_csv, CSV), "architectures": (read_cells, CELLS), "gin": (read_gin, GIN)}
READERS["included gin"] = (read_included_gin, GIN)


@pytest.mark.parametrize("encode", READ.values(), ids=READ)
@pytest.mark.parametrize(("read", "text"), READERS.values(), ids=READERS)
def test_marks_and_line_ends_are_read(tmp_path, read, text, encode):
    path = tmp_path / "file"
    path.write_bytes(encode(text))
    read(path)


@pytest.mark.parametrize(("encode", "problem"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize(("read", "text"), READERS.values(), ids=READERS)
def test_other_encodings_are_named(tmp_path, read, text, encode, problem):
    path = tmp_path / "file"
    path.write_bytes(encode(text))
    with pytest.raises(ValueError, match=f"{problem}.* UTF-8") as caught:
        read(path)
    assert tmp_path.name in str(caught.value)


def test_joined_files_with_marks(tmp_path):
    (tmp_path / "joined").write_bytes(
        b"".join(codecs.BOM_UTF8 + line.encode() for line in CELLS.splitlines(keepends=True))
    )
    read_cells(tmp_path / "joined")


def test_text_beyond_ascii_is_kept():
    text = "ü, 本, \U0001f600\n"
    assert text_files.decode(text.encode(), "x") == text
    assert text_files.decode(b"", "x") == ""
    with pytest.raises(ValueError, match="x:3: byte 0xff"):
        text_files.decode(b"a\r\nb\r\xff", "x")


def test_a_table_under_the_name_of_a_compressed_one_and_the_other_way_round(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(CSV.encode())
    (tmp_path / "b.csv").write_bytes(gzip.compress(CSV.encode()))
    found = [benchmark_table.load(tmp_path / name).truth for name in ("a.csv.gz", "b.csv")]
    np.testing.assert_array_equal(found, [[0.75], [0.75]])


def test_what_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="is a directory, expected a file"):
        text_files.read(tmp_path)
    with pytest.raises(ValueError, match="there is no file"):
        text_files.read(tmp_path / "none")
    with pytest.raises(ValueError, match="cannot be read"):
        text_files.read("nowhere://file")
