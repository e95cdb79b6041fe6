"""Marks as paths of SVG: the numbers of a path, few and short, for each kind of mark.

A mark is one path, however many points it has; positions are exact to a tenth of a unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifw.charts.lettering import joined
from minifw.charts.model import Areas, Band, Bars, Cells, Line, Shape, Span
from minifw.charts.palette import step_of
from minifw.charts.scales import Extent, Floats, floats

Points = NDArray[np.float64]
"""Places in the picture, `(points, 2)`; NaN where there is none."""

FAR = 4000.0
"""Units from the picture beyond which places are drawn nearer, for renderers with small numbers."""

COLUMN = 1.5
"""Units along x within which a line keeps its first, last, lowest and highest point only."""

SHARED = 4000
"""Points of all lines of single seeds in a panel, about: they are many, thin and not asked for."""


class Frame:
    """Where a panel's marks are drawn."""

    def __init__(
        self, x: Extent, y: Extent, left: float, top: float, wide: float, high: float
    ) -> None:
        self.extents = x, y
        self.left, self.top, self.wide, self.high = left, top, wide, high

    def x(self, values: ArrayLike) -> Floats:
        """Return places along x, in units of the picture."""
        return np.clip(self.left + self.wide * self.extents[0].shares(values), -FAR, FAR)

    def y(self, values: ArrayLike) -> Floats:
        """Return places along y, from the top."""
        return np.clip(self.top + self.high * (1 - self.extents[1].shares(values)), -FAR, FAR)

    def points(self, x: ArrayLike, y: ArrayLike) -> Points:
        """Return the places of points."""
        across, up = np.broadcast_arrays(self.x(x), self.y(y))
        return np.stack([across.ravel(), up.ravel()], 1)

    def exceeds(self, points: Points) -> bool:
        """Return whether a point is outside of the panel."""
        low = np.array([self.left, self.top]) - 0.5
        high = low + 1 + [self.wide, self.high]
        return bool(((points < low) | (points > high)).any())


def line(mark: Line, frame: Frame) -> str:
    """Return the path of a line, interrupted where a number is missing."""
    parts = _unbroken(frame.points(mark.x, mark.y))
    return "".join(run(_simple(each, 0.12)) for each in parts)


def quiet_lines(marks: Sequence[Line], frame: Frame, lines: int) -> str:
    """Return the path of lines of single seeds, exact to half a unit.

    All `lines` of a panel share about SHARED points, however many they are.
    """
    column = min(16.0, max(COLUMN, 4 * frame.wide * lines / SHARED))
    parts = chain(*(_unbroken(frame.points(mark.x, mark.y)) for mark in marks))
    return "".join(run(np.round(_simple(each, 0.7, column))) for each in parts)


def alone(mark: Line, frame: Frame) -> Points:
    """Return the points of a line that have no neighbour, which a thin line would hide."""
    parts = [each for each in _unbroken(frame.points(mark.x, mark.y)) if len(each) == 1]
    return np.concatenate([np.zeros((0, 2)), *parts])


def run(points: Points, close: bool = False) -> str:
    """Return the path through points, relative to each other; one point becomes a dot."""
    if not len(points):
        return ""
    tenths = np.round(10 * points).astype(np.int64)
    if len(tenths) > 1:
        moves = np.diff(tenths, axis=0)
        kept = (moves != 0).any(1)
        steps = moves[kept] / 10
    else:
        steps = np.zeros((0, 2))
    start = f"M{joined(tenths[0] / 10)}"
    return start + (f"l{joined(steps.ravel())}" if len(steps) else "h0") + ("z" if close else "")


def _unbroken(points: Points) -> Iterator[Points]:
    """Return the parts between missing points."""
    missing = np.flatnonzero(np.isnan(points).any(1))
    for part in np.split(points, missing):
        whole = part[~np.isnan(part).any(1)]
        if len(whole):
            yield whole


def _thinned(points: Points, column: float) -> Points:
    """Return a line that looks the same with fewer points, where it has very many along x."""
    x, y = points.T
    if len(points) < 4 or (np.diff(x) < 0).any():
        return points
    columns = np.floor(x / column)
    starts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
    if 4 * len(starts) >= len(points):
        return points
    kept = {0, len(points) - 1}
    ends = [*starts[1:].tolist(), len(points)]
    for first, last in zip(starts.tolist(), ends, strict=True):
        kept |= {first, last - 1, first + int(y[first:last].argmin()),
                 first + int(y[first:last].argmax())}  # fmt: skip
    return points[sorted(kept)]


