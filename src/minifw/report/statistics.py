"""Statistics of errors over seeds, for tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ROWS = ("min", "median", "mean", "max")


def summary(errors: Sequence[float | None]) -> dict[str, float | None]:
    """Return min, median, mean and max over the seeds that have a value.

    None is a seed that diverged, which is left out. All four are None if all seeds diverged.
    """
    left = np.array([error for error in errors if error is not None])
    if not left.size:
        return dict.fromkeys(ROWS)
    figures = (left.min(), np.median(left), left.mean(), left.max())
    return dict(zip(ROWS, map(float, figures), strict=True))
