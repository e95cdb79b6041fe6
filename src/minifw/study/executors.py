"""Where jobs are done: in this process, one after another."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from minifw.study import jobs
from minifw.study.jobs import Job, Result
from minifw.study.store import Store
from minifw.system.signals import Stop
from minifw.training import History

SHARE = 0.02
"""The fraction of the time that saving unfinished jobs may take."""


class Follow(Protocol):
    """Is told of epochs: a job, how many are done, and the history so far."""

    def __call__(self, job: Job, done: int, history: History) -> None: ...


class Executor(Protocol):
    """Does jobs, and yields each with its result as soon as it is there, in any order.

    `results` has those of the jobs from which these continue. A job that cannot be done raises.
    """

    def run(
        self, todo: Sequence[Job], results: Mapping[str, Result], follow: Follow
    ) -> Iterator[tuple[Job, Result]]: ...


class InProcess:
    """Does jobs in this process, on torch's threads; an interrupted one continues later."""

    def __init__(self, store: Store, stop: Stop) -> None:
        self.store, self.stop = store, stop

    def run(
        self, todo: Sequence[Job], results: Mapping[str, Result], follow: Follow
    ) -> Iterator[tuple[Job, Result]]:
        for job in todo:
            watch = Saving(job, self.store, self.stop, follow)
            yield job, jobs.run(job, results, watch)


class Saving(jobs.Watch):
    """Saves an unfinished job now and then, and when a signal comes."""

    def __init__(self, job: Job, store: Store, stop: Stop, follow: Follow) -> None:
        self.job, self.store, self.stop, self.follow = job, store, stop, follow
        self.not_before = -math.inf

    def load(self) -> Result | None:
        return self.store.get_partial(self.job)

    def epoch(self, done: int, history: History, make: Callable[[], Result]) -> None:
        self.follow(self.job, done, history)
        self.stop.patient = True  # from now on a signal waits for this check
        now = time.monotonic()
        if self.stop.asked is not None or now >= self.not_before:
            self.store.put_partial(self.job.id, make())
            ended = time.monotonic()
            self.not_before = ended + (ended - now) / SHARE
        self.stop.check()
