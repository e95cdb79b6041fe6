"""What a worker of a cluster does: one job, from plain data to plain data.

Nothing here imports Dask. A worker has one thread for jobs, and trains each on one thread.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

import torch

from minifw.compile.compilers import find_compiler
from minifw.compile.processor import vector_bytes
from minifw.config.code import told
from minifw.errors import ArtefactError, MinifwError, ModuleError, StorageError
from minifw.runs import Files
from minifw.study import jobs
from minifw.study.executors import Saving
from minifw.study.jobs import Job, Result
from minifw.study.store import Store
from minifw.system import files
from minifw.system.environment import installed_version
from minifw.system.signals import Stop

FIRST_SAVE = 5.0
"""Seconds before a worker saves an unfinished job for the first time."""


class Task(TypedDict):
    """A job as it is sent.

    Attributes:
        job: a `Job` as JSON.
        begun: the `Result` from which it continues, None if it begins.
        folder: the run's directory, as the sender names it.
        token: the name of a file there that has its own name as content.
        expected: the sender's `surroundings`; None if they may differ.

    """

    job: bytes
    begun: bytes | None
    folder: str
    token: str
    expected: dict[str, str] | None


class Answer(TypedDict, total=False):
    """What comes back: `stored` as a receipt, the `result`, or an `error`'s class and its lines."""

    stored: bool
    result: bytes
    error: str
    lines: list[str]


def surroundings() -> dict[str, str]:
    """Return what decides the bits of a result, other than the job."""
    return {
        **{name: installed_version(name) for name in ("minifw", "torch", "numpy")},
        "python": ".".join(platform.python_version_tuple()[:2]),
        "bytes of a processor's vector": str(vector_bytes()),
        "C compiler": "none" if find_compiler() is None else "there",
    }


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Return in words how a worker's surroundings differ from the command's."""
    return [
        f"{key} {found.get(key, 'unknown')}, here {value}"
        for key, value in expected.items()
        if found.get(key) != value
    ]


def work(task: Task) -> Answer:
    """Do a job; what minifw or the user's code raises is an answer, anything else is raised."""
    torch.set_num_threads(1)
    try:
        expected = task["expected"]
        if expected is not None and (other := differences(expected, surroundings())):
            what = f"a worker on {platform.node()} differs: {'; '.join(other)}"
            return _fault("UsageError", f"{what}; --allow-mixed permits it")
        return _done(task)
    except MinifwError as fault:
        if isinstance(fault, ModuleError) and (line := told(fault)):
            return _fault("UsageError", line)
        return _fault(type(fault).__name__, *fault.lines)
    except MemoryError:
        return _fault("UsageError", "not enough memory in a worker; fewer --workers need less")
    except Exception as fault:
        if line := told(fault):
            return _fault("UsageError", line)
        raise


def _fault(kind: str, *lines: str) -> Answer:
    return {"error": kind, "lines": [*lines]}


def _done(task: Task) -> Answer:
    job = Job.model_validate_json(task["job"])
    store = _store(task)
    if store is not None and store.of(job) is not None:
        return {"stored": True}  # its worker was lost after it had written the file
    results = {}
    if (begun := task["begun"]) is not None:
        results["begun"] = Result.from_bytes(begun, job.id)
    watch = jobs.NOBODY if store is None else _Saving(job, store)
    result = jobs.run(job, results, watch)
    if store is not None:
        with suppress(StorageError, ArtefactError):
            store.put(job.id, result)
            return {"stored": True}
    return {"result": result.to_bytes()}


def _store(task: Task) -> Store | None:
    """Return the run's store if this worker sees the sender's folder."""
    folder = Path(task["folder"])
    with suppress(ArtefactError, StorageError):
        if files.read(folder, task["token"]) == task["token"].encode():
            return Store(Files(folder))
    return None


class _Saving(Saving):
    """Saves an unfinished job now and then, so that a lost worker costs little of a long one."""

    def __init__(self, job: Job, store: Store) -> None:
        super().__init__(job, store, Stop(), lambda job, done, history: None)
        self.not_before = time.monotonic() + FIRST_SAVE


def dask_setup(worker: Any) -> None:
    """Be called by Dask in each local worker as it starts.

    Standard output belongs to the command's results, so what a user's code prints goes to standard
    error; Dask's log goes nowhere.
    """
    sys.stdout.flush()
    os.dup2(2, 1)
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    torch.set_num_threads(1)
