"""Sweeps: cells that differ in some keys, each trained with the same seeds, and the best of them.

The best is chosen by its error on the validation samples. Its test error is reported beside: no
choice depends on it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from minifw import runs
from minifw.config import axes, loading
from minifw.config.model import Config
from minifw.report import plots, sweeps
from minifw.report.tables import write_table
from minifw.runs import records
from minifw.runs.studies import (
    STUDY,
    Best,
    CellFigures,
    CellResults,
    Chosen,
    Study,
    StudyResults,
    SweepOutcome,
)
from minifw.statistics import selection
from minifw.statistics.measure import Measure
from minifw.statistics.summary import summarize
from minifw.study import guided, halving, planning
from minifw.study.cells import SEEDS, Cells
from minifw.study.guided import Guided
from minifw.study.planning import Plan
from minifw.study.rounds import Kind, Rounds

BEST = "best.yaml"
"""The file with the config of the best cell."""


def plan(
    cells: Cells, threads: int, part: tuple[int, int] | None = None, **options: Any
) -> tuple[Plan, Config]:
    """Return the plan of a sweep, and the config that does the same sweep again.

    Raises:
        ConfigError, DataError: a cell does not fit its data, or the machine.

    """
    seeds = cells.base.count(SEEDS)
    first = cells.base.seed
    study = Study(
        kind="sweep",
        cells=cells.cells,
        seeds=list(range(first, first + seeds)),
        threads=threads,
        part=part,
        options={"axes": [list(axis.keys) for axis in cells.varied.axes], **options},
    )
    again = {"seeds": seeds, "sweep": axes.section(cells.varied)}
    planned = planning.plan(study, cells.configs, cells.sources, cells.code)
    return planned, cells.base.model_copy(update=again)


class Asked(BaseModel):
    """The options of a sweep in study.json: keys that vary together, and how cells are chosen."""

    model_config = ConfigDict(strict=True, extra="forbid")

    axes: list[list[str]]
    halving: Annotated[int, Field(ge=2)] | None = None
    guided: Guided | None = None


class Sweep(Kind):
    """Trains all cells to the end, or those that halving leaves, or those that are proposed."""

    def rounds(self, plan: Plan, pieces: int) -> Rounds:
        asked = records.checked(Asked, plan.study.options, f"{STUDY}: options")
        if asked.guided is not None:
            return guided.rounds(plan, pieces, asked.guided)
        if asked.halving is not None:
            return halving.rounds(plan, pieces, asked.halving)
        return super().rounds(plan, pieces)

    def outcome(self, plan: Plan, results: StudyResults) -> dict[str, object]:
        """Return the axes, figures of each cell, and the best cell with what it is worth."""
        ranks = _ranks(plan, results)
        figures = [
            CellFigures(rank=rank, **_figures(cell))
            for rank, cell in zip(ranks, results.cells, strict=True)
        ]
        best = None
        if 1 in ranks:
            place = ranks.index(1)
            cell, mine = results.cells[place], dict(figures[place])
            ranked = [c for c, rank in zip(results.cells, ranks, strict=True) if rank]
            optimism = _optimism(ranked, results.measured)
            best = Best(
                cell=place,
                name=cell.name,
                set=cell.set,
                of=len(results.cells),
                optimism=optimism,
                **mine,
            )
        halved = _saved(plan, results) if "halving" in plan.study.options else {}
        found = SweepOutcome(axes=plan.study.options["axes"], cells=figures, best=best, **halved)
        return found.model_dump(mode="json")

    def write(self, run: runs.Run, plan: Plan, results: StudyResults) -> None:
        report = sweeps.Report.of(results)
        write_table(run, "cells", sweeps.table(report))
        write_table(run, "summaries", sweeps.summaries(report))
        for name, draw in sweeps.drawings(report).items():
            plots.write_figure(run, f"{plots.FOLDER}/{name}", draw)
        if report.outcome.best is not None:
            run.write(BEST, _best(plan, report, report.outcome.best))


def _saved(plan: Plan, results: StudyResults) -> dict[str, Any]:
    """Return how many cells were stopped early, and the share of all epochs that this saved."""
    asked = [config.train.epochs for config in _configs(plan)]
    cells = [*zip(results.cells, asked, strict=True)]
    done = sum(len(cell.seeds) * cell.epochs for cell, _ in cells)
    whole = sum(len(cell.seeds) * epochs for cell, epochs in cells)
    stopped = sum(cell.epochs < epochs for cell, epochs in cells)
    return {"stopped": stopped, "saved": 1 - done / whole}


def _ranks(plan: Plan, results: StudyResults) -> list[int | None]:
    """Return the rank of each cell by its errors on the validation samples, 1 for the best.

    There are none unless all cells have validation samples, nor in a part of a sweep, nor for a
    cell that was stopped early or that diverged with all its seeds.
    """
    cells = results.cells
    ranks: list[int | None] = [None] * len(cells)
    if plan.study.part is not None or any(cell.validation_error is None for cell in cells):
        return ranks
    configs = _configs(plan)
    ended = {
        place: cell.validation_error or []
        for place, cell in enumerate(cells)
        if cell.epochs == configs[place].train.epochs
        and any(error is not None for error in cell.validation_error or ())
    }
    for place, rank in zip(ended, selection.rank([*ended.values()]), strict=True):
        ranks[place] = rank
    return ranks


def _configs(plan: Plan) -> list[Config]:
    """Return the configs of the cells that have results, which are not all in a part."""
    return [plan.configs[cell] for cell in dict.fromkeys(lane.cell for lane in plan.lanes)]


def _figures(cell: CellResults) -> dict[str, Any]:
    """Return what tables and figures show of a cell beside its rank."""
    figures = summarize(cell.test_error, cell.overlap).content()
    figures["interval"] = figures.pop("median_interval")
    known = summarize(cell.validation_error or ())
    return {"validation": known.median, **figures}


def _optimism(cells: Sequence[CellResults], measure: Measure) -> Chosen | None:
    """Return what having been chosen does to the error of the best of these cells."""
    errors = [cell.validation_error or () for cell in cells]
    worst = measure.worst([e for own in errors for e in own if e is not None])
    found = selection.optimism(errors, worst=worst)
    return None if found is None else Chosen(**found.content())


def _best(plan: Plan, report: sweeps.Report, best: Best) -> str:
    """Return the config of the best cell as YAML, with a comment that says how it was chosen."""
    config = _configs(plan)[best.cell].model_copy(update={"seeds": best.n})
    allow = " --allow-code" if plan.code else ""
    lines = [*sweeps.verdict(report), f"To train it: minifw train THIS_FILE{allow}"]
    comment = "".join(
        f"{textwrap.fill(line, 98, initial_indent='# ', subsequent_indent='# ')}\n"
        for line in lines
    )
    return comment + loading.dump(config)
