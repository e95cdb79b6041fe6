"""Where a name stands within regions: as far from their borders as possible."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifw.charts.layout import NORMAL
from minifw.charts.lettering import fitted
from minifw.charts.model import Areas
from minifw.charts.scales import Extent, Floats, floats

LEFT = 8
"""Signs of a shortened name, at least; the legend has the whole one."""
CELLS = 24
"""Places along each axis that are tried."""


def middle(mark: Areas, x: Extent, y: Extent) -> tuple[float, float, float] | None:
    """Return shares of both axes, and the distance to the border there as such a share.

    None where the regions hold none of the places that are tried.
    """
    tried = (np.arange(CELLS) + 0.5) / CELLS
    inside = np.zeros((CELLS, CELLS), bool)
    points = np.stack(np.meshgrid(tried, tried), -1).reshape(-1, 2)
    for polygon in mark.polygons:
        corners = _shares(polygon, x, y)
        if len(corners) > 2:
            inside ^= _within(points, corners).reshape(inside.shape)
    if not inside.any():
        return None
    around = np.pad(inside, 1)
    there, not_there = np.argwhere(around), np.argwhere(~around)
    distances = np.sqrt(((there[:, None] - not_there) ** 2).sum(-1).min(1))
    best = int(distances.argmax())
    row, column = (there[best] - 1 + 0.5) / CELLS
    return float(column), float(row), float((distances[best] - 0.5) / CELLS)


def named_within(name: str, room: float) -> str:
    """Return the name of regions as it has room; nothing where too little of it would be left."""
    text = fitted(name, room, NORMAL)
    return "" if text != name and len(text) < LEFT else text


def _shares(polygon: ArrayLike, x: Extent, y: Extent) -> Floats:
    corners = floats(polygon).reshape(-1, 2)
    return np.stack([x.shares(corners[:, 0]), y.shares(corners[:, 1])], 1)


def _within(points: Floats, corners: Floats) -> NDArray[np.bool_]:
    """Return which points a polygon has around itself: a ray from them crosses it an odd time."""
    (px, py), inside = points.T, np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        if y0 != y1:
            crosses = ((y0 > py) != (y1 > py)) & (px < (x1 - x0) * (py - y0) / (y1 - y0) + x0)
            inside ^= crosses
    return inside
