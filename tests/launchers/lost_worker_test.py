"""Two worker processes of one run, of which one is killed in the middle."""

import json
import signal
import socket
import time

import pytest

from nngp_tf.runs import table
from tests.launchers import launching

pytestmark = pytest.mark.long

NUMBER = 40
PARAMETERS = {
    "architectures": f'"range:0:{NUMBER}"',
    "num_architectures": None,
    "num_train": 30,
    "num_test": 20,
    "num_inits": 2,
    "stem_filters": 4,
    "compute_dtype": '"float32"',
}
SENTENCE = (
    "the rows written so far are kept, start all workers again with the same command to go on"
)


def start_both(run_dir):
    """Start the chief and the other one."""
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        workers = [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, other)]
    bindings = [f"--gin_param=nngp_inference.{n} = {value}" for n, value in PARAMETERS.items()]
    return [
        launching.start(
            "nngp_inference",
            "--strategy=multi_worker",
            f"--run_dir={run_dir}",
            *bindings,
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index in range(2)
    ]


def rows(run_dir):
    """From each key that is stored to its row, seconds included; one that is there twice fails."""
    stored = [
        json.loads(line)
        for file in sorted(run_dir.glob("results*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    assert len({row["key"] for row in stored}) == len(stored)
    # How many rows a file holds is said in each of them, and changes.
    return {row["key"]: row | {"stored": None} for row in stored}


# Of the chief or of the other one, the survivor learns in different ways.
@pytest.mark.parametrize("lost", [1, 0])
def test_the_other_worker_ends_and_both_go_on_at_the_next_start(tmp_path, lost):
    run_dir = tmp_path / "run"
    both = start_both(run_dir)
    try:
        while len(rows(run_dir)) < 3:
            assert [process.poll() for process in both] == [None, None], both[0].communicate()
            time.sleep(0.005)
        both[lost].send_signal(signal.SIGKILL)
        # A minute is what the README grants it.
        out, error = both[1 - lost].communicate(timeout=60)
    finally:
        for process in both:
            process.kill()
            process.communicate()
    assert both[1 - lost].returncode == 1, error[-3000:]
    assert out == ""
    last = error.splitlines()[-1]
    assert last.startswith("nngp_inference: a worker was lost (UnavailableError: "), error[-3000:]
    assert last.endswith(f"): {SENTENCE}")
    assert "Traceback" not in error
    before = rows(run_dir)
    assert 3 <= len(before) < NUMBER

    both = start_both(run_dir)
    # Neither ends without the other.
    for code, _, error in [launching.finish(process) for process in both]:
        assert code == 0, error[-3000:]
    after = rows(run_dir)
    assert len(after) == NUMBER
    assert {row["status"] for row in after.values()} == {"ok"}
    assert {key: after[key] for key in before} == before
    read = table.read_table(run_dir)
    read.check()
    assert (len(read.rows), read.duplicates) == (NUMBER, 0)
