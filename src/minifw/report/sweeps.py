"""The table of a sweep's cells, and which figure shows them; both need cells.json alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from minifw.config.axes import in_one_line
from minifw.errors import ArtefactError, harmless
from minifw.report.tables import Cell, Interval, Table, counted, label_of
from minifw.runs import records
from minifw.runs.studies import CellFigures, StudyResults, SweepOutcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INTERVAL = "95 % interval"
FIGURES = ("rank", "n", "diverged", "validation")
"""The columns of the table after those of the keys, and before those of the test error."""

STATISTICS = ("n", "diverged", "min", "q1", "median", "q3", "max", "mean", "sd")
"""The columns of the table of statistics after those of the keys."""

_LONG = 24
"""Characters of a value in a terminal, at most."""


@dataclass(frozen=True)
class Report:
    """The results of a sweep, and what was found."""

    results: StudyResults
    outcome: SweepOutcome

    @classmethod
    def of(cls, results: StudyResults, where: str = "") -> Report:
        """Return the report of these results, which may come from anybody.

        Raises:
            ArtefactError: they are not those of a sweep; `where` is their source.

        """
        outcome = records.checked(SweepOutcome, results.outcome, f"{where}: outcome")
        try:
            outcome.check(results)
        except ValueError as fault:
            raise ArtefactError(f"{where}: {fault}") from None
        return cls(results, outcome)

    @property
    def middle(self) -> Literal["mean", "median"]:
        """The figure that has an interval: of folds, whose training samples overlap, the mean."""
        overlap = any(cell.overlap is not None for cell in self.results.cells)
        return "mean" if overlap else "median"

    def of_test(self, figures: CellFigures) -> tuple[float | None, Sequence[float] | None]:
        """Return the middle of the test errors of a cell, and its interval."""
        if self.middle == "mean":
            return figures.mean, figures.mean_interval
        return figures.median, figures.interval


def table(report: Report) -> Table:
    """Return the table of all cells, the best first.

    A row begins with the number of the cell, as in metrics.csv, and its values.
    """
    figures, keys = report.outcome.cells, keys_of(report)
    rows: list[tuple[str, list[Cell]]] = []
    for place in in_order(report):
        cell, mine = report.results.cells[place], figures[place]
        shown: list[Cell] = [in_one_line(cell.set[key]) for key in keys]
        middle, interval = report.of_test(mine)
        other = mine.median if report.middle == "mean" else mine.mean
        shown += [mine.rank, mine.n, mine.diverged, mine.validation]
        rows.append((str(cell.number), [*shown, middle, Interval.of(interval), other]))
    return Table(
        caption=_caption(report),
        head=["cell", *keys, *FIGURES, report.middle, INTERVAL, _other(report)],
        rows=rows,
        brief=_brief(report),
        label=label_of(report.results.name, "cells"),
        written=report.results.measured.written,
    )


def summaries(report: Report) -> Table:
    """Return the table of all statistics of the test errors, in the order of the cells."""
    keys = keys_of(report)
    rows: list[tuple[str, list[Cell]]] = []
    for place, mine in enumerate(report.outcome.cells):
        cell = report.results.cells[place]
        shown: list[Cell] = [in_one_line(cell.set[key]) for key in keys]
        intervals = [Interval.of(mine.interval), Interval.of(mine.mean_interval)]
        numbers = [getattr(mine, name) for name in STATISTICS]
        rows.append((str(cell.number), [*shown, *numbers, *intervals]))
    measure = report.results.measured
    return Table(
        caption=f"statistics of the test {measure.name} of {harmless(what(report))} over seeds, "
        f"{measure.what}; seeds that diverged are counted, and left out of the rest. "
        f"{_intervals(report)}",
        head=["cell", *keys, *STATISTICS, "median 95 %", "mean 95 %"],
        rows=rows,
        label=label_of(report.results.name, "summaries"),
        written=measure.written,
    )


def verdict(report: Report) -> list[str]:
    """Return sentences about the best cell: what it is worth, and how far it only looks so."""
    best = report.outcome.best
    if best is None:
        return []
    measure = report.results.measured
    validation = "" if best.validation is None else f" of {measure.figure(best.validation)}"
    lines = [
        f"The best of {counted(best.of, 'cell')} is cell {best.cell}, {harmless(best.name)}, by "
        f"its median validation {measure.name}{validation}."
    ]
    middle, interval = report.of_test(best)
    if middle is not None:
        ends = ""
        if interval is not None:
            low, high = measure.number(interval[0]), measure.figure(interval[1])
            ends = f"95 % interval {low} to {high}, "
        lines.append(
            f"Its {report.middle} test {measure.name} is {measure.figure(middle)} "
            f"({ends}{counted(best.n - best.diverged, 'seed')})."
        )
    if best.optimism is not None:
        lines.append(
            f"Having been chosen as the best makes its validation {measure.name} look about "
            f"{measure.difference(max(0.0, best.optimism.optimism))} better than it is; were half "
            "of the seeds to choose, it would be the best again in "
            f"{100 * best.optimism.same:.0f} % of the cases."
        )
    return lines


def for_terminal(report: Report, most: int) -> Table:
    """Return the table with at most so many rows, short names of keys, one figure of the test."""
    whole, keys = table(report), keys_of(report)
    count = 1 + len(keys)
    rows = [
        (name, [_short(cell) if n < len(keys) else cell for n, cell in enumerate(cells[:-1])])
        for name, cells in whole.rows[:most]
    ]
    head = ["cell", *short_names(keys), *whole.head[count:-1]]
    return replace(whole, rows=rows, head=["valid." if h == "validation" else h for h in head])


def keys_of(report: Report) -> list[str]:
    """Return the keys that differ between the cells, in order."""
    return list(dict.fromkeys(key for cell in report.results.cells for key in cell.set))


def short_names(keys: Sequence[str]) -> list[str]:
    """Return for each key the shortest end of it that no other has: `eta` for `train.eta`."""
    found = []
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        others = [other for other in keys if other != key]
        alone = [end for end in ends if not any(f".{o}".endswith(f".{end}") for o in others)]
        words = [end for end in alone if not end.isdecimal()]
        found.append((words or [key])[0])
    return found


def in_order(report: Report) -> list[int]:
    """Return the positions of the cells, the best first; those without a rank last."""
    figures = report.outcome.cells

    def key(place: int) -> tuple[bool, int]:
        rank = figures[place].rank
        return rank is None, place if rank is None else rank

    return sorted(range(len(figures)), key=key)


def what(report: Report) -> str:
    """Return what was trained; its data and network are named if all cells have the same."""
    varied = {key.partition(".")[0] for key in keys_of(report)}
    if varied & {"data", "network", "loss", "name"}:
        return f"'{report.results.name}'"
    return report.results.about


def _caption(report: Report) -> str:
    shown = _what_is_shown(report, f"with {_its_interval(report)}, and {_other(report)}")
    name = report.results.measured.name
    return " ".join([f"test {name} of {harmless(what(report))}, {shown}", *verdict(report)])


def _brief(report: Report) -> str:
    """Return the caption of the table in a terminal, which has one figure of the test."""
    return _what_is_shown(report, f"and {_its_interval(report)}")


def _its_interval(report: Report) -> str:
    if report.middle == "mean":
        return "its 95 % interval, corrected for training sets that overlap"
    return "its 95 % bootstrap interval"


def _intervals(report: Report) -> str:
    if report.middle == "mean":
        return "Intervals: 95 %, corrected for training sets that overlap; none of the median."
    return "Intervals: 95 %, bootstrap."


def _other(report: Report) -> str:
    """Return the figure of the test errors that has no interval in the table."""
    return "median" if report.middle == "mean" else "mean"


def _what_is_shown(report: Report, figures_of_test: str) -> str:
    figures, measure = report.outcome.cells, report.results.measured
    fewest, most = min(each.n for each in figures), max(each.n for each in figures)
    over = counted(most, "seed") if fewest == most else f"{fewest} to {most} seeds"
    gone = sum(each.diverged > 0 for each in figures)
    lines = [
        f"{counted(len(figures), 'cell')}, {'each ' * (len(figures) > 1)}over {over}. "
        f"{measure.what[:1].upper()}{measure.what[1:]}: median of the validation {measure.name}; "
        f"of the test {measure.name} {report.middle} {figures_of_test}."
    ]
    if gone:
        lines.append(f"In {counted(gone, 'cell')} seeds diverged, which these figures leave out.")
    if report.outcome.saved is not None:
        lines.append(
            f"Halving stopped {report.outcome.stopped} of them early, which saved "
            f"{100 * report.outcome.saved:.0f} % of the epochs; these have no rank."
        )
    if any(each.rank is not None for each in figures):
        loss = ", where a seed that diverged counts as the worst" if gone else ""
        lines.append(f"The rank is by validation {measure.name}{loss}.")
    return " ".join(lines)


def _short(cell: Cell) -> Cell:
    if isinstance(cell, str) and len(cell) > _LONG:
        return f"{cell[: _LONG - 1]}…"
    return cell


def drawings(report: Report) -> dict[str, Callable[[], Figure]]:
    """Return the function that draws each figure, by name; see `plots.defaults`."""

    def cells() -> Figure:
        from minifw.report import landscapes

        return landscapes.cells(report)

    return {"cells": cells}
