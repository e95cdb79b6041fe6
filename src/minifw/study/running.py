"""A study from its cells to its results: planned, done in rounds of jobs, and completed.

The jobs of a round follow from what was asked and from the results of earlier rounds alone. So an
interrupted study is resumed by going through its rounds again: what is stored is not done again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from minifw import runs
from minifw.config import loading
from minifw.config.code import Code
from minifw.config.model import Config
from minifw.config.source import Source
from minifw.errors import ArtefactError, Interrupted, StorageError, UsageError, harmless
from minifw.experiment import ShowProgress
from minifw.experiment import plan as planning
from minifw.experiment.results import about, layer_name, numbers
from minifw.runs import Run, records
from minifw.runs.records import FORMAT, Manifest
from minifw.runs.studies import CELLS, STUDY, Cell, CellResults, Study, StudyResults
from minifw.study.executors import Executor, InProcess
from minifw.study.jobs import Job, Result
from minifw.study.lanes import Lane, structure
from minifw.study.store import Store
from minifw.system.environment import environment
from minifw.system.signals import Stop, on_signals
from minifw.training import History

Note = Callable[[str], None]
"""Says something at once, in one line."""

MakeExecutor = Callable[[Store, Stop], Executor]


@dataclass(frozen=True)
class Shape:
    """Cells with the same structure, and how they are trained.

    `most` is the number of lanes that fit in memory at once, `features` and `table_checksum` are
    those of the data.
    """

    cells: tuple[int, ...]
    vectors: tuple[str, ...]
    compiled: bool
    or_plain: bool
    why_plain: str | None
    most: int
    features: tuple[str, ...]
    checksum: str | None


@dataclass(frozen=True)
class Plan:
    """A study with all its decisions; nothing is drawn yet."""

    study: Study
    configs: tuple[Config, ...]
    shapes: tuple[Shape, ...]
    code: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def lanes(self) -> list[Lane]:
        """All lanes, those of a cell together; of a part of a study only its own."""
        study = self.study
        if study.crossing is None:
            every = [Lane.of(c, s) for c in range(len(study.cells)) for s in study.seeds]
        else:
            counts = (study.crossing.data, study.crossing.init, study.crossing.order)
            first = study.seeds[0]
            places = itertools.product(*(range(first, first + count) for count in counts))
            every = [Lane(0, *place) for place in places]
        if study.part is None:
            return every
        k, n = study.part
        return every[(k - 1) * len(every) // n : k * len(every) // n]

    def jobs(
        self, lanes: Sequence[Lane], *, pieces: int = 1, label: str = "", **how: object
    ) -> list[Job]:
        """Return jobs for these lanes: for each shape, about equal ones.

        Args:
            lanes: those of a cell together.
            pieces: at least so many for each shape, if there are as many lanes.
            label: the beginning of their names.
            how: other values of a `Job`; by default it trains to the end.

        """
        made = []
        for number, shape in enumerate(self.shapes):
            own = [lane for lane in lanes if lane.cell in shape.cells]
            count = min(len(own), max(pieces, -(-len(own) // shape.most)))
            for piece in range(count):
                some = own[piece * len(own) // count : (piece + 1) * len(own) // count]
                cells = dict.fromkeys(lane.cell for lane in some)
                given = {"epochs": self.configs[some[0].cell].train.epochs, **how}
                made.append(
                    Job.model_validate(
                        {
                            "id": f"{label}shape-{number}.{piece + 1}-of-{count}",
                            "cells": {cell: self.study.cells[cell].config for cell in cells},
                            "lanes": tuple(tuple(lane) for lane in some),
                            "vectors": shape.vectors,
                            "compiled": shape.compiled,
                            "or_plain": shape.or_plain,
                            "code": dict(self.code),
                            "checksum": shape.checksum,
                            **given,
                        }
                    )
                )
        return made


Rounds = Generator[list[Job], Mapping[str, Result], None]
"""Yields the jobs of each round, and is sent the results of all jobs so far by their names."""


class Kind:
    """What differs between kinds of studies: their rounds, and what is made of the results."""

    def rounds(self, plan: Plan, pieces: int) -> Rounds:
        """Yield the jobs of each round; `pieces` as for `Plan.jobs`."""
        yield plan.jobs(plan.lanes, pieces=pieces)

    def outcome(self, plan: Plan, results: StudyResults) -> dict[str, object]:
        """Return what is computed from the cells, as JSON."""
        return {}

    def write(self, run: Run, plan: Plan, results: StudyResults) -> None:
        """Write tables, figures and other files of the finished study."""


@dataclass(frozen=True)
class Outcome:
    """A finished study: its directory and its results."""

    run: Run
    results: StudyResults


def plan(
    study: Study,
    configs: Sequence[Config],
    sources: Sequence[Source],
    code: Mapping[str, bytes] | None = None,
) -> Plan:
    """Check each structure as a run of its own would be, and decide how it is trained.

    Raises:
        ConfigError, DataError: a cell does not fit its data, or the machine.

    """
    groups: dict[str, list[int]] = {}
    for cell, config in enumerate(configs):
        groups.setdefault(structure(config), []).append(cell)
    shapes = []
    for cells in groups.values():
        config, mode = configs[cells[0]], configs[cells[0]].train.mode
        config = config.model_copy(update={"seeds": len(study.seeds)})
        made = planning.plan(config, 1, [mode], sources[cells[0]])
        compiling, sizes = made.compiling[mode], made.sizes_of[mode]
        shapes.append(
            Shape(
                tuple(cells),
                _differing(configs, cells),
                compiling.compiled,
                compiling.or_plain,
                compiling.why if compiling.is_fault else None,
                sizes.most_at_once,
                made.features,
                None if made.table is None else made.table.checksum,
            )
        )
    return Plan(study, tuple(configs), tuple(shapes), code or {})


def _differing(configs: Sequence[Config], cells: Sequence[int]) -> tuple[str, ...]:
    """Return the keys of the optimiser that may be one number a lane, and differ between cells."""
    keys = configs[cells[0]].optimizer.per_network
    values = {key: {getattr(configs[cell].optimizer, key) for cell in cells} for key in keys}
    return tuple(key for key, different in values.items() if len(different) > 1)


def start(
    plan: Plan,
    kind: Kind,
    base: Config,
    runs_dir: Path,
    show_progress: ShowProgress,
    note: Note,
    executor: MakeExecutor = InProcess,
    pieces: int = 1,
) -> Outcome:
    """Do a study, and leave a complete run directory.

    `base` is the config from which the cells were made.

    Raises:
        Interrupted: a signal came; `resume` continues.
        StorageError: something could not be written.

    """
    study = plan.study
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
    pieces: int = 1,
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
    return records.checked(Study, _tuples(run.read_json(STUDY)), str(run.path / STUDY))


def _tuples(content: object) -> object:
    """Return study.json with a tuple where the model has one; JSON has lists only."""
    if isinstance(content, dict) and isinstance(content.get("part"), list):
        return content | {"part": tuple(content["part"])}
    return content


def replan(run: Run, study: Study, allow_code: bool) -> Plan:
    """Return the plan of a study that has begun."""
    code = Code(allow_code, lambda name: run.read(name) if name in run.known else None)
    where = run.path / STUDY
    configs = [loading.of_run(cell.config, where, code) for cell in study.cells]
    made = plan(
        study, configs, [Source(f"{where}: {cell.name}") for cell in study.cells], code.files
    )
    if made.shapes[0].checksum != run.manifest.data_checksum:
        raise ArtefactError(f"{run.path}: the data file is not the one that the study began with")
    return made


def _run(
    run: Run,
    plan: Plan,
    kind: Kind,
    show_progress: ShowProgress,
    note: Note,
    executor: MakeExecutor,
    stop: Stop,
    pieces: int,
) -> Outcome:
    """Do all rounds of jobs that are not done, and complete the directory; or record the error."""
    store = Store(run)
    try:
        stop.patient = False
        stop.check()
        found = Found(plan, note)
        work = executor(store, stop)
        rounds = kind.rounds(plan, pieces)
        with suppress(StopIteration):
            todo = next(rounds)
            while True:
                _do(todo, store, work, found, show_progress, run)
                todo = rounds.send(found.results)
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
    run: Run,
) -> None:
    """Do the jobs of a round that are not stored, and find the results of all."""
    missing = []
    for job in todo:
        kept = store.get(job.id)
        if kept is None:
            missing.append(job)
        else:
            found.add(job, kept)
    networks = sum(len(job.lanes) for job in missing)
    ended = 0
    with show_progress(f"{len(todo)} jobs, {networks} networks", networks) as progress:

        def follow(job: Job, done: int, history: History) -> None:
            found.watch(job, history)
            share = done / job.epochs
            progress(ended + int(share * len(job.lanes)), f"epoch {done} of {job.epochs}")

        for job, result in executor.run(missing, found.results, follow):
            store.put(job, result)
            found.add(job, result)
            ended += len(job.lanes)
            left = len(todo) - sum(each.id in found.results for each in todo)
            progress(ended, f"{left} jobs left")


class Found:
    """The results of all jobs so far, and where each lane's latest is."""

    def __init__(self, plan: Plan, note: Note) -> None:
        self.plan, self.note = plan, note
        self.results: dict[str, Result] = {}
        self.latest: dict[Lane, tuple[str, int]] = {}
        self._gone: dict[int, dict[Lane, int]] = {}
        self._said: set[int] = set()
        self._count: dict[int, int] = {}
        for lane in plan.lanes:
            self._count[lane.cell] = self._count.get(lane.cell, 0) + 1

    def add(self, job: Job, result: Result) -> None:
        """Take the result of a job."""
        self.results[job.id] = result
        for position, lane in enumerate(job.lanes):
            self.latest[Lane(*lane)] = (job.id, position)
        self.watch(job, result.history)

    def watch(self, job: Job, history: History) -> None:
        """Say once which cells have diverged with all their seeds."""
        for position in np.flatnonzero(history.diverged >= 0):
            lane = Lane(*job.lanes[position])
            gone = self._gone.setdefault(lane.cell, {})
            gone[lane] = int(history.diverged[position])
            if len(gone) == self._count[lane.cell] and lane.cell not in self._said:
                self._said.add(lane.cell)
                name = self.plan.study.cells[lane.cell].name
                what = f"{name}: diverged with all {len(gone)} seeds"
                self.note(f"{what}, the first in epoch {min(gone.values())}")

    def of(self, lane: Lane) -> tuple[Result, int]:
        """Return the latest result of a lane, and its position there."""
        name, position = self.latest[lane]
        return self.results[name], position


