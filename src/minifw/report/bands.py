"""Errors against epochs as quartiles over the seeds, and what their curves look like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Curve = tuple[Floats, Floats]
"""Epochs, and for each the lower quartile, median and upper quartile of an error: (epochs, 3)."""

WORDS = {"train_error": "training", "test_error": "test", "validation_error": "validation"}
"""The errors that are drawn, and what they are called."""

LATE = 10
"""How many times as many epochs the test error takes for half of its fall, to be late."""


def quartiles(epochs: Floats, errors: Floats) -> Curve:
    """Return the quartiles over the seeds of `(epochs, seeds)`, where all seeds have an error."""
    known = ~np.isnan(errors).any(1)
    if not known.any() or not errors.shape[1]:
        return np.zeros(0), np.zeros((0, 3))
    return epochs[known], np.percentile(errors[known], [25, 50, 75], axis=1).T


def falls_late(train: Curve, test: Curve) -> bool:
    """Return whether the test error falls long after the training error, as in grokking.

    Then one of them would be a vertical line at the edge of a linear axis of epochs.
    """
    halves = [_half_fallen(*curve) for curve in (train, test)]
    return 0 < LATE * halves[0] <= halves[1]


def _half_fallen(epochs: Floats, bands: Floats) -> float:
    """Return the first epoch at which the median is halfway from the first value to the lowest."""
    median = bands[:, 1]
    if not len(median) or median[0] == median.min():
        return 0.0
    return float(epochs[(median <= (median[0] + median.min()) / 2).argmax()])


def spans_decades(bands: Sequence[Floats]) -> bool:
    """Return whether errors end so low that they would be a flat line on a linear scale.

    That is, at less than a fifth of the largest.
    """
    ends = [band[-1, 1] for band in bands if len(band)]
    largest = max((band.max() for band in bands if len(band)), default=0.0)
    return bool(ends) and bool(min(ends) < largest / 5)
