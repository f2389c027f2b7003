"""Paths with equals signs among runs and tables: NAME=PATH only where there is no such path."""

import pytest

from nngp_tf.analysis import sources
from tests.analysis import examples
from tests.analysis.sources_test import write_run

pytestmark = pytest.mark.fast


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Writes a run below the working directory."""
    monkeypatch.chdir(tmp_path)
    return lambda path: write_run(tmp_path / path, examples.nngp_row(0, [0.1, 0.2, 0.3]))


def _named(*runs, tables=()):
    return [(source.name, source.path) for source in sources.load(runs, tables)]


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("lr=0.1", "lr=0.1", "lr=0.1"),
        ("lr=0.1", "./lr=0.1", "lr=0.1"),
        ("lr=0.1", "lr=0.1/", "lr=0.1"),
        ("lr=0.1/run", "lr=0.1/run", "run"),
        ("lr=0.1,wd=0", "lr=0.1,wd=0", "lr=0.1,wd=0"),
        ("sweep/lr=0.1", "sweep/lr=0.1", "lr=0.1"),
        ("lr=0.1", "small=lr=0.1", "small"),
        ("lr=0.1/run", "small=lr=0.1/run", "small"),
        ("plain", "lr=plain", "lr"),
        ("=", "=", "="),
    ],
)
def test_runs(run, path, text, name):
    run(path)
    assert _named(text) == [(name, text.removeprefix(f"{name}=").rstrip("/"))]


def test_what_is_there_as_it_is_written_comes_first(run):
    run("lr=0.1")
    run("0.1")
    assert _named("lr=0.1") == [("lr=0.1", "lr=0.1")]
    assert _named("lr=./0.1") == [("lr", "./0.1")]


def test_what_is_not_there_is_told_both_ways(run):
    with pytest.raises(ValueError, match=r"neither 'lr=0\.1' nor, under the name 'lr', '0\.1'"):
        _named("lr=0.1")
    with pytest.raises(ValueError, match="there is no run at lr="):
        _named("lr=")


def test_tables(tmp_path, run):
    for name in ("lr=0.1.csv", "lr=0.2.csv"):
        examples.write_table(tmp_path / name, [0.9])
    assert _named(tables=["lr=0.1.csv", "lr=0.2.csv", "a=lr=0.1.csv"]) == [
        ("lr=0.1", "lr=0.1.csv"),
        ("lr=0.2", "lr=0.2.csv"),
        ("a", "lr=0.1.csv"),
    ]
