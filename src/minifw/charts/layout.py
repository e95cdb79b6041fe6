"""Where the panels of a chart lie, and what stands around each: titles, ticks and labels.

All is in units of the page, 720 to the width of a chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minifw.charts.lettering import broken, fitted, width
from minifw.charts.model import Areas, Axis, Cells, Chart, Panel, Rule
from minifw.charts.reach import extents
from minifw.charts.scales import Extent, Tick, ticks

WIDTH = 720.0
SMALL, NORMAL = 11.0, 12.0
"""Sizes of letters: at ticks and in cells, and elsewhere."""
GAP = 18.0
NAMES = 150.0
"""The most room for names beside a panel."""


@dataclass(frozen=True)
class Box:
    """A panel in its place: `left`, `top`, `wide` and `high` are of the part with the marks.

    `slanted` is whether names below it are turned, `title` and `label` have its lines of text.
    """

    panel: Panel
    x: Extent
    y: Extent
    left: float
    top: float
    wide: float
    high: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    slanted: bool
    title: tuple[str, ...]
    y_label: str
    before: float
    """Room for ticks and the label to the left of it."""
    below: float
    above: float
    """How far the title is from it: more where a line's text is between."""


def lay_out(chart: Chart) -> tuple[list[Box], float]:
    """Return the boxes of a chart's panels and the height that they take."""
    boxes: list[Box] = []
    top = 4.0
    for row in _rows(chart.panels):
        room = (WIDTH - GAP * (len(row) - 1)) / len(row)
        placed = [_box(panel, n * (room + GAP), room) for n, panel in enumerate(row)]
        heads = [box.above - 8 + len(box.title) * (NORMAL + 4) for box in placed]
        start = top + 6 + max(heads)
        boxes += [_moved(box, start) for box in placed]
        top = start + max(box.high + box.below for box in placed) + GAP / 2
    return boxes, top


def _rows(panels: Sequence[Panel]) -> list[list[Panel]]:
    """Return the panels in rows of three at most, of about the same length.

    Where a panel has long names beside it, there are two in a row.
    """
    names = [name for panel in panels for name in panel.y.categories]
    most = 2 if any(width(name, SMALL) > NAMES / 2 for name in names) else 3
    rows = -(-len(panels) // most)
    each = -(-len(panels) // max(rows, 1))
    return [[*panels[n : n + each]] for n in range(0, len(panels), max(each, 1))]


def _box(panel: Panel, left: float, room: float) -> Box:
    x, y = extents(panel)
    high = _height(panel, room)
    y_ticks = _ticks(panel.y, y, high, NAMES if room > 300 else 0.35 * room, 34)
    beside = max((width(tick.text, SMALL) for tick in y_ticks), default=0.0)
    before = beside + 8 + (NORMAL + 6 if panel.y.label else 0)
    after = 12.0
    wide = room - before - after
    if _square(panel):
        wide = high = min(wide, 340.0)
        y_ticks = _ticks(panel.y, y, high, NAMES, 34)
    elif any(isinstance(mark, Cells) for mark in panel.marks):
        wide = min(wide, 64.0 * (x.high - x.low))
    x_ticks, slanted = _below(panel.x, x, wide)
    longest = max((width(tick.text, SMALL) for tick in x_ticks), default=0.0)
    # The sine of 35 degrees, and the height of the letters.
    turned = longest * 0.58 + 14 if slanted else SMALL + 4
    below = (turned if x_ticks else 0.0) + 6 + (NORMAL + 6 if panel.x.label else 0)
    if slanted:  # the first name reaches to the left of its place
        over = longest * 0.82 - before - wide / max(len(x_ticks), 1) / 2
        if over > 0:
            before, wide = before + over, wide - over
    ruled = any(isinstance(mark, Rule) and not mark.horizontal for mark in panel.marks)
    title = tuple(broken(panel.title, room - 4, NORMAL)) if panel.title else ()
    return Box(
        panel, x, y, left + before, 0.0, wide, high, x_ticks, y_ticks, slanted, title,
        fitted(panel.y.label, high, NORMAL), before, below, 22.0 if ruled else 8.0,
    )  # fmt: skip


def _moved(box: Box, top: float) -> Box:
    return Box(**{**vars(box), "top": top})


def _square(panel: Panel) -> bool:
    return panel.square or any(isinstance(mark, Areas) for mark in panel.marks)


def _height(panel: Panel, room: float) -> float:
    if panel.y.scale == "category":
        cells = any(isinstance(mark, Cells) for mark in panel.marks)
        each = 28.0 if cells or len(panel.y.categories) <= 12 else 17.0
        return max(60.0, each * len(panel.y.categories))
    if any(isinstance(mark, Cells) for mark in panel.marks):
        return 260.0
    return max(170.0, min(270.0, 0.68 * room))


def _ticks(axis: Axis, side: Extent, room: float, names: float, each: float) -> tuple[Tick, ...]:
    """Return the ticks along a side with this room, one each so many units; names are shortened."""
    if axis.scale != "category":
        return tuple(ticks(side, max(2, int(room / each))))
    step = -(-SMALL * 1.1 * len(axis.categories) // room)  # some are left out where they are many
    return tuple(
        Tick(n, fitted(name, names, SMALL))
        for n, name in enumerate(axis.categories)
        if n % max(step, 1) == 0
    )


def _below(axis: Axis, side: Extent, room: float) -> tuple[tuple[Tick, ...], bool]:
    """Return the ticks below a panel, and whether they must be turned to have room."""
    if axis.scale == "category":
        slot = room / max(len(axis.categories), 1)
        longest = max((width(name, SMALL) for name in axis.categories), default=0.0)
        slanted = longest > slot - 6 and slot < 90
        return _ticks(axis, side, room, 110.0 if slanted else slot - 6, 0), slanted
    for most in range(max(2, int(room / 55)), 0, -1):
        found = ticks(side, most)
        wide = sum(width(tick.text, SMALL) + 12 for tick in found)
        if wide <= room or most == 1:
            return tuple(found), False
    return (), False
