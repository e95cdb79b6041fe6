"""The charts of a sweep: the test error of its cells against the values of its keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minifw.charts import Axis, Band, Cells, Chart, Dots, Line, Mark, Panel, Span
from minifw.config.axes import in_one_line
from minifw.errors import short_word
from minifw.report.sides import Errors, Side, is_grid
from minifw.report.sweeps import Report, in_order, keys_of, short_names
from minifw.report.words import between, listed, many, sentence

MOST = 30
"""Categories of an axis, or rows of a table in the page, at most."""
DOTS = 300
"""Seeds that are drawn one by one, at most."""


def charts(report: Report) -> list[Chart]:
    """Return the maps of a sweep: a heat map of two keys, a line of one, else a panel for each."""
    keys = keys_of(report)
    names = dict(zip(keys, short_names(keys), strict=True))
    sides = [Side.of(axis, names, report) for axis in report.outcome.axes]
    errors = Errors.of(report)
    if all(map(errors.gone, range(len(errors.n)))):
        return []
    if len(sides) == 2 and is_grid(sides):
        panels = [_heat(report, sides[0], sides[1], errors)]
        what = "a heat map"
    else:
        panels = [_against(report, side, errors, len(sides) == 1) for side in sides]
        what = "a line" if len(sides) == 1 and sides[0].numeric else "dots"
    columns = _columns(report, errors)
    order = in_order(report)[:MOST]
    return [
        Chart(
            name="cells",
            title=f"Test {report.results.measured.errors} of all cells",
            caption=_caption(report, errors, what, sides),
            description=_description(report, sides, errors),
            panels=tuple(panels),
            data=columns,
            shown={key: [values[k] for k in order] for key, values in columns.items()},
        )
    ]


def _columns(report: Report, errors: Errors) -> dict[str, list[Any]]:
    cells = report.results.cells
    columns: dict[str, list[Any]] = {"cell": [cell.number for cell in cells]}
    for key in keys_of(report):
        columns[key] = [in_one_line(cell.set[key]) for cell in cells]
    columns["rank"] = [figures.rank for figures in report.outcome.cells]
    columns["seeds"] = list(errors.n)
    columns["diverged"] = list(errors.diverged)
    columns[report.middle] = [_number(value) for value in errors.middle]
    columns["95 %, from"] = [_number(value) for value in errors.low]
    columns["95 %, to"] = [_number(value) for value in errors.high]
    return columns


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(f"{value:.6g}")


def _caption(report: Report, errors: Errors, what: str, sides: Sequence[Side]) -> str:
    measure = report.results.measured
    few, most = min(errors.n), max(errors.n)
    seeds = many(most, "seed") if few == most else f"{few} to {most} seeds"
    how = "corrected for training sets that overlap" if report.middle == "mean" else "bootstrap"
    cells = many(len(errors.n), "cell")
    parts = [f"{report.middle} test {measure.name} {measure.what} of {cells}, each over {seeds}"]
    if what == "a heat map":
        parts.append("the darker, the larger")
        if errors.best is not None:
            parts.append(f"★: the best cell by validation {measure.name}")
        if any(map(errors.gone, range(len(errors.n)))):
            parts.append("×: all seeds of the cell diverged")
    else:
        if len(sides) == 1 and sum(errors.n) <= DOTS:
            parts.append("each dot is a seed")
        parts.append(f"bars and bands: 95 % interval of the {report.middle}, {how}")
        if len(sides) > 1:
            parts.append("each panel has all cells, whatever their other keys are")
        if errors.best is not None:
            parts.append(f"diamond: the best cell by validation {measure.name}")
        if any(map(errors.gone, range(len(errors.n)))):
            parts.append("crosses at the top: all seeds of the cell diverged")
    if any(0 < gone < n for gone, n in zip(errors.diverged, errors.n, strict=True)):
        parts.append(
            "seeds that diverged are left out of a cell's figures, and counted in the table"
        )
    if any(errors.stopped):
        parts.append(f"{many(sum(errors.stopped), 'cell')} had been stopped early")
    if len(errors.n) > MOST:
        parts.append(f"the table has the first {MOST} cells, the best first")
    return " ".join(map(sentence, parts))


def _description(report: Report, sides: Sequence[Side], errors: Errors) -> str:
    measure, cells = report.results.measured, report.results.cells
    middle = np.array(errors.middle)
    low, high = int(np.nanargmin(middle)), int(np.nanargmax(middle))
    said = [
        f"the {report.middle} test {measure.name} is smallest, {measure.figure(middle[low])}, with "
        f"{cells[low].name}, and largest, {measure.figure(middle[high])}, with {cells[high].name}"
    ]
    if errors.best is not None:
        best = errors.best
        ends = between(measure, (errors.low[best], errors.high[best]))
        said.append(
            f"the best by validation is {cells[best].name}, with a {report.middle} test "
            f"{measure.name} of {measure.figure(middle[best])} (95 % interval {ends})"
        )
    gone = [cells[k].name for k in range(len(cells)) if errors.gone(k)]
    if gone:
        shown = listed(gone[:3]) if len(gone) <= 3 else f"{', '.join(gone[:3])} and others"
        said.append(f"all seeds diverged with {shown}")
    return " ".join(map(sentence, said))


def _heat(report: Report, down: Side, across: Side, errors: Errors) -> Panel:
    """Return the heat map of two keys, with the numbers in its cells."""
    if len(set(down.places)) > len(set(across.places)):
        down, across = across, down
    rows, columns = len(set(down.places)), len(set(across.places))
    values = np.full((rows, columns), np.nan)
    texts = [[""] * columns for _ in range(rows)]
    for cell, (row, column) in enumerate(zip(down.positions, across.positions, strict=True)):
        if down.numeric:  # the first row is on top, and numbers grow upwards
            row = rows - 1 - row
        values[row, column] = errors.middle[cell]
        text = "×" if errors.gone(cell) else report.results.measured.number(errors.middle[cell])
        texts[row][column] = f"★ {text}" if cell == errors.best else text
    labels = down.labels[::-1] if down.numeric else down.labels
    measure = report.results.measured
    return Panel(
        "",
        Axis(across.name, "category", tuple(short_word(label) for label in across.labels)),
        Axis(down.name, "category", tuple(short_word(label) for label in labels)),
        (Cells(f"test {measure.name}{measure.head}", values, tuple(map(tuple, texts))),),
    )


def _against(report: Report, side: Side, errors: Errors, alone: bool) -> Panel:
    """Return the errors against the values of one key; a line if there is no other key."""
    measure = report.results.measured
    cells = [k for k in range(len(errors.n)) if not errors.gone(k)]
    places, labels = np.array(side.places), side.labels
    if not side.numeric and len(labels) > MOST:
        shown = [k for k in in_order(report) if k in set(cells)]
        kept = list(dict.fromkeys(int(side.places[k]) for k in shown))[:MOST]
        cells = [k for k in cells if side.places[k] in kept]
        labels = [side.labels[place] for place in sorted(kept)]
        new = {place: number for number, place in enumerate(sorted(kept))}
        places = np.array([new.get(int(place), -1) for place in side.places], float)
    x = places[cells]
    middle, low, high = (np.array(v)[cells] for v in (errors.middle, errors.low, errors.high))
    top = float(np.nanmax(high)) if len(cells) else 1.0
    marks: list[Mark] = []
    name = f"{report.middle} of a cell"
    if alone:
        single = [
            (places[k], error)
            for k in cells
            for error in report.results.cells[k].test_error
            if error is not None
        ]
        if len(single) <= DOTS:
            top = max([top, *(error for _, error in single)])
            at, own = np.array(single).T
            marks.append(Dots("a seed", at, own, 7))
    if alone and side.numeric:
        order = np.argsort(x, kind="stable")
        marks.append(Band("95 % interval", x[order], low[order], high[order], 0))
        marks.append(Line(f"{report.middle} of the cells", x[order], middle[order], 0))
    marks.append(Span("95 % interval", x, low, high, 0))
    texts = tuple(report.results.cells[k].name for k in cells)
    marks.append(Dots(name, x, middle, 0, "square", texts))
    if errors.best is not None and errors.best in cells:
        best = cells.index(errors.best)
        marks.append(Dots("best by validation", [x[best]], [middle[best]], 1, "diamond"))
    gone = [k for k in range(len(errors.n)) if errors.gone(k) and places[k] >= 0]
    if gone:
        marks.append(
            Dots("all seeds diverged", places[gone], np.full(len(gone), 1.06 * top), 7, "cross")
        )
    positive = low[low > 0]
    log = bool(len(positive)) and len(positive) == len(low) and top >= 20 * float(positive.min())
    axis = Axis(measure.axis(), limits=(0.0, 1.1 * top or 1.0))
    if log:
        axis = Axis(f"{measure.axis()} (log scale)", "log")
    across = Axis(side.name, "log" if side.log else "linear")
    if not side.numeric:
        across = Axis(side.name, "category", tuple(short_word(label) for label in labels))
    return Panel("", across, axis, tuple(marks))
