"""Guided search: each batch of cells is proposed from the validation errors of those before it.

Optuna's tree-structured Parzen estimator proposes (Bergstra et al. 2011, "Algorithms for
hyper-parameter optimization"). It draws from a fixed seed, so the same results lead to the same
proposals, and an interrupted search is resumed as any study is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from minifw.config import axes, loading
from minifw.config.axes import Axes, Axis, Drawn, Point, Value
from minifw.config.code import Code
from minifw.config.loading import Parsed
from minifw.config.model import Config
from minifw.config.source import Place, Source
from minifw.config.tabled import Tabled
from minifw.errors import ArtefactError, ConfigError, UsageError
from minifw.runs.studies import Cell, Study
from minifw.study import planning
from minifw.study.cells import SEEDS, name
from minifw.study.lanes import Lane
from minifw.study.planning import Plan
from minifw.study.rounds import Found, Round, Rounds

Columns = tuple[list[Cell], list[Config], list[Source]]
"""Cells, their configs, and the places of their values."""

BATCH = 10
"""Cells that are proposed at once, and train as one stack."""


class Guided(BaseModel):
    """What a guided search was asked: `trials` cells in all, from the axes of the config `base`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    trials: Annotated[int, Field(ge=1, le=axes.MAX_CELLS)]
    base: str
    batch: Annotated[int, Field(ge=1)] = BATCH
    seed: Annotated[int, Field(ge=0)] = 0


class Search:
    """Proposes points of some axes.

    Raises:
        UsageError: Optuna is not installed.

    """

    def __init__(self, varied: Axes, seed: int) -> None:
        try:
            import optuna
        except ImportError:
            how = "pip install 'minifw[guided]'"
            raise UsageError(f"--guided: needs Optuna, which is not installed; {how}") from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._axes = varied.axes
        self._study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        self._space = {_key(axis): _distribution(optuna, axis) for axis in varied.axes}
        self._asked: list[Any] = []

    def ask(self, count: int) -> list[Point]:
        """Return so many points."""
        self._asked = [self._study.ask(self._space) for _ in range(count)]
        return [self._point(trial.params) for trial in self._asked]

    def tell(self, errors: Sequence[float]) -> None:
        """Take the error at each of the points that were asked for last."""
        for trial, error in zip(self._asked, errors, strict=True):
            self._study.tell(trial, error)

    def _point(self, chosen: dict[str, Any]) -> Point:
        parts: list[tuple[str, Value]] = []
        for axis in self._axes:
            value = chosen[_key(axis)]
            if not isinstance(axis, Drawn):
                parts += axis.points[value]
                continue
            if axis.kind == "choice":
                value = axis.what[value]
            elif axis.kind != "integers":
                value = float(f"{value:.6g}")
            parts.append((axis.key, Value(value, _place(axis.key, value))))
        return tuple(parts)


def _key(axis: Axis) -> str:
    return ":".join(axis.keys)


def _place(key: str, value: object) -> Place:
    return Place(f"--guided {key}={axes.in_one_line(value)}", given=True)


def _distribution(optuna: Any, axis: Axis) -> Any:
    """Return from what Optuna chooses; values that are not numbers are chosen by position."""
    of = optuna.distributions
    if not isinstance(axis, Drawn):
        return of.CategoricalDistribution([*range(len(axis.points))])
    if axis.kind == "choice":
        return of.CategoricalDistribution([*range(len(axis.what))])
    low, high = axis.what
    if axis.kind == "integers":
        return of.IntDistribution(int(low), int(high))
    return of.FloatDistribution(float(low), float(high), log=axis.kind == "log-uniform")


class Proposals:
    """The cells of a guided search so far: those of a batch are proposed, trained, and told."""

    def __init__(self, asked: Guided, code: Code, where: Path) -> None:
        self._asked, self._left = asked, asked.trials
        self._parsed = Parsed(asked.base, where, code)
        base, source = self._parsed.config()
        if base.sweep is None:
            raise ArtefactError(f"{where}: the config of a guided search has no section `sweep`")
        self._search = Search(axes.of_section(base.sweep, source), asked.seed)
        self._cells: dict[str, int] = {}  # positions, by the whole config
        self._batch: list[int] = []

    def next(self) -> Columns:
        """Return the cells of the next batch that are new; none if there are no more trials."""
        count = min(self._asked.batch, self._left)
        self._left -= count
        new: Columns = ([], [], [])
        self._batch = []
        for point in self._search.ask(count):
            config, source = self._parsed.config([], point)
            sets = {key: value.value for key, value in point}
            cell = planning.cell(name(point), sets, config)
            if cell.config not in self._cells:
                self._cells[cell.config] = len(self._cells)
                new[0].append(cell)
                new[1].append(config)
                new[2].append(source)
            self._batch.append(self._cells[cell.config])
        return new

    @property
    def over(self) -> bool:
        """Whether all trials have been proposed."""
        return self._left == 0

    def tell(self, plan: Plan, found: Found) -> None:
        """Take what came out of the latest batch."""
        lanes: dict[int, list[Lane]] = {}
        for lane in plan.lanes:
            lanes.setdefault(lane.cell, []).append(lane)
        worst = plan.shapes[0].measure.worst([math.inf])
        self._search.tell([_error(found, lanes[cell], worst) for cell in self._batch])


