"""Memory, threads and open files over many architectures in one process."""

import gc

import numpy as np
import psutil
import pytest

from nngp_tf.data.images import load_images
from nngp_tf.models import Nasbench101Network
from nngp_tf.runs import inference
from nngp_tf.runs.store import RunDirectory
from nngp_tf.search_spaces import nasbench101

pytestmark = pytest.mark.long

# The programs of the space's families are made among the first.
WARM_UP, NUMBER, STEP = 100, 500, 10
MOST_MIB = 0.2


def networks(number):
    """Distinct cells, drawn as the benchmark's authors do, in their smallest networks."""
    rng = np.random.default_rng(0)
    cells = {}
    while len(cells) < number:
        cell = nasbench101.sample(rng)
        cells.setdefault(cell.key, cell)
    return [
        Nasbench101Network(cell, (8, 8, 3), 10, stem_filters=60, num_stacks=1, modules_per_stack=1)
        for cell in cells.values()
    ]


def test_five_hundred_architectures_leave_nothing_behind(tmp_path):
    images = load_images("digits", 6, 4, image_size=8)
    settings = inference.KernelSettings(
        num_inits=1, seed=0, batch_norm="one_update", compute_dtype="float32"
    )
    process = psutil.Process()
    every = networks(NUMBER)
    resident, threads, handles = [], [], []
    with RunDirectory(tmp_path, {}) as directory:
        for start in range(0, NUMBER, STEP):
            inference.run_inference(every[start : start + STEP], images, settings, directory)
            gc.collect()
            resident.append(process.memory_info().rss / 2**20)
            threads.append(process.num_threads())
            handles.append(process.num_fds())
        assert len(directory.rows) == NUMBER
        assert {row["status"] for row in directory.rows.values()} == {"ok"}
    first = WARM_UP // STEP
    slope = np.polyfit(np.arange(first, len(resident)) * STEP, resident[first:], 1)[0]
    assert slope < MOST_MIB, resident
    assert max(threads[first:]) <= threads[first] + 2, threads
    assert max(handles[first:]) <= handles[first] + 2, handles
