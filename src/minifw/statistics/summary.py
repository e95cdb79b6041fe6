"""The summary of errors over seeds that every table gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minifw.statistics.intervals import Floats, Interval, interval, known
from minifw.statistics.overlap import Overlap, corrected


@dataclass(frozen=True)
class Summary:
    """Figures of errors over seeds, in the unit of the errors.

    Attributes:
        n: seeds, with those that diverged.
        diverged: seeds that have no error; all other figures are over the seeds left.
        min, q1, median, q3, max: the smallest, the quartiles (linear between neighbours, as
            NumPy's) and the largest; None if no seed is left.
        mean, sd: mean, and standard deviation with n - 1; None if no seed, or less than two.
        median_interval, mean_interval: 95 % bootstrap intervals; None if less than two. Where
            training samples overlap, that of the mean is Student's with a corrected variance, and
            there is none of the median.

    """

    n: int
    diverged: int
    min: float | None = None
    q1: float | None = None
    median: float | None = None
    q3: float | None = None
    mean: float | None = None
    sd: float | None = None
    max: float | None = None
    median_interval: Interval | None = None
    mean_interval: Interval | None = None

    def content(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def summarize(values: Sequence[float | None], overlap: Overlap | None = None) -> Summary:
    """Return the summary of one figure a seed; None or NaN is a seed that diverged.

    `overlap` is that of cross-validation.
    """
    left = known(values)
    n, diverged = len(values), len(values) - len(left)
    if not len(left):
        return Summary(n, diverged, None, None, None, None, None, None, None, None, None)
    low, q1, median, q3, high = map(float, np.quantile(left, (0, 0.25, 0.5, 0.75, 1)))
    above = left - low  # equal errors have neither a rounded mean nor a spread
    return Summary(
        n=n,
        diverged=diverged,
        min=low,
        q1=q1,
        median=median,
        q3=q3,
        mean=low + float(above.mean()),
        sd=float(above.std(ddof=1)) if len(left) > 1 else None,
        max=high,
        median_interval=None if overlap else interval(left, "median"),
        mean_interval=_of_folds(left, overlap) if overlap else interval(left, "mean"),
    )


def _of_folds(errors: Floats, overlap: Overlap) -> Interval | None:
    """Return the corrected interval of the mean of errors, none of which is below 0."""
    found = corrected(errors, overlap)
    return None if found is None else (max(0.0, found[0]), found[1])
