"""Statistics: errors over seeds to the figures of a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ROWS = ("min", "median", "mean", "max")


def summary(errors: Sequence[float | None]) -> dict[str, float | None]:
    """Return min, median, mean and max over the seeds that have a value.

    None stands for a seed that diverged; it has no error and takes no part. All four are None
    when no seed is left.
    """
    left = np.array([error for error in errors if error is not None])
    if not left.size:
        return dict.fromkeys(ROWS)
    figures = (left.min(), np.median(left), left.mean(), left.max())
    return dict(zip(ROWS, map(float, figures), strict=True))
