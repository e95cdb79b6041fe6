"""Which marks a legend names, and where the names lie."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from minifw.charts.layout import NORMAL, WIDTH
from minifw.charts.lettering import fitted, width
from minifw.charts.model import Areas, Band, Bars, Cells, Chart, Dots, Line, Span
from minifw.charts.scales import floats, numeral

Named = Line | Band | Dots | Span | Bars | Areas | Cells

GLYPH = 24.0
"""Units for the small picture beside a name."""
SCALE = 120.0
"""Units for a scale of colours."""
ROW = 19.0


@dataclass(frozen=True)
class Entry:
    """A name, and the marks that have it, which are drawn small beside it."""

    name: str
    marks: tuple[Named, ...]
    left: float = 0.0
    top: float = 0.0
    text: str = ""

    @property
    def wide(self) -> float:
        """Units for the pictures beside the name, one for each colour."""
        if any(isinstance(mark, Cells) for mark in self.marks):
            return SCALE
        return GLYPH * max(len({mark.color for mark in self.marks}), 1)


def named(chart: Chart) -> list[Entry]:
    """Return the names of marks in their order, each once, with marks of each of its colours.

    What an axis or a text in the picture names needs none, and neither do lines that are hidden.
    """
    found: dict[str, list[Named]] = {}
    for panel in chart.panels:
        on_axis = {*panel.x.categories, *panel.y.categories}
        for mark in panel.marks:
            if isinstance(mark, Named) and mark.name and mark.name not in on_axis:
                if (isinstance(mark, Line) and mark.quiet) or (
                    isinstance(mark, Cells) and mark.texts
                ):
                    continue
                same = found.setdefault(mark.name, [])
                if not any(_alike(mark, other) for other in same):
                    same.append(mark)
    entries = [
        Entry(name, tuple(sorted(marks, key=lambda mark: mark.color)))
        for name, marks in found.items()
    ]
    # Areas are in the order in which they cover each other, which readers do not look for.
    places = [k for k, entry in enumerate(entries) if isinstance(entry.marks[0], Areas)]
    areas = sorted((entries[k] for k in places), key=lambda entry: entry.marks[0].color)
    for place, entry in zip(places, areas, strict=True):
        entries[place] = entry
    return entries


def _alike(one: Named, other: Named) -> bool:
    """Return whether two marks look the same in a legend."""
    looks = [
        (type(mark), mark.color, getattr(mark, "dashed", None), getattr(mark, "shape", None))
        for mark in (one, other)
    ]
    return looks[0] == looks[1]


def lay_out(entries: Iterable[Entry], top: float, wide: float = WIDTH) -> tuple[list[Entry], float]:
    """Return the entries in rows from `top` on, and where they end."""
    placed: list[Entry] = []
    left = 0.0
    for entry in entries:
        text = fitted(_said(entry), min(320, wide - entry.wide - 24), NORMAL)
        room = entry.wide + 6 + width(text, NORMAL) + 18
        if left and left + room > wide:
            left, top = 0.0, top + ROW
        placed.append(Entry(entry.name, entry.marks, left, top, text))
        left += room
    return placed, top + ROW if placed else top


def _said(entry: Entry) -> str:
    """Return a name, of a heat map with what its lightest and its darkest colour mean."""
    values = [floats(mark.values).ravel() for mark in entry.marks if isinstance(mark, Cells)]
    known = [each[np.isfinite(each)] for each in values]
    if not any(map(len, known)):
        return entry.name
    every = np.concatenate(known)
    return f"{entry.name}: {numeral(every.min())} to {numeral(every.max())}"
