"""The table of a sweep's cells, and its figures; they need no more than cells.json."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minifw.errors import harmless
from minifw.report.tables import Cell, Table
from minifw.runs.studies import StudyResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(results: StudyResults) -> Table:
    """Return the table of all cells, the best first."""
    figures: list[dict[str, Any]] = results.outcome["cells"]
    rows: list[tuple[str, list[Cell]]] = []
    for place in in_order(results):
        mine, low_high = figures[place], figures[place]["interval"] or (None, None)
        rows.append(
            (
                results.cells[place].name,
                [
                    mine["rank"], mine["n"], mine["diverged"], mine["validation"],
                    mine["median"], *low_high, mine["mean"],
                ],
            )
        )  # fmt: skip
    caption = f"{harmless(results.about)}: {len(rows)} cells. {_about(results)}"
    return Table(
        caption=caption,
        head=["cell", "rank", "n", "diverged", "valid.", "median", "low", "high", "mean"],
        rows=rows,
        brief=caption,
        label=re.sub(r"[^A-Za-z0-9-]+", "-", f"{results.name}-cells"),
    )


def in_order(results: StudyResults) -> list[int]:
    """Return the positions of the cells, the best first; without ranks, by their order."""
    figures = results.outcome["cells"]

    def key(place: int) -> tuple[bool, int]:
        rank = figures[place]["rank"]
        return rank is None, place if rank is None else rank

    return sorted(range(len(figures)), key=key)


def _about(results: StudyResults) -> str:
    figures = results.outcome["cells"]
    ranked = any(each["rank"] is not None for each in figures)
    lines = [
        "Test error in percent: median with its 95 % bootstrap interval (low, high), and mean; "
        "seeds that diverged are left out of these.",
        "The rank is that of the validation error (valid., median), in which a seed that diverged "
        "counts 100 %."
        if ranked
        else "",
    ]
    return " ".join(filter(None, lines))


def drawings(results: StudyResults) -> dict[str, Callable[[], Figure]]:
    """Return the function that draws each figure, by name."""
    return {}
