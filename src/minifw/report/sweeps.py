"""The table of a sweep's cells, and which figure shows them; both need cells.json alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from minifw.config.axes import in_one_line
from minifw.errors import harmless
from minifw.report.tables import Cell, Table, counted
from minifw.runs.studies import StudyResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = ("rank", "n", "diverged", "validation", "median", "low", "high", "mean")
"""The columns of the table after those of the keys."""

_LONG = 24
"""Characters of a value in a terminal, at most."""


def table(results: StudyResults) -> Table:
    """Return the table of all cells, the best first.

    A row begins with the number of the cell, as in metrics.csv, and its values.
    """
    figures: list[dict[str, Any]] = results.outcome["cells"]
    keys = keys_of(results)
    rows: list[tuple[str, list[Cell]]] = []
    for place in in_order(results):
        cell, mine = results.cells[place], figures[place]
        low, high = mine["interval"] or (None, None)
        shown: list[Cell] = [
            in_one_line(cell.set[key]) if key in cell.set else None for key in keys
        ]
        numbers = mine | {"low": low, "high": high}
        rows.append((str(place), shown + [numbers[name] for name in FIGURES]))
    return Table(
        caption=_caption(results),
        head=["cell", *keys, *FIGURES],
        rows=rows,
        brief=_brief(results),
        label=re.sub(r"[^A-Za-z0-9-]+", "-", f"{results.name}-cells"),
    )


def for_terminal(results: StudyResults, most: int) -> Table:
    """Return the table with at most so many rows, short names of keys, and no mean."""
    whole, keys = table(results), keys_of(results)
    count = 1 + len(keys)
    rows = [
        (name, [_short(cell) if n < len(keys) else cell for n, cell in enumerate(cells[:-1])])
        for name, cells in whole.rows[:most]
    ]
    head = ["cell", *short_names(keys), *whole.head[count:-1]]
    return replace(whole, rows=rows, head=["valid." if h == "validation" else h for h in head])


def keys_of(results: StudyResults) -> list[str]:
    """Return the keys that differ between the cells, in order."""
    return list(dict.fromkeys(key for cell in results.cells for key in cell.set))


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


def in_order(results: StudyResults) -> list[int]:
    """Return the positions of the cells, the best first; those without a rank last."""
    figures = results.outcome["cells"]

    def key(place: int) -> tuple[bool, int]:
        rank = figures[place]["rank"]
        return rank is None, place if rank is None else rank

    return sorted(range(len(figures)), key=key)


def what(results: StudyResults) -> str:
    """Return what was trained; its data and network are named if all cells have the same."""
    varied = {key.partition(".")[0] for key in keys_of(results)}
    if varied & {"data", "network", "loss", "name"}:
        return f"'{results.name}'"
    return results.about


def _caption(results: StudyResults) -> str:
    return f"test error of {harmless(what(results))}, {_brief(results)}"


def _brief(results: StudyResults) -> str:
    figures = results.outcome["cells"]
    seeds = {each["n"] for each in figures}
    over = counted(seeds.pop(), "seed") if len(seeds) == 1 else "their seeds"
    gone = sum(each["diverged"] > 0 for each in figures)
    lines = [
        f"{counted(len(figures), 'cell')}, each over {over}. In percent: median of the validation "
        "error; of the test error median, its 95 % bootstrap interval (low, high), and mean."
    ]
    if gone:
        lines.append(f"In {counted(gone, 'cell')} seeds diverged, which these figures leave out.")
    if any(each["rank"] is not None for each in figures):
        loss = ", where a seed that diverged counts as 100 %" if gone else ""
        lines.append(f"The rank is by validation error{loss}.")
    return " ".join(lines)


def _short(cell: Cell) -> Cell:
    if isinstance(cell, str) and len(cell) > _LONG:
        return f"{cell[: _LONG - 1]}…"
    return cell


def drawings(results: StudyResults) -> dict[str, Callable[[], Figure]]:
    """Return the function that draws each figure, by name; see `plots.defaults`."""

    def cells() -> Figure:
        from minifw.report import landscapes

        return landscapes.cells(results)

    return {"cells": cells}
