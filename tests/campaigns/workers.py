"""A sweep on a cluster whose workers are killed at random, against one in a single process.

    python -m campaigns.workers [--jobs 1000] [--workers 2] [--seconds 10] [--seed 0]

Ten learning rates with the same seeds, one network a job. In between a random worker is ended by
SIGKILL, on average every `--seconds`, whatever it is doing: beginning, training or writing. All
jobs must have one result each, and all that was computed (tables, cells.json, metrics.csv,
best.yaml) the bytes of an undisturbed run that trains all networks as one stack; names of runs and
times are left out. Ends with 1 if not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import torch

from minifw.config import loading
from minifw.config.model import Config
from minifw.config.packaged import find_config
from minifw.library.progress import display
from minifw.study import connecting, running, sweeps
from minifw.study.cells import make, varied
from minifw.study.cluster import Cluster
from minifw.study.executors import InProcess
from minifw.study.planning import Plan
from minifw.study.running import MakeExecutor
from minifw.study.store import Store

ETAS = (0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 1.0)
SMALL = (
    "data.train=40", "data.test=30", "data.validation=10", "train.batch_size=5", "train.epochs=10",
    "train.eval_every=5",
)  # fmt: skip


class Killing:
    """Kills local workers at random until it is left, at most `most` times."""

    def __init__(self, cluster: Cluster, most: int, seconds: float, seed: int = 0) -> None:
        self.cluster = cluster.client.cluster
        self.most, self.seconds = most, seconds
        self.rng, self.kills, self.over = random.Random(seed), 0, threading.Event()
        self.thread = threading.Thread(target=self._kill)

    def __enter__(self) -> Killing:
        self.thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self.over.set()
        self.thread.join()

    def _kill(self) -> None:
        while self.kills < self.most and not self.over.wait(self.rng.expovariate(1 / self.seconds)):
            there = {worker.name for worker in [*self.cluster.scheduler.workers.values()]}
            some = [*self.cluster.workers.items()]
            if self.kills % 5:  # every fifth may be one that is just beginning
                some = [(name, nanny) for name, nanny in some if name in there]
            pids = [nanny.pid for _, nanny in some if there and nanny.pid is not None]
            if pids:
                with suppress(ProcessLookupError):
                    os.kill(self.rng.choice(pids), signal.SIGKILL)
                    self.kills += 1


def a_sweep(jobs: int) -> tuple[Plan, Config]:
    """Return the plan of a sweep of this many networks, and the config it begins with."""
    over = varied([f"train.eta={','.join(map(str, ETAS))}"], None)
    parsed = loading.read(find_config("simplenet-sgd"))
    return sweeps.plan(make(parsed, [*SMALL, f"seeds={jobs // len(ETAS)}"], over), 1)


def do(
    plan: Plan, base: Config, folder: Path, executor: MakeExecutor, pieces: int
) -> tuple[dict[str, bytes], int]:
    """Do a sweep; return what was computed, by file, and the number of its jobs."""
    shown, note = display(quiet=executor is InProcess), lambda text: None
    run = running.start(plan, sweeps.Sweep(), base, folder, shown, note, executor, pieces).run
    names = [name for name in run.known if name.startswith("tables/")]
    files = {name: run.read(name) for name in [*names, "best.yaml", "metrics.csv"]}
    files["metrics.csv"] = files["metrics.csv"].replace(run.path.name.encode(), b"")
    cells = json.loads(run.read("cells.json")) | {"seconds": 0}
    files["cells.json"] = json.dumps(cells).encode()
    if strangers := run.strangers():
        raise AssertionError(f"{run.path}: nothing says what these are: {strangers}")
    return files, len(Store(run).names())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    plan, base = a_sweep(given.jobs)
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.perf_counter()
        wanted, _ = do(plan, base, folder, InProcess, 1)
        alone = time.perf_counter() - began
        with connecting.local(given.workers) as cluster:
            began = time.perf_counter()
            with Killing(cluster, sys.maxsize, given.seconds, given.seed) as killing:
                found, results = do(plan, base, folder, cluster.executor, given.jobs)
            took = time.perf_counter() - began
    other = [file for file in wanted if found.get(file) != wanted[file]]
    print(
        f"{given.jobs} jobs on {given.workers} workers, of which {killing.kills} were killed: "
        f"{results} results in {took:.0f} s (one stack in one process: {alone:.1f} s); "
        f"{len(wanted)} files, {len(other)} differ {' '.join(other)}"
    )
    return 1 if other or results != given.jobs or found.keys() != wanted.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
