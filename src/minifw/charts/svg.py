"""A chart as inline SVG for a page: text that is text, colours by class, nothing that runs.

There is no style or script in it, so that a page may forbid both. `style.STYLE` has the classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from minifw.charts import legend, markup
from minifw.charts.layout import NORMAL, SMALL, WIDTH, Box, lay_out
from minifw.charts.lettering import escaped, fitted, number, width
from minifw.charts.markup import Frame, Points
from minifw.charts.model import (
    Areas,
    Band,
    Bars,
    Cells,
    Chart,
    Dots,
    Line,
    Mark,
    Note,
    Rule,
    Shape,
    Span,
)
from minifw.charts.palette import HIGH, LIGHT
from minifw.charts.places import middle, named_within
from minifw.charts.reach import MANY, SHAPES, along, beside, counts
from minifw.charts.scales import floats

COLORS = len(LIGHT.series)

TITLED = 60
"""Points of a mark up to which each says what it is, where a pointer rests on it."""


def inline(chart: Chart, identifier: str) -> str:
    """Return a chart as an `<svg>` element of a page.

    Its identifiers begin with `identifier`, which must be the page's only one. Text of any kind,
    from a user's file too, stays text.
    """
    own = re.sub(r"[^\w-]", "-", identifier) or "chart"
    boxes, end = lay_out(chart)
    entries, end = legend.lay_out(legend.named(chart), end + 4)
    parts = [
        f'<title id="{own}-title">{escaped(chart.title)}</title>',
        f'<desc id="{own}-desc">{escaped(chart.description)}</desc>',
    ]
    marked = counts(mark for panel in chart.panels for mark in panel.marks)
    for box in boxes:
        parts += _panel(box, marked)
    for entry in entries:
        parts += _entry(entry, marked)
    return (
        f'<svg class="chart" viewBox="0 0 {number(WIDTH)} {number(end + 4)}" role="img" '
        f'aria-labelledby="{own}-title {own}-desc">{"".join(parts)}</svg>'
    )


# --------------------------------------------------------------------------------- around a panel


def _text(x: float, y: float, text: str, kind: str, whole: str = "", more: str = "") -> str:
    """Return a text; what was cut off is in its own title."""
    title = f"<title>{escaped(whole)}</title>" if whole and "…" in text and whole != text else ""
    place = f'x="{number(x)}" y="{number(y)}"'
    return f'<text class="{kind}" {place}{more}>{escaped(text)}{title}</text>'


def _panel(box: Box, marked: bool) -> Iterator[str]:
    frame = Frame(box.x, box.y, box.left, box.top, box.wide, box.high)
    yield "<g>"
    right, bottom = box.left + box.wide, box.top + box.high
    for n, line in enumerate(reversed(box.title)):
        left = box.left - box.before + 2
        yield _text(left, box.top - box.above - n * (NORMAL + 3), line, "name", box.panel.title)
    filled = any(isinstance(mark, Cells | Areas) for mark in box.panel.marks)
    if not filled:
        across = "".join(
            f"M{number(box.left)} {number(y)}H{number(right)}" for y in _places(box, frame, True)
        )
        yield f'<path class="grid" d="{across}"/>' if across else ""
    marks = [*_marks(box, frame, marked)]
    shapes, texts = ("".join(part[n] for part in marks) for n in (0, 1))
    if any(_exceeds(mark, frame) for mark in box.panel.marks):
        # An svg element within another one cuts off what is outside of it.
        x, y, wide, high = map(number, (box.left, box.top, box.wide, box.high))
        view = f'x="{x}" y="{y}" width="{wide}" height="{high}" viewBox="{x} {y} {wide} {high}"'
        yield f"<svg {view}>{shapes}</svg>"
    else:
        yield shapes
    corner = f"M{number(box.left)} {number(box.top)}V{number(bottom)}H{number(right)}"
    yield _path("axis", corner)
    yield texts
    yield from _ticks(box, frame)
    yield "</g>"


def _places(box: Box, frame: Frame, of_y: bool) -> list[float]:
    some = box.y_ticks if of_y else box.x_ticks
    places = (frame.y if of_y else frame.x)([tick.at for tick in some])
    return [float(place) for place in places]


def _ticks(box: Box, frame: Frame) -> Iterator[str]:
    axes = box.panel.x, box.panel.y
    whole = [dict(enumerate(axis.categories)) for axis in axes]
    bottom = box.top + box.high
    for tick, x in zip(box.x_ticks, _places(box, frame, False), strict=True):
        name = whole[0].get(int(tick.at), "") if axes[0].scale == "category" else ""
        if box.turned:
            turn = (
                f' transform="rotate({number(-box.turned)} {number(x + 4)} {number(bottom + 12)})"'
            )
            yield _text(x + 4, bottom + 12, tick.text, "tick end", name, turn)
        else:
            yield _text(x, bottom + 15, tick.text, "tick mid", name)
    for tick, y in zip(box.y_ticks, _places(box, frame, True), strict=True):
        name = whole[1].get(int(tick.at), "") if axes[1].scale == "category" else ""
        yield _text(box.left - 6, y + 4, tick.text, "tick end", name)
    if axes[0].label:
        text = fitted(axes[0].label, box.wide + box.before, NORMAL)
        below = bottom + box.below - 4
        # A label that is wider than its axis would be cut off at the picture's edge.
        middle = max(box.left + box.wide / 2, width(text, NORMAL) / 2 + 2)
        yield _text(middle, below, text, "label mid", axes[0].label)
    for n, line in enumerate(box.y_label):
        x, y = box.left - box.before + NORMAL + n * (NORMAL + 2), box.top + box.high / 2
        turn = f' transform="rotate(-90 {number(x)} {number(y)})"'
        yield _text(x, y, line, "label mid", axes[1].label, turn)


def _exceeds(mark: Mark, frame: Frame) -> bool:
    match mark:
        case Line() | Dots():
            return frame.exceeds(frame.points(mark.x, mark.y))
        case Band():
            return any(frame.exceeds(frame.points(mark.x, each)) for each in (mark.low, mark.high))
        case Span():
            ends = (mark.low, mark.high)
            pairs = [(end, mark.at) if mark.horizontal else (mark.at, end) for end in ends]
            return any(frame.exceeds(frame.points(*pair)) for pair in pairs)
        case Bars():
            pair = (mark.length, mark.at) if mark.horizontal else (mark.at, mark.length)
            return frame.exceeds(frame.points(*pair))
        case Areas():
            rings = [floats(polygon).reshape(-1, 2) for polygon in mark.polygons]
            return any(frame.exceeds(frame.points(*ring.T)) for ring in rings)
    return False


# ------------------------------------------------------------------------------------- in a panel


def _marks(box: Box, frame: Frame, marked: bool) -> Iterator[tuple[str, str]]:
    """Return the shapes and the texts of the marks; what fills is below, then single seeds."""
    quiet: dict[int, list[Line]] = {}
    filling, others = [], []
    for mark in box.panel.marks:
        if isinstance(mark, Line) and mark.quiet:
            quiet.setdefault(mark.color % COLORS, []).append(mark)
        elif isinstance(mark, Areas | Cells | Band | Bars):
            filling.append(_mark(mark, box, frame, marked))
        else:
            others.append(_mark(mark, box, frame, marked))
    yield from filling
    count = sum(map(len, quiet.values()))
    paths = "".join(
        _path(f"line c{color}", markup.quiet_lines(marks, frame, count))
        for color, marks in quiet.items()
    )
    if paths:
        yield f'<g class="quiet">{paths}</g>', ""
    yield from others
    if not paths and not any(shapes or texts for shapes, texts in [*filling, *others]):
        x, y = box.left + box.wide / 2, box.top + box.high / 2
        yield "", _text(x, y, "nothing to draw", "note mid")


def _path(kind: str, d: str) -> str:
    return f'<path class="{kind}" d="{d}"/>' if d else ""


def _mark(mark: Mark, box: Box, frame: Frame, marked: bool) -> tuple[str, str]:
    """Return the shapes and the texts of a mark."""
    match mark:
        case Line():
            shapes = _path(_line_kind(mark), markup.line(mark, frame))
            shapes += _shape(markup.alone(mark, frame), "circle", mark.color, "")
            if marked:
                shapes += _pointed(mark, frame)
            return shapes, ""
        case Band():
            return _path(f"band c{mark.color % COLORS}", markup.band(mark, frame)), ""
        case Dots():
            return _dots(mark, frame), ""
        case Span():
            return _path(f"span c{mark.color % COLORS}", markup.span(mark, frame)), ""
        case Bars():
            offset, thick = beside(mark, box.panel.marks)
            return _path(_bar_kind(mark), markup.bars(mark, frame, offset, thick)), ""
        case Areas():
            shapes = _path(f"area c{mark.color % COLORS}", markup.areas(mark, frame))
            return shapes, _region(mark, box)
        case Cells():
            return _cells(mark, frame)
        case Rule():
            return _rule(mark, frame)
        case Note():
            ((x, y),) = frame.points([mark.x], [mark.y])
            if np.isnan([x, y]).any():
                return "", ""
            left = x < frame.left + frame.wide / 2
            text = fitted(mark.text, frame.wide / 2, SMALL)
            kind, y = "note" if left else "note end", max(y - 4, frame.top + SMALL)
            return "", _text(x + (4 if left else -4), y, text, kind, mark.text)


def _line_kind(mark: Line) -> str:
    return f"line c{mark.color % COLORS}" + (" dashed" if mark.dashed else "")


def _bar_kind(mark: Bars) -> str:
    """Return the classes of bars; every second colour is hollow, for who sees no colours."""
    return f"bar c{mark.color % COLORS}" + (" hollow" if mark.color % 2 else "")


def _pointed(mark: Line, frame: Frame) -> str:
    """Return points along a line that tell it from those of other colours."""
    points = frame.points(mark.x, mark.y)
    points = points[~np.isnan(points).any(1)]
    if not len(points):
        return ""
    some = along((points[:, 0] - frame.left) / frame.wide, mark.color)
    return _shape(points[some], SHAPES[mark.color % len(SHAPES)], mark.color, "")


def _shape(points: Points, shape: Shape, color: int, more: str) -> str:
    kind = f"dots {shape} c{color % COLORS}{more}"
    return _path(kind, markup.dots(points, shape, 0.7 if more else 1.0))


def _dots(mark: Dots, frame: Frame) -> str:
    points = frame.points(mark.x, mark.y)
    small = " tiny" if len(points) >= MANY else ""
    if not 0 < len(mark.labels) <= TITLED:
        return _shape(points, mark.shape, mark.color, small)
    kind = f"dots {mark.shape} c{mark.color % COLORS}"
    each = "".join(
        f'<path d="{d}"><title>{escaped(text)}</title></path>'
        for point, text in zip(points, mark.labels, strict=False)
        if (d := markup.dots(point[None], mark.shape))
    )
    return f'<g class="{kind}">{each}</g>' if each else ""


def _rule(mark: Rule, frame: Frame) -> tuple[str, str]:
    """Return a line across the panel, and its text at the end that is free of most lines."""
    if mark.horizontal:
        (y,) = frame.y([mark.at])
        if np.isnan(y):
            return "", ""
        d = f"M{number(frame.left)} {number(y)}h{number(frame.wide)}"
        above = y - 5 if y - SMALL - 5 > frame.top else y + SMALL + 3
        text = fitted(mark.text, frame.wide, SMALL)
        return _path("rule", d), _text(
            frame.left + frame.wide - 2, above, text, "note end", mark.text
        )
    (x,) = frame.x([mark.at])
    if np.isnan(x):
        return "", ""
    d = f"M{number(x)} {number(frame.top)}v{number(frame.high)}"
    text = fitted(mark.text, frame.wide, SMALL)
    half = width(text, SMALL) / 2  # of a text that stays over the panel
    middle = min(max(x, frame.left + half), max(frame.left + frame.wide - half, frame.left + half))
    return _path("rule", d), _text(middle, frame.top - 5, text, "note mid", mark.text)


def _region(mark: Areas, box: Box) -> str:
    """Return the name of regions, within the largest of them where it has room."""
    found = middle(mark, box.x, box.y)
    if found is None or found[2] * box.high < SMALL / 2:
        return ""
    x, y = box.left + found[0] * box.wide, box.top + (1 - found[1]) * box.high
    room = 2 * min(x - box.left, box.left + box.wide - x)
    text = named_within(mark.name, room)
    return _text(x, y + 4, text, "region mid", mark.name) if text else ""


def _cells(mark: Cells, frame: Frame) -> tuple[str, str]:
    """Return cells, and the text in each where it has room, else what their colours mean."""
    paths, steps = markup.cells(mark, frame)
    shapes = "".join(
        _path("cell none" if step is None else f"cell s{step}", d) for step, d in paths.items()
    )
    rows, columns = steps.shape
    texts = []
    slot = frame.wide / max(columns, 1) - 4
    longest = max((width(text, SMALL) for row in mark.texts for text in row), default=0.0)
    small = " small" if longest > slot else ""
    fits = longest <= slot * SMALL / 8.5 and frame.high / max(rows, 1) >= 10
    for (row, column), step in np.ndenumerate(steps):
        if fits and row < len(mark.texts) and column < len(mark.texts[row]):
            ((x, y),) = frame.points([column], [row])
            kind = "cell-text mid" + small + (" high" if step >= HIGH else "")
            texts.append(_text(x, y + 4, mark.texts[row][column], kind))
    return shapes, "".join(texts)


# --------------------------------------------------------------------------------- below the panels


def _entry(entry: legend.Entry, marked: bool) -> Iterator[str]:
    """Return a name of the legend with a small picture of each of its marks."""
    left, middle = entry.left + 2, entry.top + 8
    for n, mark in enumerate(entry.marks):
        if n and mark.color != entry.marks[n - 1].color:
            left += legend.GLYPH
        kind, end = f"c{mark.color % COLORS}", number(left + 20)
        start = f"M{number(left)} {number(middle)}"
        point = np.array([[left + 10, middle]])
        match mark:
            case Line():
                yield _path(_line_kind(mark), f"{start}H{end}")
                if marked:
                    yield _shape(point, SHAPES[mark.color % len(SHAPES)], mark.color, "")
            case Dots():
                yield _shape(point, mark.shape, mark.color, "")
            case Span():
                yield _path(f"span {kind}", f"{start}H{end}")
            case Band() | Areas() | Bars():
                known = {Band: f"band {kind}", Areas: f"area {kind}"}
                looks = _bar_kind(mark) if isinstance(mark, Bars) else known[type(mark)]
                yield _path(looks, f"M{number(left)} {number(middle - 6)}h20v12h-20z")
            case Cells():
                each = (legend.SCALE - 6) / len(LIGHT.steps)
                for step in range(len(LIGHT.steps)):
                    corner = f"M{number(left + step * each)} {number(middle - 6)}"
                    yield _path(f"cell s{step}", f"{corner}h{number(each)}v12h{number(-each)}z")
                left += legend.SCALE - legend.GLYPH
    yield _text(left + legend.GLYPH + 2, middle + 4, entry.text, "label", entry.name)
