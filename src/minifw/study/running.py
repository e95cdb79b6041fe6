"""A study from its cells to its results: planned, done in rounds of jobs, and completed.

The jobs of a round follow from what was asked and from the results of earlier rounds alone. So an
interrupted study is resumed by going through its rounds again: what is stored is not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from minifw import runs
from minifw.config import loading
from minifw.config.code import Code
from minifw.config.model import Config
from minifw.config.source import Source
from minifw.errors import ArtefactError, Interrupted, StorageError, UsageError, harmless
from minifw.experiment import ShowProgress
from minifw.report.tables import counted
from minifw.runs import Run, records
from minifw.runs.records import FORMAT, Manifest
from minifw.runs.studies import CELLS, STUDY, Study, StudyResults
from minifw.study import results as measured
from minifw.study.division import as_stored
from minifw.study.executors import Executor, InProcess
from minifw.study.jobs import Job
from minifw.study.planning import Plan, plan
from minifw.study.rounds import Found, Kind, Note
from minifw.study.store import Store
from minifw.system.environment import environment
from minifw.system.signals import Stop, on_signals
from minifw.training import History

MakeExecutor = Callable[[Store, Stop], Executor]
Pieces = Callable[[Plan], int]
"""Returns into how many jobs at least a shape is divided."""


@dataclass(frozen=True)
class Outcome:
    """A finished study: its directory and its results."""

    run: Run
    results: StudyResults


def start(
    plan: Plan,
    kind: Kind,
    base: Config,
    runs_dir: Path,
    show_progress: ShowProgress,
    note: Note,
    executor: MakeExecutor = InProcess,
    pieces: int | Pieces = 1,
) -> Outcome:
    """Do a study, and leave a complete run directory.

    `base` is the config from which the cells were made.

    Raises:
        Interrupted: a signal came; `resume` continues.
        StorageError: something could not be written.

    """
    study = plan.study
    for line in plan.notes:
        note(f"data: {line}")
    for key in ("record", "tensorboard"):
        if any(getattr(config.train, key) for config in plan.configs):
            note(f"train.{key}: is for a run of one config; a {study.kind} keeps none of that")
    surroundings = environment() | {"threads": torch.get_num_threads()}
    with on_signals(patient=True) as stop:
        stop.check()
        manifest = Manifest.model_validate(
            {
                "format": FORMAT,
                "status": "running",
                "kind": study.kind,
                "name": base.name,
                "seeds": study.seeds,
                "modes": [plan.configs[0].train.mode],
                "arms": ["minifw"],
                "threads": study.threads,
                "versions": surroundings["versions"],
                "data_checksum": plan.shapes[0].checksum,
                "started": _now(),
                "parts": {},
                "files": {},
            }
        )
        run = runs.create(runs_dir, manifest)
        with run.held():
            run.write("config.yaml", loading.dump(base))
            for name, content in plan.code.items():
                run.write(name, content)
            run.write_json("env.json", surroundings)
            run.write_json(STUDY, study.model_dump(mode="json"))
            run.commit(status="running")
            return _run(run, plan, kind, show_progress, note, executor, stop, pieces)


def resume(
    path: Path,
    kinds: Mapping[str, Kind],
    show_progress: ShowProgress,
    note: Note,
    executor: MakeExecutor = InProcess,
    pieces: int | Pieces = 1,
    *,
    allow_code: bool = False,
) -> Outcome:
    """Resume an interrupted study, and complete it.

    Raises:
        UsageError: it is finished, or another process works on it.
        ArtefactError: a file of the run, or its data file, has changed.

    """
    run = runs.load(path)
    with on_signals() as stop, run.held():
        run.reload()
        manifest = run.manifest
        if manifest.status in runs.OVER:
            raise UsageError(f"{path}: this run is {manifest.status}; nothing is left to do")
        run.clean()
        study = read(run)
        made = replan(run, study, allow_code)
        stop.patient = True
        stop.check()
        run.commit(status="running", error=None, resumed=[*manifest.resumed, _now()])
        return _run(run, made, kinds[study.kind], show_progress, note, executor, stop, pieces)


def read(run: Run) -> Study:
    """Return what a study was asked to do."""
    return records.checked(Study, run.read_json(STUDY), str(run.path / STUDY))


def replan(run: Run, study: Study, allow_code: bool) -> Plan:
    """Return the plan of a study that has begun."""
    code = Code(allow_code, lambda name: run.read(name) if name in run.known else None)
    where = run.path / STUDY
    configs = [loading.of_run(cell.config, where, code) for cell in study.cells]
    made = plan(
        study, configs, [Source(f"{where}: {cell.name}") for cell in study.cells], code.files
    )
    for cell, now in zip(study.cells, made.study.cells, strict=True):
        if cell.checksum != now.checksum:
            what = "its data file is not the one that the study began with"
            raise ArtefactError(f"{run.path}: {cell.name}: {what}")
    return made


def _run(
    run: Run,
    plan: Plan,
    kind: Kind,
    show_progress: ShowProgress,
    note: Note,
    executor: MakeExecutor,
    stop: Stop,
    pieces: int | Pieces,
) -> Outcome:
    """Do all rounds of jobs that are not done, and complete the directory; or record the error."""
    store = Store(run)
    try:
        stop.patient = False
        stop.check()
        found = Found(note)
        work = executor(store, stop)
        rounds = kind.rounds(plan, pieces if isinstance(pieces, int) else pieces(plan))
        with suppress(StopIteration):
            part = next(rounds)
            while True:
                if part.plan is not plan:
                    plan = part.plan
                    run.write_json(STUDY, plan.study.model_dump(mode="json"))
                found.expect(plan)
                _do(part.jobs, store, work, found, show_progress)
                part = rounds.send(found)
        store.clean()
        return complete(run, plan, kind, found)
    except Interrupted as fault:
        run.commit(status="interrupted")
        allow = " --allow-code" if plan.code else ""
        fault.add_note(f"to continue: minifw resume {harmless(run.path)}{allow}")
        raise
    except Exception as fault:
        with suppress(StorageError):  # the first error is the one to report
            run.commit(status="failed", error=str(fault) or type(fault).__name__)
        raise


def _do(
    todo: Sequence[Job],
    store: Store,
    executor: Executor,
    found: Found,
    show_progress: ShowProgress,
) -> None:
    """Do the jobs of a round that are not stored, and find the results of all."""
    todo = as_stored(todo, store.there())
    missing = []
    for job in todo:
        kept = store.of(job)
        if kept is None:
            missing.append(job)
        else:
            found.add(job.id, job.all_lanes, kept)
    networks = sum(len(job.lanes) for job in missing)
    ended = 0
    label = f"{counted(len(todo), 'job')}, {counted(networks, 'network')}"
    with show_progress(label, networks) as progress:

        def follow(job: Job, done: int, history: History) -> None:
            found.watch(job.all_lanes, history)
            share = done / job.epochs
            progress(ended + int(share * len(job.lanes)), f"epoch {done} of {job.epochs}")

        for job, result in executor.run(missing, found.results, follow):
            store.put(job.id, result)
            found.add(job.id, job.all_lanes, result)
            ended += len(job.lanes)
            left = sum(each.id not in found.results for each in todo)
            progress(ended, f"{counted(left, 'job')} left")


def complete(run: Run, plan: Plan, kind: Kind, found: Found) -> Outcome:
    """Write the results of a study whose lanes are all trained, and mark it as finished."""
    results = measured.results(plan, found)
    results = results.model_copy(update={"outcome": kind.outcome(plan, results)})
    run.write_json(CELLS, results.model_dump(mode="json"))
    run.write("metrics.csv", "".join(measured.metrics(run, plan, found)))
    kind.write(run, plan, results)
    status = "diverged" if results.all_diverged else "complete"
    run.commit(status=status, finished=_now())
    return Outcome(run, results)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
