"""The official NAS-Bench-101 files, nasbench_full.tfrecord and nasbench_only108.tfrecord.

    for each block of whole records
        verify checksums                     tfrecords
        read the payloads                    nasbench_parsing, nasbench_metrics
        append the runs to columns           nasbench_columns
    gather the columns to a table

A record is used whole and verified or not at all. Neither the nasbench package nor classes of
protocol buffers take part, and no record stays in memory as an object.
"""

import dataclasses
import hashlib
import os

import tqdm
from absl import logging

from nngp_tf.data import nasbench_parsing, tfrecords
from nngp_tf.data.benchmark_value import BenchmarkTable
from nngp_tf.data.nasbench_columns import RunColumns
from nngp_tf.data.stored_cells import CellTexts
from nngp_tf.data.tfrecords import Fault

SUFFIXES = (".tfrecord",)
ON_CORRUPT = ("error", "skip")

# Of the files that the benchmark's README links to.
_SHA256 = {
    "nasbench_full.tfrecord": "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c",
    "nasbench_only108.tfrecord": "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
}
_NAMED_FAULTS = 10  # Those beyond are only counted.
_TOLD_FAULTS = 3


@dataclasses.dataclass(frozen=True)
class Corruption:
    """What could not be used of a file.

    Attributes:
      num_faults: Corrupt records; a rest of the file that cannot be divided counts as one.
      faults: The first ones.
      num_left_out: Architectures that lost a record and are not in the table for it.
    """

    num_faults: int = 0
    faults: tuple[Fault, ...] = ()
    num_left_out: int = 0

    def __str__(self) -> str:
        told = "; ".join(
            f"record {fault.record} at byte {fault.offset}: {fault.reason}"
            for fault in self.faults[:_TOLD_FAULTS]
        )
        more = "; ..." if self.num_faults > _TOLD_FAULTS else ""
        return f"{self.num_faults} corrupt record{'s' * (self.num_faults != 1)} ({told}{more})"


def read(path: str, on_corrupt: str) -> tuple[BenchmarkTable, Corruption]:
    """Read a file, with a bar of progress on stderr if it takes longer than a second.

    Args:
      path: The file.
      on_corrupt: "error", or "skip" for a table of the architectures all of whose records are
        sound.

    Raises:
      ValueError: The file is missing, cannot be read or holds nothing sound; an architecture has
        fewer runs than others though no record is corrupt; or, with "error", a record is corrupt.
    """
    texts, columns = CellTexts(), RunColumns()
    num_faults, faults = 0, []
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file, _progress(path, size) as bar:
            for block in tfrecords.blocks(file, size):
                runs, unreadable = nasbench_parsing.parse(block, texts)
                found = block.faults + unreadable + columns.add(runs)
                num_faults += len(found)
                faults = sorted(faults + found)[:_NAMED_FAULTS]
                bar.update(min(block.end, size) - bar.n)
    except OSError as error:
        raise _unreadable(path, error) from error
    corruption = Corruption(num_faults, tuple(faults))
    check(path, corruption, on_corrupt)
    table, num_left_out = columns.table(path, texts, only_whole=num_faults > 0)
    return table, dataclasses.replace(corruption, num_left_out=num_left_out)


def check(path: str, corruption: Corruption, on_corrupt: str) -> None:
    """Refuse a corrupt file.

    Raises:
      ValueError: Records are corrupt and `on_corrupt` is "error".
    """
    if corruption.num_faults and on_corrupt == "error":
        raise ValueError(
            f"{path} has {corruption}; download it again, or pass on_corrupt='skip' to leave out "
            "the architectures concerned"
        )


def report(path: str, corruption: Corruption, num_architectures: int) -> None:
    """Log what could not be used, if anything."""
    if corruption.num_faults:
        logging.warning(
            "%s has %s; %d architectures that lost a record are left out, %d remain",
            path,
            corruption,
            corruption.num_left_out,
            num_architectures,
        )


def check_sha256(path: str) -> None:
    """Compare the digest of a file with the published one for its name.

    Raises:
      ValueError: None is published for that name, the file cannot be read, or the digests differ.
    """
    name = os.path.basename(path)
    if name not in _SHA256:
        raise ValueError(
            f"no SHA-256 is published for a file named {name}, only for {' and '.join(_SHA256)}: "
            "leave out check_sha256"
        )
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file, _progress(path, os.path.getsize(path)) as bar:
            while block := file.read(tfrecords.BLOCK_BYTES):
                digest.update(block)
                bar.update(len(block))
    except OSError as error:
        raise _unreadable(path, error) from error
    if digest.hexdigest() != _SHA256[name]:
        raise ValueError(
            f"{path} is not the published file: its SHA-256 is {digest.hexdigest()}, expected "
            f"{_SHA256[name]}; download it again"
        )


def _progress(path: str, size: int) -> tqdm.tqdm:
    name = os.path.basename(path)
    return tqdm.tqdm(total=size, desc=name, unit="B", unit_scale=True, delay=1.0)


def _unreadable(path: str, error: OSError) -> ValueError:
    if isinstance(error, FileNotFoundError):
        return ValueError(f"there is no benchmark file at {path}")
    return ValueError(f"{path} cannot be read: {error}")
