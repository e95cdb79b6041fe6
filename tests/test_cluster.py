"""Jobs on a cluster: the results are those of one process, whatever happens to workers."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from minifw.config import loading
from minifw.config.packaged import find_config
from minifw.config.source import Source
from minifw.library.progress import display
from minifw.runs.studies import Study
from minifw.study import connecting, planning, running
from minifw.study.cluster import Cluster, OnWorkers
from minifw.study.executors import InProcess
from minifw.study.planning import Plan
from minifw.study.rounds import Kind
from minifw.study.running import MakeExecutor, Outcome
from minifw.study.store import Store
from minifw.system.signals import Stop

pytestmark = pytest.mark.xdist_group("cluster")

SMALL = (
    "data.train=40", "data.test=30", "train.batch_size=15", "train.epochs=4", "train.eval_every=2",
)  # fmt: skip
QUIET = display(quiet=True)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two local workers, for all tests: they take seconds to begin."""
    with connecting.local(2) as made:
        yield made


def a_plan(*sets: Sequence[str], seeds: int = 3, of: str = "simplenet") -> Plan:
    cells = [loading.load(find_config(of), [*SMALL, f"seeds={seeds}", *each]) for each in sets]
    study = Study.model_validate(
        {
            "kind": "sweep",
            "cells": [planning.cell(f"cell {k}", {}, cell) for k, cell in enumerate(cells)],
            "seeds": [*range(seeds)],
            "threads": 1,
        }
    )
    return planning.plan(study, cells, [Source(str(k)) for k in range(len(cells))])


def do(plan: Plan, folder: Path, executor: MakeExecutor = InProcess, pieces: Any = 1) -> Outcome:
    note = lambda text: None  # noqa: E731
    return running.start(
        plan, Kind(), plan.configs[0], folder, QUIET, note, executor=executor, pieces=pieces
    )


def same(one: Outcome, other: Outcome) -> None:
    """Check that all that was computed is the same, byte for byte."""
    assert one.results.cells == other.results.cells
    ours, theirs = (each.run.read_text("metrics.csv") for each in (one, other))
    assert ours.replace(one.run.path.name, "") == theirs.replace(other.run.path.name, "")


def test_workers_give_the_results_of_one_process(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = a_plan([], ["train.mode=sgd"])
    alone, together = do(plan, tmp_path), do(plan, tmp_path, cluster.executor, cluster.pieces)
    same(alone, together)
    assert len(Store(together.run).names()) == 6  # 2 shapes x 3 seeds; for 8 jobs
    assert together.run.strangers() == []
    assert capfd.readouterr() == ("", "")


def test_results_come_over_the_wire_where_no_folder_is_shared(
    cluster: Cluster, tmp_path: Path
) -> None:
    plan, elsewhere = a_plan([]), tmp_path / "elsewhere"

    def executor(store: Store, stop: Stop) -> OnWorkers:
        made = cluster.executor(store, stop)
        made.folder = elsewhere  # which the workers do not have
        return made

    same(do(plan, tmp_path), do(plan, tmp_path, executor, 3))
    assert not elsewhere.exists()


class Killing:
    """Kills workers at random while a study is done."""

    def __init__(self, cluster: Cluster, most: int, seconds: float, seed: int = 0) -> None:
        self.cluster, self.most, self.seconds = cluster, most, seconds
        self.rng, self.kills, self.over = random.Random(seed), 0, threading.Event()
        self.thread = threading.Thread(target=self._kill)

    def __enter__(self) -> Killing:
        self.thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        self.over.set()
        self.thread.join()

    def _kill(self) -> None:
        while self.kills < self.most and not self.over.wait(self.rng.uniform(0, self.seconds)):
            nannies = [*self.cluster.client.cluster.workers.values()]
            pid = self.rng.choice(nannies).pid
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1


def test_workers_killed_at_random_lose_nothing(cluster: Cluster, tmp_path: Path) -> None:
    plan = a_plan(["train.epochs=300"], seeds=20)
    alone = do(plan, tmp_path)
    with Killing(cluster, most=3, seconds=0.5) as killing:
        together = do(plan, tmp_path, cluster.executor, 20)
    assert killing.kills == 3
    same(alone, together)
    assert len(Store(together.run).names()) == 20
