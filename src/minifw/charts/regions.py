"""The regions of a plane in which each class has the largest score, as polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minifw.charts.scales import Floats, floats


def regions(x: ArrayLike, y: ArrayLike, scores: ArrayLike) -> list[list[Floats]]:
    """Return for each class the polygons `(corners, 2)` in which its score is the largest.

    `scores` is `(y, x, classes)`, known at the points of a grid; between them borders are where
    interpolated scores are equal. A polygon within another one of the same class is a hole. With
    one class only, its region is all of the plane.
    """
    from contourpy import FillType, contour_generator  # a part of matplotlib

    found: list[list[Floats]] = []
    scores = floats(scores)
    for number in range(scores.shape[-1]):
        others = np.delete(scores, number, -1).max(-1, initial=-np.inf)
        ahead = np.nan_to_num(scores[..., number] - others, posinf=1.0, neginf=-1.0)
        lines = contour_generator(x, y, ahead, fill_type=FillType.OuterOffset)
        # Of all its kinds of answers this one has two parts, as the kind above says.
        filled: Any = lines.filled(0.0, max(float(ahead.max()), 0.0) + 1.0)
        polygons, offsets = filled
        found.append(
            [
                floats(part)
                for corners, ends in zip(polygons, offsets, strict=True)
                for part in np.split(corners, ends[1:-1])
            ]
        )
    return found
