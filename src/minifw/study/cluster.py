"""Jobs done by the workers of a Dask cluster: local processes, or a scheduler that is there.

Dask brings a job to a worker that is free, and to another one if that is killed. Everything else is
the store's: a result that is there is not made again. Dask is the extra `minifw[cluster]`.
"""

from __future__ import annotations

import math
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client, Future, KilledWorker

from minifw import errors
from minifw.errors import ArtefactError, MinifwError, StorageError, WorkerError
from minifw.runs.studies import STUDY
from minifw.study import worker
from minifw.study.executors import Follow
from minifw.study.jobs import Job, Result
from minifw.study.planning import Plan
from minifw.study.store import Store
from minifw.study.worker import Answer, Task
from minifw.system import files
from minifw.system.files import TEMPORARY
from minifw.system.signals import Stop

JOBS_PER_WORKER = 4
"""So many jobs are made for each worker: the last ones to end leave others idle for little time."""
AHEAD = 2
"""So many jobs for each worker are with the scheduler at a time: the next one is there at once."""
LOOK = 5.0
"""Seconds between looks at how many workers there are."""
POLL = 0.2
"""Seconds between looks for a signal."""


class Cluster:
    """A connection to a scheduler, with which studies do their jobs.

    Args:
        client: the connection.
        where: names the cluster in messages.
        expected: surroundings that workers must have, None if they may have any.
        keep: is called now and then; it may begin workers, or raise an error.

    """

    def __init__(
        self,
        client: Client,
        where: str,
        expected: dict[str, str] | None,
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        self.client, self.where, self.expected, self.keep = client, where, expected, keep
        self._hosts, self._seen = Counter[str](), -math.inf

    def hosts(self) -> Counter[str]:
        """Return how many workers each host has at present, or had some seconds ago.

        Raises:
            OSError: the scheduler does not answer.

        """
        if time.monotonic() - self._seen > LOOK:
            workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
            self._hosts = Counter(worker["host"] for worker in workers)
            self._seen = time.monotonic()
        return self._hosts

    def pieces(self, plan: Plan) -> int:
        """Return into how many jobs at least a shape of this plan is divided.

        All shapes together have some jobs for each worker. The workers of a host share what a
        single process might have used of its memory.
        """
        hosts = self.hosts()
        workers, together = max(1, hosts.total()), max(hosts.values(), default=1)
        pieces = -(-JOBS_PER_WORKER * workers // len(plan.shapes))
        lanes = Counter(lane.cell for lane in plan.lanes)
        for shape in plan.shapes:
            own = sum(lanes[cell] for cell in shape.cells)
            pieces = max(pieces, -(-own // max(1, shape.most // together)))
        return pieces

    def executor(self, store: Store, stop: Stop) -> OnWorkers:
        """Return what does the jobs of a study."""
        return OnWorkers(self, store, stop)


class OnWorkers:
    """Does jobs on the workers of a cluster; yields each as it is done.

    A worker that sees the run's directory writes the result there itself, else it comes over the
    wire. A job is *suspected* if too many of its workers are lost; the others are done first, then
    it is tried alone, since it may only have waited at a worker that another job has killed.
    """

    def __init__(self, cluster: Cluster, store: Store, stop: Stop) -> None:
        self.cluster, self.store, self.stop = cluster, store, stop
        self.folder = store.run.path.absolute()
        self.token = f"{TEMPORARY}shared-{secrets.token_hex(8)}"
        self.running: dict[Future, Job] = {}
        self.ended: SimpleQueue[Future] = SimpleQueue()

    def run(
        self, todo: Sequence[Job], results: Mapping[str, Result], follow: Follow
    ) -> Iterator[tuple[Job, Result]]:
        """Do the jobs.

        Raises:
            MinifwError: what a job has raised; those that had begun are done.
            WorkerError: a job was lost again and again; all others are done. Or the cluster was.

        """
        if not todo:
            return
        self.stop.patient = True  # `_next` looks for signals
        files.publish(self.store.run.path / self.token, self.token.encode())
        try:
            suspected = yield from self._all(todo, results, alone=False)
            lost = yield from self._all(suspected, results, alone=True)
        finally:
            for future in self.running:
                future.cancel()
            self.running.clear()
            with suppress(ArtefactError, StorageError):
                files.remove(self.store.run.path, self.token)
        if lost:
            raise WorkerError(*map(self._lost, lost))

    def _all(
        self, todo: Sequence[Job], results: Mapping[str, Result], alone: bool
    ) -> Generator[tuple[Job, Result], None, list[Job]]:
        """Do these jobs, all or one at a time, and return those lost with their workers."""
        waiting, lost = deque(todo), list[Job]()
        fault: MinifwError | None = None
        while self.running or (waiting and fault is None):
            room = 1 if alone else self._room()
            while waiting and fault is None and len(self.running) < room:
                self._send(waiting.popleft(), results)
            future = self._next()
            job = self.running.pop(future)
            try:
                result = self._result(job, future)
            except KilledWorker:
                lost.append(job)
            except MinifwError as raised:
                fault = fault or raised
            else:
                yield job, result
        if fault is not None:
            raise fault
        return lost

    def _room(self) -> int:
        """Return how many jobs are with the scheduler at a time."""
        try:
            return max(1, AHEAD * self.cluster.hosts().total())
        except OSError:
            raise self._disconnected() from None

    def _disconnected(self) -> WorkerError:
        where = errors.harmless(self.store.run.path)
        return WorkerError(
            f"{self.cluster.where}: the connection to the cluster was lost; what is done is kept: "
            f"minifw resume {where} does the rest"
        )

    def _send(self, job: Job, results: Mapping[str, Result]) -> None:
        begun = None
        if job.start:  # what it continues from goes with it: only the lanes that it needs
            parts = [results[name].of(positions) for name, positions in job.start]
            begun = Result.joined(parts).to_bytes()
            start = (("begun", tuple(range(len(job.lanes)))),)
            sent = job.model_copy(update={"start": start})
        else:
            sent = job
        task: Task = {
            "job": sent.model_dump_json().encode(),
            "begun": begun,
            "folder": str(self.folder),
            "token": self.token,
            "expected": self.cluster.expected,
        }
        key = f"minifw-{secrets.token_hex(8)}"
        future = self.cluster.client.submit(worker.work, task, key=key, pure=False)
        self.running[future] = job
        future.add_done_callback(self.ended.put)

    def _next(self) -> Future:
        """Return a job that has ended, in whatever way; end by a signal."""
        while True:
            self.stop.check()
            self.cluster.keep()
            with suppress(Empty):
                future = self.ended.get(timeout=POLL)
                if future in self.running:
                    return future

    def _result(self, job: Job, future: Future) -> Result:
        """Return the result of a job that has ended, or raise what it has raised."""
        self.stop.patient = False  # a worker lost just now may have it made again
        try:
            self.stop.check()
            if future.cancelled():
                raise self._disconnected()
            answer: Answer = future.result()
        finally:
            self.stop.patient = True
        if "error" in answer:
            raise _error(answer["error"], answer["lines"])
        if "result" in answer:
            return Result.from_bytes(answer["result"], job.id)
        result = self.store.of(job)
        if result is None:
            raise ArtefactError(
                f"{self.folder}: a worker has written the job {job.id}, but it is not whole here"
            )
        return result

    def _lost(self, job: Job) -> str:
        """Return the line about a job that cannot be done."""
        names: list[Any] = self.store.run.read_json(STUDY)["cells"]
        cells = [names[cell]["name"] if cell < len(names) else str(cell) for cell in job.cells]
        shown = "; ".join(cells[:5]) + f" and {len(cells) - 5} more" * (len(cells) > 5)
        return (
            f"{job.id} ({len(job.lanes)} networks of {shown}): its workers ended again and again, "
            "also with this job alone, as when memory is short; all other jobs are done and kept; "
            f"to try this one again: minifw resume {errors.harmless(self.store.run.path)}"
        )


def _error(kind: str, lines: list[str]) -> MinifwError:
    """Return the error that a worker has raised."""
    known = getattr(errors, kind, None)
    if known is errors.ConfigError:
        return errors.ConfigError(lines)
    if isinstance(known, type) and issubclass(known, MinifwError):
        return known(*lines)
    return MinifwError(*lines)
