"""A sweep of the whole space on up to 1,000 workers, simulated from measured costs.

python -m benchmarks.scale_simulation [--figure=docs/figures/scale.png] [--json=scale.json]

    measured    seconds against multiply-adds over the rows of docs/results/nasbench101, one core a
                network; multiply-adds of cells drawn uniformly over the space; what a worker's
                start, a row and an opened shard cost, by benchmarks.scale on a local disk
    assumed     how often workers are preempted, how long another takes to come, how many are slow

    worker free      -> next share, or idle
    share of a lost worker, without the rows it has stored -> queue, or an idle worker
    cost of a share  = opening + sum over its networks of (overhead + rate * multiply-adds) * speed

Events are shares and losses, in one heap; the same seed gives the same numbers.
"""

from __future__ import annotations

import collections
import dataclasses
import heapq

import numpy as np
from absl import app, flags

from benchmarks import timing
from nngp_tf.models import Nasbench101Network
from nngp_tf.runs import table
from nngp_tf.search_spaces import nasbench101

_RESULTS = flags.DEFINE_string(
    "results", str(timing.ROOT / "docs" / "results" / "nasbench101"), "Run of measured costs."
)
_NETWORKS = flags.DEFINE_integer("networks", nasbench101.NUM_CELLS, "Networks of the sweep.", 1)
_SAMPLE = flags.DEFINE_integer("sample", 2000, "Cells drawn for their multiply-adds.", 2)
_FIGURE = flags.DEFINE_string("figure", None, "PNG to draw.")
_SEED = flags.DEFINE_integer("seed", 0, "Of all draws.", 0)