def _error(found: Found, lanes: Sequence[Lane], worst: float) -> float:
    """Return the median validation error of a cell; a network that diverged counts as `worst`."""
    places = [found.of(lane) for lane in lanes]
    errors = [result.history.final("validation_error")[position] for result, position in places]
    return float(np.median(np.nan_to_num(np.array(errors), nan=worst)))


def begin(
    parsed: Parsed, overrides: Sequence[str], varied: Axes | None, trials: int, threads: int
) -> tuple[Plan, Config]:
    """Return the plan of a guided search with its first batch, and the config that does it again.

    Args:
        parsed: the text of the config.
        overrides: `section.key=value` each.
        varied: what varies; by default what the config's section `sweep` says.
        trials: the number of cells.
        threads: those of this process.

    Raises:
        ConfigError, DataError: a cell does not fit its data, or the machine.
        UsageError: Optuna is missing, nothing varies, or no samples are for validation.

    """
    base, source = parsed.config(overrides)
    if varied is None:
        if base.sweep is None:
            raise UsageError(f"{source.name}: nothing varies: give --over KEY=VALUES")
        varied = axes.of_section(base.sweep, source)
    if isinstance(base.data, Tabled) and base.data.validation is None:
        what = "needs samples for validation, by which it is guided"
        raise UsageError(f"--guided: {what}; --set data.validation=0.2 keeps some")
    section = axes.section(replace(varied, samples=trials))
    base = base.model_copy(update={"sweep": section, "seeds": base.count(SEEDS)})
    _check_ends(parsed, overrides, varied)
    asked = Guided(trials=trials, base=loading.dump(base))
    cells, configs, sources = Proposals(asked, parsed.code, parsed.path).next()
    study = Study(
        kind="sweep",
        cells=cells,
        seeds=list(range(base.seed, base.seed + base.count(SEEDS))),
        threads=threads,
        options={
            "axes": [list(axis.keys) for axis in varied.axes],
            "guided": asked.model_dump(),
        },
    )
    return planning.plan(study, configs, sources, parsed.code.files), base


def _check_ends(parsed: Parsed, overrides: Sequence[str], varied: Axes) -> None:
    """Raise a ConfigError if the ends of an axis make no config, which is better known now."""
    ends = [_ends(axis) for axis in varied.axes]
    faults: dict[str, None] = {}
    for position, points in enumerate(ends):
        for point in points:
            others = [each[0] for k, each in enumerate(ends) if k != position]
            try:
                parsed.config(overrides, [*point, *itertools.chain(*others)])
            except ConfigError as error:
                faults |= dict.fromkeys(error.faults)
    if faults:
        raise ConfigError(faults)


def _ends(axis: Axis) -> list[Point]:
    """Return the points of an axis that are not drawn between others."""
    if not isinstance(axis, Drawn):
        return list(axis.points)
    return [((axis.key, Value(value, _place(axis.key, value))),) for value in axis.what]


def rounds(plan: Plan, pieces: int, asked: Guided) -> Rounds:
    """Yield a round for each batch."""
    code = Code(bool(plan.code), plan.code.get)
    proposals = Proposals(asked, code, Path("config.yaml").absolute())
    number, begun = 0, [cell.config for cell in plan.study.cells]
    known: Columns = ([], [], [])
    while not proposals.over:
        number += 1
        new = proposals.next()
        before = len(known[0])
        known = (known[0] + new[0], known[1] + new[1], known[2] + new[2])
        again = [cell.config for cell in known[0]]
        if again[: len(begun)] != begun[: len(again)]:
            raise ArtefactError(
                "guided: other cells are proposed than when this search was begun; it can be "
                "resumed with the version of Optuna that began it"
            )
        study = plan.study.model_copy(update={"cells": known[0]})
        plan = planning.plan(study, known[1], known[2], plan.code)
        lanes = [lane for lane in plan.lanes if lane.cell >= before]
        found = yield Round(plan, plan.jobs(lanes, pieces=pieces, label=f"batch-{number}."))
        proposals.tell(plan, found)
