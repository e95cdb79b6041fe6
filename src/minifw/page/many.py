"""The page of several runs: their results in one table and one chart, then each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from minifw.page import arms, spread
from minifw.page.arms import Side
from minifw.page.document import Document, Grid, Picture, Section
from minifw.page.run import document_of
from minifw.report import sweeps
from minifw.report.tables import Cell, Interval, Table
from minifw.report.words import listed, many, sentence
from minifw.runs import Run
from minifw.runs.studies import CELLS, results_of
from minifw.statistics.measure import Measure

MOST = 12
"""Arms that stand beside each other in the chart, at most."""


def document_of_runs(some: Sequence[Run], allow_code: bool = False) -> Document:
    """Return the page of several finished runs of any kind; errors are those of `document_of`."""
    labels = _labels(some)
    sides: list[tuple[Side, Measure]] = []
    sections: list[Section] = []
    lead: list[str] = []
    for number, (run, label) in enumerate(zip(some, labels, strict=True), 1):
        sides += _sides(run, label)
        document = document_of(run, allow_code, prefix=f"run{number}-")
        sections += [replace(each, title=f"{label}: {each.title}") for each in document.sections]
        lead.append(f"{label}: {document.lead[0]}")
    beside: list[Grid | Picture] = [Grid("runs", _table(sides))]
    measures = {measure for _, measure in sides}
    if len(measures) == 1 and len(sides) <= MOST:
        beside.append(Picture(spread.spread([side for side, _ in sides], measures.pop())))
    return Document(
        title=f"{many(len(some), 'run')}: {listed(labels)}"[:120],
        lead=tuple(lead),
        sections=(Section("runs", "Side by side", tuple(beside)), *sections),
    )


def _labels(some: Sequence[Run]) -> list[str]:
    """Return a name for each run: that of its config, with the end of its folder's if needed."""
    names = [run.manifest.name for run in some]
    return [
        name if names.count(name) == 1 else f"{name}-{run.path.name.rpartition('-')[2]}"
        for name, run in zip(names, some, strict=True)
    ]


def _sides(run: Run, label: str) -> list[tuple[Side, Measure]]:
    """Return the arms of a run; of a sweep its best cell, of a study of variance all networks."""
    if run.manifest.kind == "train":
        results = run.results()
        found = arms.of_results(results)
        alone = len(found) == 1
        named = [
            replace(
                side, name=label if alone else f"{label}: {side.full_name}", group="",
                color=0, twin=False,
            )
            for side in found
        ]  # fmt: skip
        return [(side, results.measured) for side in named]
    study = results_of(run)
    cells = arms.of_study(study, {})
    if study.kind == "sweep":
        best = sweeps.Report.of(study, str(run.path / CELLS)).outcome.best
        cells = [] if best is None else [replace(cells[best.cell], name=f"best, {best.name}")]
    if study.kind == "variance":
        every = range(len(cells[0].errors))  # its networks cross seeds
        cells = [replace(cells[0], name="all networks", seeds=every, crossed=True)]
    return [
        (replace(side, name=f"{label}: {side.name}", color=0), study.measured) for side in cells
    ]


def _table(sides: Sequence[tuple[Side, Measure]]) -> Table:
    """Return the results of all arms, a row for each; units in the cells where they differ."""
    measures = {measure for _, measure in sides}
    one = next(iter(measures)) if len(measures) == 1 else None
    rows: list[tuple[str, list[Cell]]] = []
    for side, measure in sides:
        summary = side.summary
        middle, ends = summary.median, summary.median_interval
        if side.overlap is not None:
            middle, ends = summary.mean, summary.mean_interval
        shown: list[Cell] = [middle, Interval.of(ends), summary.min, summary.max]
        if one is None:
            shown = [_written(cell, measure) for cell in shown]
        word = "median" if side.overlap is None else "mean"
        rows.append((side.name, [summary.n, summary.diverged, word, *shown]))
    what = "errors" if one is None else f"{one.errors} {one.what}"
    return Table(
        caption=sentence(
            f"test {what} at the end of training over the seeds, of each arm: the middle one with "
            "its 95 % interval; seeds that diverged are counted, and left out"
        ),
        head=["arm", "n", "diverged", "middle", "test error", "95 %", "min", "max"],
        rows=rows,
        label="runs",
        written=None if one is None else one.written,
    )


def _written(cell: Cell, measure: Measure) -> Cell:
    if isinstance(cell, Interval):
        return f"{measure.number(cell.low)} to {measure.figure(cell.high)}"
    return measure.figure(cell) if isinstance(cell, float) and np.isfinite(cell) else cell