WORKERS = (1, 2, 10, 30, 100, 300, 1000)
SIGN_OF_LIFE_SECONDS = 15.0  # nngp_tf.runs.lock
ROW_BYTES = 9000  # of docs/results/nasbench101
# Of the directory, to open a shard: by its claim, twice; by its files of results, twice.
LISTINGS = 4
ADVERSE = {"slow_share": 0.03, "preemptions_per_hour": 0.05}
CASES = {
    "shares of 100": {"share_size": 100},
    "shares of 10": {"share_size": 10},
    "shares of 100, 3% slow, preempted": {"share_size": 100} | ADVERSE,
    "shares of 10, 3% slow, preempted": {"share_size": 10} | ADVERSE,
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a simulated sweep is like.

    Attributes:
      workers: How many, of one core each.
      share_size: The most networks in a share.
      start_seconds: Of a worker: imports and images, and the programs of five kinds of cells.
      row_seconds: Between two networks.
      open_seconds: To open a shard without rows, of a directory of 42,000 files.
      open_row_seconds: What each row that the shard has already adds to that.
      slow_share: Part of the workers that are slow.
      slow_factor: How many times as long those take.
      preemptions_per_hour: Of a worker.
      replace_seconds: Until another comes, and the share is known to be free.
    """

    workers: int
    share_size: int = 100
    start_seconds: float = 50.0
    row_seconds: float = 2.5e-3
    open_seconds: float = 0.13
    open_row_seconds: float = 1 / 4500
    slow_share: float = 0.0
    slow_factor: float = 3.0
    preemptions_per_hour: float = 0.0
    replace_seconds: float = 180.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a simulated sweep went.

    Attributes:
      makespan: Seconds from the start of the workers to the last row.
      efficiency: Seconds of networks / (workers * makespan).
      opening: Part of workers * makespan that went into opening the directory.
      lost: Networks begun by workers that did not end them.
      preemptions: How many.
      rows: Stored.
    """

    makespan: float
    efficiency: float
    opening: float
    lost: int
    preemptions: int
    rows: int


def simulate(costs: np.ndarray, settings: Settings, seed: int) -> Outcome:
    """Simulate a sweep.

    Args:
      costs: Seconds [N] of each network on a worker that is not slow.
      settings: Of the sweep.
      seed: Of slow workers and preemptions.
    """
    rng = np.random.default_rng(seed)
    speed = np.where(rng.random(settings.workers) < settings.slow_share, settings.slow_factor, 1.0)
    rate = settings.preemptions_per_hour / 3600

    def lifetime():
        return rng.exponential(1 / rate) if rate else np.inf

    count = -(-len(costs) // settings.share_size)
    queue = collections.deque((index, 0) for index in range(count))
    idle = []
    ends = [settings.start_seconds + lifetime() for _ in range(settings.workers)]
    # (time, order, worker or None, share or None, rows stored at that time)
    order = settings.workers
    events = [(settings.start_seconds, w, w, None, 0) for w in range(settings.workers)]
    heapq.heapify(events)
    rows = lost = preemptions = 0
    opening = last = 0.0
    while events:
        now, _, worker, returned, stored = heapq.heappop(events)
        rows += stored
        last = now if stored else last
        if returned is not None:
            queue.append(returned)
        if worker is not None:
            idle.append(worker)
        while queue and idle:
            worker, (share, done) = idle.pop(), queue.popleft()
            if ends[worker] <= now:  # Replaced while it was idle.
                ends[worker] = now + lifetime()
            opened = settings.open_seconds + settings.open_row_seconds * done
            own = costs[share::count][done:] * speed[worker] + settings.row_seconds
            finished = now + opened + np.cumsum(own)
            opening += opened
            order += 2
            if finished[-1] <= ends[worker]:
                event = (float(finished[-1]), order, worker, None, len(own))
                heapq.heappush(events, event)
                continue
            preemptions += 1
            kept = int(np.searchsorted(finished, ends[worker], side="right"))
            lost += 1  # The network under way.
            free = ends[worker] + settings.replace_seconds
            if kept:
                heapq.heappush(events, (float(finished[kept - 1]), order, None, None, kept))
            heapq.heappush(events, (free, order + 1, None, (share, done + kept), 0))
            back = free + settings.start_seconds
            order += 2
            heapq.heappush(events, (back, order, worker, None, 0))
            ends[worker] = back + lifetime()
    paid = settings.workers * last
    return Outcome(last, float(costs.sum()) / paid, opening / paid, lost, preemptions, rows)


def fit_costs(rows) -> tuple[float, float, np.ndarray]:
    """Fit seconds to multiply-adds by least squares of the relative error.

    Returns:
      Seconds of overhead, seconds a billion multiply-adds, and measured / fitted [rows].
    """
    work = np.array([row["multiply_adds"] for row in rows]) / 1e9
    seconds = np.array([row["seconds"] for row in rows])
    design = np.stack([np.ones_like(work), work], axis=1)
    fitted, *_ = np.linalg.lstsq(design / seconds[:, None], np.ones_like(work), rcond=None)
    return float(fitted[0]), float(fitted[1]), seconds / (design @ fitted)


def space_costs(rows, number: int, sample: int, seed: int) -> np.ndarray:
    """Draw seconds [number] of networks of the space, with the scatter of the measured ones."""
    overhead, rate, scatter = fit_costs(rows)
    rng = np.random.default_rng(seed)
    cells = [nasbench101.sample(rng, "cells") for _ in range(sample)]
    work = [Nasbench101Network(cell, (32, 32, 3)).multiply_adds / 1e9 for cell in cells]
    return (overhead + rate * rng.choice(work, number)) * rng.choice(scatter, number)


def loads(outcome: Outcome, settings: Settings) -> dict[str, float]:
    """Return what the directory has to bear on average, by the second."""
    rows = outcome.rows / outcome.makespan
    # A chunk and a status a share; half of them on average.
    names = outcome.rows / settings.share_size
    opened = rows / settings.share_size
    lives = settings.workers / SIGN_OF_LIFE_SECONDS
    # A row rewrites its chunk. Where files are objects, signs of life list the directory, too.
    return {
        "rows/s": rows,
        "MB written/s": rows * (settings.share_size + 1) / 2 * ROW_BYTES / 1e6,
        "names listed/s": LISTINGS * opened * names,
        "names listed/s, object store": (LISTINGS * opened + lives) * names,
    }


def main(argv):
    """Simulate all cases."""
    del argv
    measured = [r for r in table.read_table(_RESULTS.value).rows.values() if r["status"] == "ok"]
    overhead, rate, scatter = fit_costs(measured)
    costs = space_costs(measured, _NETWORKS.value, _SAMPLE.value, _SEED.value)
    fits = [
        {
            "": f"{len(measured)} measured networks",
            "mean s": float(np.mean([row["seconds"] for row in measured])),
            "overhead s": overhead,
            "s per 1e9 multiply-adds": rate,
            "10% of measured / fitted": float(np.quantile(scatter, 0.1)),
            "90%": float(np.quantile(scatter, 0.9)),
            "simulated mean s": float(costs.mean()),
            "simulated core-hours": float(costs.sum()) / 3600,
        }
    ]
    outcomes, borne = [], []
    for case, changes in CASES.items():
        for workers in WORKERS:
            settings = Settings(workers, **changes)
            outcome = simulate(costs, settings, _SEED.value)
            paid = workers * outcome.makespan / 3600
            outcomes.append(
                {
                    "case": case,
                    "workers": workers,
                    "hours": outcome.makespan / 3600,
                    "core-hours": paid,
                    "efficiency": outcome.efficiency,
                    "opening": outcome.opening,
                    "preemptions": outcome.preemptions,
                    "networks lost": outcome.lost,
                }
            )
            borne.append({"case": case, "workers": workers} | loads(outcome, settings))
    if _FIGURE.value:
        draw(outcomes, borne, _FIGURE.value)
    timing.report(
        "scale_simulation",
        {"networks": _NETWORKS.value, "seed": _SEED.value, "repeats": 1},
        {"Costs (measured)": fits, "Sweeps (simulated)": outcomes, "Loads (simulated)": borne},
    )


def draw(outcomes, borne, path: str) -> None:
    """Draw makespan, efficiency and loads over the number of workers."""
    from matplotlib.figure import Figure

    from nngp_tf.analysis import figures_style

    figure = Figure((figures_style.WIDTH, 7.5), layout="constrained")
    hours, efficiency, load = figure.subplots(3, sharex=True)
    for index, case in enumerate(CASES):
        rows = [row for row in outcomes if row["case"] == case]
        style = {
            "color": figures_style.COLOURS[index],
            "linestyle": figures_style.LINES[index],
            "marker": figures_style.MARKERS[index],
            "label": case,
        }
        hours.loglog(WORKERS, [row["hours"] for row in rows], **style)
        efficiency.semilogx(WORKERS, [row["efficiency"] for row in rows], **style)
    names = list(borne[0])[2:]
    for index, name in enumerate(names):
        rows = [row for row in borne if row["case"] == "shares of 10"]
        load.loglog(
            WORKERS,
            [row[name] for row in rows],
            color=figures_style.COLOURS[index],
            linestyle=figures_style.LINES[index],
            marker=figures_style.MARKERS[index],
            label=name,
        )
    hours.set(ylabel="hours (simulated)")
    efficiency.set(ylabel="efficiency (simulated)", ylim=(0, 1.05))
    load.set(ylabel="load, shares of 10", xlabel="workers of one core", ylim=(None, 1e10))
    hours.legend(fontsize=8)
    load.legend(fontsize=8, ncols=2, loc="upper left")
    for axes in (hours, efficiency, load):
        axes.grid(color=figures_style.PALE)
    figure.savefig(path, dpi=figures_style.DPI, metadata={"Software": None})


if __name__ == "__main__":
    app.run(main)
