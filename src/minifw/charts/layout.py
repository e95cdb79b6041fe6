"""Where the panels of a chart lie, and what stands around each: titles, ticks and labels.

All is in units of which a letter has 12: a chart has 720 to its width in a page, and in a file as
many as letters of its size have room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from minifw.charts.lettering import broken, fitted, width
from minifw.charts.model import Areas, Axis, Bars, Cells, Chart, Panel, Rule
from minifw.charts.reach import extents
from minifw.charts.scales import Extent, Tick, ticks

WIDTH = 720.0
SMALL, NORMAL = 11.0, 12.0
"""Sizes of letters: at ticks and in cells, and elsewhere."""
GAP = 18.0
LINE = 12.0
"""From a line of small letters to the next one."""
BOLD = 1.15
"""How many times as wide bold letters are, at most."""
NAMES = 240.0
"""The most room for names beside a panel."""
COLUMN = 170.0
"""The most room for one of the names below a panel, where dots or intervals stand over it."""


@dataclass(frozen=True)
class Box:
    """A panel in its place: `left`, `top`, `wide` and `high` are of the part with the marks.

    `turned` is by how many degrees names below it are; `title` and `y_label` have lines of text.
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
    turned: float
    title: tuple[str, ...]
    y_label: tuple[str, ...]
    before: float
    """Room for ticks and the label to the left of it."""
    below: float
    above: float
    """How far the title is from it: more where a line's text is between."""


def lay_out(chart: Chart, wide: float = WIDTH) -> tuple[list[Box], float]:
    """Return the boxes of a chart's panels and the height that they take."""
    boxes: list[Box] = []
    top = 4.0
    for row in _rows(chart.panels, wide):
        room = (wide - GAP * (len(row) - 1)) / len(row)
        placed = [_box(panel, n * (room + GAP), room) for n, panel in enumerate(row)]
        before = max(box.before for box in placed)
        if before <= room / 3:  # then panels beside each other are of one size
            placed = [_box(each, n * (room + GAP), room, before) for n, each in enumerate(row)]
        heads = [box.above - 8 + len(box.title) * (NORMAL + 4) for box in placed]
        start = top + 6 + max(heads)
        boxes += [replace(box, top=start) for box in placed]
        top = start + max(box.high + box.below for box in placed) + GAP / 2
    return boxes, top


