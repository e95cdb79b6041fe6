"""Kinds of studies: the rounds of their jobs, and what has been found so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

import numpy as np

from minifw.runs import Run
from minifw.runs.studies import StudyResults
from minifw.study.jobs import Job, Place, Result
from minifw.study.lanes import Lane
from minifw.study.planning import Plan
from minifw.training import History

Note = Callable[[str], None]
"""Says something at once, in one line."""


class Found:
    """The results of all jobs so far, and where each lane's latest is."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self.results: dict[str, Result] = {}
        self.latest: dict[Lane, Place] = {}
        self._names: list[str] = []
        self._seeds: Counter[int] = Counter()
        self._gone: dict[int, dict[Lane, int]] = {}
        self._said: set[int] = set()

    def expect(self, plan: Plan) -> None:
        """Be told of which cells there will be results, and with how many seeds."""
        self._names = [cell.name for cell in plan.study.cells]
        self._seeds = Counter(lane.cell for lane in plan.lanes)

    def add(self, name: str, lanes: Sequence[Lane], result: Result) -> None:
        """Take the result of the job of this name."""
        self.results[name] = result
        for position, lane in enumerate(lanes):
            self.latest[lane] = (name, position)
        self.watch(lanes, result.history)

    def watch(self, lanes: Sequence[Lane], history: History) -> None:
        """Say once which cells have diverged with all their seeds."""
        for position in np.flatnonzero(history.diverged >= 0):
            lane = lanes[int(position)]
            gone = self._gone.setdefault(lane.cell, {})
            gone[lane] = int(history.diverged[position])
            if len(gone) == self._seeds[lane.cell] and lane.cell not in self._said:
                self._said.add(lane.cell)
                what = f"{self._names[lane.cell]}: diverged with all {len(gone)} seeds"
                self._note(f"{what}, the first in epoch {min(gone.values())}")

    def of(self, lane: Lane) -> tuple[Result, int]:
        """Return the latest result of a lane, and its position there."""
        name, position = self.latest[lane]
        return self.results[name], position


class Round(NamedTuple):
    """The jobs of a round, and the plan they belong to, which may have more cells than before."""

    plan: Plan
    jobs: list[Job]


Rounds = Generator[Round, "Found", None]
"""Yields each round, and is sent all that was found so far."""


class Kind:
    """What differs between kinds of studies: their rounds, and what is made of the results."""

    def rounds(self, plan: Plan, pieces: int) -> Rounds:
        """Yield the rounds; `pieces` as for `Plan.jobs`."""
        yield Round(plan, plan.jobs(plan.lanes, pieces=pieces))

    def outcome(self, plan: Plan, results: StudyResults) -> dict[str, object]:
        """Return what is computed from the cells, as JSON."""
        return {}

    def write(self, run: Run, plan: Plan, results: StudyResults) -> None:
        """Write tables, figures and other files of the finished study."""
