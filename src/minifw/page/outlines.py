"""Decisions on a grid as polygons and lines with few points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import contourpy
import numpy as np
from numpy.typing import NDArray

from minifw.report.bands import Floats

Integers = NDArray[np.integer]

TOLERANCE = 0.004
"""How far a simpler outline may be from the true one, as a share of the plane's sides."""


def ahead(scores: Floats, decision: Integers, number: int) -> Floats:
    """Return by how much a class is ahead of all others, `(y, x)`: above 0 in its region."""
    others = np.delete(scores, number, axis=-1).max(-1)
    lead = scores[..., number] - others
    # With equal scores, as after rounding, the decision says to which class a point belongs.
    least = 1e-6 * (np.abs(lead).max() or 1.0)
    found: Floats = np.where(decision == number, np.maximum(lead, least), np.minimum(lead, -least))
    return found


def regions(x: Floats, y: Floats, lead: Floats) -> list[Floats]:
    """Return where `lead` is above 0, as closed polygons `(points, 2)`.

    One with holes goes along its outer border, and from there around each hole and back.
    """
    contours = contourpy.contour_generator(x, y, lead, fill_type=contourpy.FillType.OuterOffset)
    found = []
    filled: Any = contours.filled(0.0, float(lead.max()) + 1.0)
    for polygon, ends in zip(*filled, strict=True):
        if polygon is None or ends is None:
            continue
        sides = np.array([np.ptp(x), np.ptp(y)])
        rings = [simpler(np.array(ring), sides) for ring in np.split(polygon, ends[1:-1])]
        path = [rings[0]]
        for hole in rings[1:]:
            path += [hole, rings[0][:1]]
        found.append(np.concatenate(path))
    return found


def borders(x: Floats, y: Floats, leads: Sequence[Floats]) -> Floats:
    """Return the lines at which a class is as far as another, `(points, 2)`; NaN between lines."""
    sides = np.array([np.ptp(x), np.ptp(y)])
    gap = np.full((1, 2), np.nan)
    pieces: list[Floats] = []
    for lead in leads:
        for line in contourpy.contour_generator(x, y, lead).lines(0.0):
            pieces += [simpler(np.array(line), sides), gap]
    return np.concatenate(pieces[:-1]) if pieces else np.zeros((0, 2))


def simpler(line: Floats, sides: Floats) -> Floats:
    """Return a line through some of its points, none of the others farther than TOLERANCE away.

    Ramer 1972; Douglas and Peucker 1973. A ring is two lines, to its farthest point and back.
    """
    scaled = line / np.where(sides > 0, sides, 1.0)
    kept = np.zeros(len(line), bool)
    kept[[0, -1]] = True
    last = len(line) - 1
    if last > 1 and (scaled[0] == scaled[-1]).all():
        middle = int(np.hypot(*(scaled - scaled[0]).T).argmax())
        kept[middle] = True
        parts = [(0, middle), (middle, last)]
    else:
        parts = [(0, last)]
    while parts:
        first, end = parts.pop()
        if end - first < 2:
            continue
        away = _distance(scaled[first + 1 : end], scaled[first], scaled[end])
        farthest = int(away.argmax())
        if away[farthest] > TOLERANCE:
            middle = first + 1 + farthest
            kept[middle] = True
            parts += [(first, middle), (middle, end)]
    return line[kept]


def _distance(points: Floats, a: Floats, b: Floats) -> Floats:
    """Return the distance of points from the line through a and b, or from a if they are one."""
    along = b - a
    length = float(np.hypot(*along))
    offset = points - a
    if length == 0:
        return np.asarray(np.hypot(*offset.T))
    return np.asarray(np.abs(offset[:, 0] * along[1] - offset[:, 1] * along[0]) / length)