def _rows(panels: Sequence[Panel], wide: float) -> list[list[Panel]]:
    """Return the panels in rows of about the same length, each panel with 220 units at least.

    Where a panel has long names beside it, it has 340.
    """
    names = [name for panel in panels for name in panel.y.categories]
    least = 340 if any(width(name, SMALL) > 75 for name in names) else 220
    most = max(1, int(wide / least))
    rows = -(-len(panels) // most)
    each = -(-len(panels) // max(rows, 1))
    return [[*panels[n : n + each]] for n in range(0, len(panels), max(each, 1))]


def _box(panel: Panel, left: float, room: float, least: float = 0.0) -> Box:
    """Return the place of a panel in this room, with `least` units at least to its left."""
    x, y = extents(panel)
    high = min(340.0, room - 60) if _square(panel) else _height(panel, room)
    label = _label(panel.y.label, high)
    names = min(NAMES, 0.35 * room)
    y_ticks = _ticks(panel.y, y, high, names, 34)
    before = _before(y_ticks, label, least)
    after = 12.0
    wide = room - before - after
    cells = any(isinstance(mark, Cells) for mark in panel.marks)
    if cells:
        wide = min(wide, 64.0 * (x.high - x.low))
    if _square(panel):
        wide = high = min(max(wide, 180.0) if cells else wide, 340.0)
        y_ticks = _ticks(panel.y, y, high, names, 34)
        label = _label(panel.y.label, high)
        # Ticks of a lower panel may be fewer, and have fewer digits; never more.
        before = max(before, _before(y_ticks, label, least))
        wide = high = min(room - before - after, high)
    elif (
        not cells
        and panel.x.scale == "category"
        and not any(isinstance(mark, Bars) for mark in panel.marks)
    ):
        wide = min(wide, COLUMN * max(len(panel.x.categories), 1))
    x_ticks, turned = _below(panel.x, x, wide)
    longest = max((width(tick.text, SMALL) for tick in x_ticks), default=0.0)
    down = longest * math.sin(math.radians(turned)) + 14 if turned else SMALL + 4
    below = (down if x_ticks else 0.0) + 6 + (NORMAL + 6 if panel.x.label else 0)
    if turned:  # the first name reaches to the left of its place
        aside = longest * math.cos(math.radians(turned))
        over = aside - before - wide / max(len(panel.x.categories), 1) / 2
        if over > 0:
            before, wide = before + over, wide - over
    ruled = any(isinstance(mark, Rule) and not mark.horizontal for mark in panel.marks)
    title = tuple(broken(panel.title, (room - 4) / BOLD, NORMAL)) if panel.title else ()
    return Box(
        panel, x, y, left + before, 0.0, wide, high, x_ticks, y_ticks, turned, title,
        label, before, below, 22.0 if ruled else 8.0,
    )  # fmt: skip


def _label(text: str, room: float) -> tuple[str, ...]:
    """Return a label in one line or, where that is too long, in two of about the same length."""
    text = fitted(text, 2 * room, NORMAL)
    words = text.split(" ")
    if not text or width(text, NORMAL) <= room or len(words) < 2:
        return (fitted(text, room, NORMAL),) if text else ()
    pairs = [(" ".join(words[:n]), " ".join(words[n:])) for n in range(1, len(words))]
    lines = min(pairs, key=lambda pair: max(width(line, NORMAL) for line in pair))
    return tuple(fitted(line, room, NORMAL) for line in lines)


def _before(ticks: Sequence[Tick], label: Sequence[str], least: float) -> float:
    """Return the room to the left of a panel for its ticks and the lines of its label."""
    beside = max((width(tick.text, SMALL) for tick in ticks), default=0.0)
    return max(beside + 8 + ((NORMAL + 2) * len(label) + 4 if label else 0), least)


def _square(panel: Panel) -> bool:
    same = panel.x.limits is not None and panel.x.limits == panel.y.limits
    return panel.square or same or any(isinstance(mark, Areas) for mark in panel.marks)


def _height(panel: Panel, room: float) -> float:
    if panel.y.scale == "category":
        each = 28.0 if len(panel.y.categories) <= 12 else 16.0
        return max(100.0, each * len(panel.y.categories))
    if any(isinstance(mark, Cells) for mark in panel.marks):
        return 260.0
    return max(170.0, min(270.0, 0.68 * room))


def _ticks(axis: Axis, side: Extent, room: float, names: float, each: float) -> tuple[Tick, ...]:
    """Return the ticks along a side with this room, one each so many units; names are shortened."""
    if axis.scale != "category":
        return tuple(ticks(side, max(3, int(room / each))))
    step = -(-LINE * len(axis.categories) // room)  # some are left out where they are very many
    return tuple(
        Tick(n, fitted(name, names, SMALL))
        for n, name in enumerate(axis.categories)
        if n % max(step, 1) == 0
    )


def _below(axis: Axis, side: Extent, room: float) -> tuple[tuple[Tick, ...], float]:
    """Return the ticks below a panel, and by how much they must be turned to have room."""
    if axis.scale == "category":
        slot = room / max(len(axis.categories), 1)
        longest = max((width(name, SMALL) for name in axis.categories), default=0.0)
        turned = 0.0
        if longest > slot - 6 and slot < 90:
            turned = 35.0 if slot > LINE / math.sin(math.radians(35)) else 90.0
        return _ticks(axis, side, room, 110.0 if turned else slot - 6, 0), turned
    for most in range(max(4, int(room / 55)), 0, -1):
        found = ticks(side, most)
        wide = sum(width(tick.text, SMALL) + 12 for tick in found)
        if wide <= room or most == 1:
            return tuple(found), 0.0
    return (), 0.0
