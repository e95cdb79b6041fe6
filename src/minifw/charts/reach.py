"""What a panel's marks take of its axes, which both renderers ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from minifw.charts.model import (
    Areas,
    Band,
    Bars,
    Cells,
    Dots,
    Line,
    Mark,
    Note,
    Panel,
    Rule,
    Shape,
    Span,
)
from minifw.charts.scales import Ends, Extent, Floats, extent, floats

SHAPES: tuple[Shape, ...] = get_args(Shape)
"""Of the points along a line, by its colour."""

MANY = 300
"""Points of a mark from which they are small."""


def extents(panel: Panel) -> tuple[Extent, Extent]:
    """Return the extents of both axes of a panel.

    Rows of names, and those of a heat map, go from top to bottom, as people read.
    """
    flipped = panel.y.scale == "category" or any(isinstance(m, Cells) for m in panel.marks)
    if filling := [mark for mark in panel.marks if isinstance(mark, Areas | Cells)]:
        x, y = (_values(filling, of_y) for of_y in (False, True))
        return extent(panel.x, x, "tight"), extent(panel.y, y, "tight", flipped)
    x, y = (_values(panel.marks, of_y) for of_y in (False, True))
    ends: list[Ends] = ["free", "free"]
    if all(isinstance(mark, Line | Band | Rule | Note) for mark in panel.marks):
        ends[0] = "tight"
    for mark in panel.marks:
        if isinstance(mark, Bars):
            ends[0 if mark.horizontal else 1] = "zero"
    if panel.square and panel.x.scale == panel.y.scale != "category":
        x = y = [*x, *y]  # the diagonal is where both are equal
    return extent(panel.x, x, ends[0]), extent(panel.y, y, ends[1], flipped)


def _values(marks: Sequence[Mark], of_y: bool) -> list[Floats]:
    return [floats(each) for each in chain(*(_of(mark, of_y) for mark in marks))]


def _of(mark: Mark, of_y: bool) -> Sequence[ArrayLike]:
    match mark:
        case Line() | Dots() | Note():
            return [mark.y if of_y else mark.x]
        case Band():
            return [mark.low, mark.high] if of_y else [mark.x]
        case Span():
            return [mark.at] if of_y == mark.horizontal else [mark.low, mark.high]
        case Bars():
            if of_y != mark.horizontal:
                return [mark.length, [0.0]]
            at = floats(mark.at)
            half = slot([mark]) / 2
            return [at - half, at + half]
        case Rule():
            return [mark.at] if of_y == mark.horizontal else []
        case Cells():
            return [np.array([-0.5, floats(mark.values).shape[0 if of_y else 1] - 0.5])]
        case Areas():
            return [floats(polygon).reshape(-1, 2)[:, int(of_y)] for polygon in mark.polygons]


def slot(bars: Sequence[Bars]) -> float:
    """Return the room between neighbouring places of bars."""
    places = np.unique(np.concatenate([np.zeros(0), *(floats(each.at) for each in bars)]))
    places = places[np.isfinite(places)]
    return float(np.diff(places).min()) if len(places) > 1 else 1.0


def beside(mark: Bars, marks: Sequence[Mark]) -> tuple[float, float]:
    """Return how far the middle of bars is from their place, and how thick they are.

    Bars of several series at the same place stand beside each other.
    """
    group = [m for m in marks if isinstance(m, Bars) and m.horizontal == mark.horizontal]
    room = slot(group)
    places = np.concatenate([np.zeros(0), *(floats(each.at) for each in group)])
    if len(np.unique(places)) == len(places):
        return 0.0, 0.8 * room
    thick = 0.8 * room / len(group)
    place = next(n for n, other in enumerate(group) if other is mark)
    return (place - (len(group) - 1) / 2) * thick, 0.94 * thick


def counts(marks: Iterable[Mark]) -> bool:
    """Return whether lines of several colours, alike else, must differ by their points too."""
    looks = {(m.dashed, m.color) for m in marks if isinstance(m, Line) and not m.quiet}
    return len({dashed for dashed, _ in looks}) < len(looks)


def along(places: Floats, color: int) -> list[int]:
    """Return which of a line's points are drawn, to tell it from lines of other colours.

    `places` are the points' shares of the axis. Lines that are equal show the points of both.
    """
    wanted = 0.08 + 0.04 * (color % len(SHAPES)) + np.arange(6) / 6
    return sorted({int(np.abs(places - place).argmin()) for place in wanted})