def complete(run: Run, plan: Plan, kind: Kind, found: Found) -> Outcome:
    """Write the results of a study whose lanes are all trained, and mark it as finished."""
    results = _results(plan, found)
    outcome = kind.outcome(plan, results)
    results = results.model_copy(update={"outcome": outcome})
    run.write_json(CELLS, results.model_dump(mode="json"))
    run.write("metrics.csv", "".join(_metrics(run, plan, found)))
    kind.write(run, plan, results)
    gone = all(error is None for cell in results.cells for error in cell.test_error)
    run.commit(status="diverged" if gone else "complete", finished=_now())
    return Outcome(run, results)


def _by_cell(plan: Plan) -> Iterator[tuple[int, list[Lane]]]:
    for cell, lanes in itertools.groupby(plan.lanes, lambda lane: lane.cell):
        yield cell, list(lanes)


def _results(plan: Plan, found: Found) -> StudyResults:
    cells = []
    for cell, lanes in _by_cell(plan):
        config, own = plan.configs[cell], plan.study.cells[cell]
        places = [found.of(lane) for lane in lanes]

        def last(series: str, places: list[tuple[Result, int]] = places) -> list[float | None]:
            return numbers([getattr(r.history, series)[-1][position] for r, position in places])

        first = places[0][0].history
        validation = last("validation_error") if getattr(first, "validation_error", None) else None
        gone = [int(r.history.diverged[position]) for r, position in places]
        layers = [int(r.history.diverged_layer[position]) for r, position in places]
        cells.append(
            CellResults(
                name=own.name,
                set=own.set,
                seeds=[lane.data for lane in lanes],
                epochs=first.epoch,
                test_error=last("test_error"),
                validation_error=validation,
                train_error=last("train_error"),
                train_loss=last("train_loss"),
                diverged_epoch=[None if epoch < 0 else epoch for epoch in gone],
                diverged_layer=[layer_name(config, layer) for layer in layers],
                compiled=first.compiled,
                not_compiled=first.not_compiled,
            )
        )
    base, shape = plan.configs[0], plan.shapes[0]
    return StudyResults(
        kind=plan.study.kind,
        name=base.name,
        about=about(base, len(shape.features)),
        dtype=base.dtype,
        cells=cells,
        seconds=sum(result.history.seconds for result in found.results.values()),
    )


METRICS = ("train_loss", "train_error", "validation_error", "test_error")


def _metrics(run: Run, plan: Plan, found: Found) -> Iterator[str]:
    """Yield the lines of metrics.csv: run, cell, seed, epoch, metric, value."""
    yield "run,cell,seed,epoch,metric,value\n"
    for cell, lanes in _by_cell(plan):
        for lane in lanes:
            result, position = found.of(lane)
            history = result.history
            for metric in METRICS:
                values = getattr(history, metric, [])
                for epoch, of_networks in zip(history.epochs, values, strict=False):
                    value = of_networks[position]
                    shown = repr(float(value)) if np.isfinite(value) else ""
                    yield f"{run.path.name},{cell},{lane.data},{epoch},{metric},{shown}\n"


def cell(name: str, changes: Mapping[str, object], config: Config) -> Cell:
    """Return the record of a cell."""
    return Cell.model_validate({"name": name, "set": dict(changes), "config": loading.dump(config)})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