def _simple(points: Points, tolerance: float, column: float = COLUMN) -> Points:
    """Return the points that a line needs to be nowhere further than `tolerance` from all of them.

    As Douglas and Peucker (1973): the farthest point from a straight line is kept, if it is too
    far, and both parts are looked at again.
    """
    points = _thinned(points, column)
    kept = np.zeros(len(points), bool)
    kept[[0, -1]] = True
    open_parts = [(0, len(points) - 1)]
    while open_parts:
        first, last = open_parts.pop()
        if last - first < 2:
            continue
        start, way = points[first], points[last] - points[first]
        away = points[first + 1 : last] - start
        length = float(np.hypot(*way))
        if length:
            far = np.abs(away[:, 0] * way[1] - away[:, 1] * way[0]) / length
        else:
            far = np.hypot(*away.T)
        worst = int(far.argmax())
        if far[worst] > tolerance:
            kept[first + 1 + worst] = True
            open_parts += [(first, first + 1 + worst), (first + 1 + worst, last)]
    return points[kept]


def band(mark: Band, frame: Frame) -> str:
    """Return the path around the area between two lines."""
    low, high = frame.points(mark.x, mark.low), frame.points(mark.x, mark.high)
    both = np.concatenate([low, high], 1)
    parts = []
    for whole in _unbroken(both):
        there, back = _simple(whole[:, :2], 0.12), _simple(whole[:, 2:], 0.12)
        parts.append(run(np.concatenate([there, back[::-1]]), close=True))
    return "".join(parts)


def dots(points: Points, shape: Shape, size: float = 1.0) -> str:
    """Return the path of points of a shape.

    Circles and squares are lines without length: their width and ends, which the style gives, make
    the shape.
    """
    known = points[~np.isnan(points).any(1)]
    if shape == "diamond":
        r = 4.2 * size
        return "".join(f"M{joined((x, y - r))}l{joined((r, r, -r, r, -r, -r))}z" for x, y in known)
    if shape == "cross":
        r = 3.4 * size
        arms = f"l{joined((2 * r, 2 * r))}m0{joined((-2 * r,))}l{joined((-2 * r, 2 * r))}"
        return "".join(f"M{joined((x - r, y - r))}{arms}" for x, y in known)
    return "".join(f"M{joined(point)}h0" for point in known)


def span(mark: Span, frame: Frame) -> str:
    """Return the path of intervals."""
    if mark.horizontal:
        ends = frame.points(mark.low, mark.at), frame.points(mark.high, mark.at)
    else:
        ends = frame.points(mark.at, mark.low), frame.points(mark.at, mark.high)
    pairs = np.stack(ends, 1)
    return "".join(run(pair) for pair in pairs if not np.isnan(pair).any())


def bars(mark: Bars, frame: Frame, offset: float, thick: float) -> str:
    """Return the path of bars, from zero, or from the end of a log scale."""
    at, length = floats(mark.at) + offset, floats(mark.length)
    along = frame.extents[0 if mark.horizontal else 1]
    start = np.full_like(length, along.low if along.scale == "log" else 0.0)
    one, other = at - thick / 2, at + thick / 2
    if mark.horizontal:
        corners = frame.points(start, one), frame.points(length, other)
    else:
        corners = frame.points(one, start), frame.points(other, length)
    return "".join(map(_rectangle, *corners))


def _rectangle(one: Points, other: Points) -> str:
    """Return the path of a rectangle from two of its corners."""
    if np.isnan([one, other]).any():
        return ""
    tenths = np.round(10 * np.array([one, other])) / 10
    (left, top), (right, bottom) = tenths.min(0), tenths.max(0)
    sides = f"h{joined((right - left,))}v{joined((bottom - top,))}h{joined((left - right,))}z"
    return f"M{joined((left, top))}{sides}"


def cells(mark: Cells, frame: Frame) -> tuple[dict[int | None, str], NDArray[np.int64]]:
    """Return the path of all cells of each step of colours, and the step of each cell.

    Those without a value have no step: None, and -1.
    """
    steps = steps_of(floats(mark.values))
    paths: dict[int | None, str] = {}
    for (row, column), step in np.ndenumerate(steps):
        one, other = frame.points([column - 0.5, column + 0.5], [row - 0.5, row + 0.5])
        key = None if step < 0 else int(step)
        paths[key] = paths.get(key, "") + _rectangle(one, other)
    return paths, steps


def steps_of(values: Floats) -> NDArray[np.int64]:
    """Return the step of colours of each value; -1 where it is missing or infinite."""
    known = np.isfinite(values)
    steps = np.full(values.shape, -1, np.int64)
    if known.any():
        low, high = values[known].min(), values[known].max()
        span = float(high) - float(low)
        shares = (values[known] - low) / span if span > 0 else np.full(known.sum(), 0.3)
        steps[known] = [step_of(float(share)) for share in shares]
    return steps


def areas(mark: Areas, frame: Frame) -> str:
    """Return the path around all polygons."""
    found: Iterable[Floats] = (floats(each).reshape(-1, 2) for each in mark.polygons)
    return "".join(run(frame.points(*each.T), close=True) for each in found if len(each) > 2)
