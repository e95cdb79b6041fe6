"""Errors of networks whose training samples overlap, as in cross-validation.

Networks that are trained on mostly the same samples err alike, so the mean of J errors spreads more
than sd / sqrt(J). Nadeau and Bengio 2003, "Inference for the generalization error", estimate its
variance by sd² (1/J + n_test / n_train), the corrected resampled t; Bouckaert and Frank 2004,
"Evaluating the replicability of significance tests for comparing learning algorithms", take it for
repeated cross-validation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifw.statistics.intervals import LEVEL, Interval

Floats = NDArray[np.float64]


class Overlap(NamedTuple):
    """How much the samples of networks have in common: `ratio` is n_test / n_train.

    `parts` is how many different test parts there are: more errors are those of the same parts.
    """

    ratio: float
    parts: int

    def count(self, n: int) -> int:
        """Return how many of n errors count."""
        return min(n, self.parts)

    def effective(self, n: int) -> float:
        """Return as many independent errors as are worth these n: 1 / (1/J + n_test/n_train)."""
        return 1 / (1 / self.count(n) + self.ratio)


def corrected(values: Floats, overlap: Overlap, level: float = LEVEL) -> Interval | None:
    """Return Student's interval of the mean of `(n,)`, with the corrected variance.

    With J - 1 degrees of freedom. None below two values.
    """
    from scipy import special  # takes 0.15 s, which a list of runs need not wait for

    if (count := overlap.count(len(values))) < 2:
        return None
    mean, error = _mean_and_error(values, overlap)
    half = float(special.stdtrit(count - 1, (1 + level) / 2)) * error
    return mean - half, mean + half


def corrected_test(differences: Floats, overlap: Overlap) -> float:
    """Return p of the two-sided corrected resampled t-test that the mean of `(n,)` is 0.

    1 below two values, or if all are 0.
    """
    from scipy import special

    if (count := overlap.count(len(differences))) < 2:
        return 1.0
    mean, error = _mean_and_error(differences, overlap)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * special.stdtr(count - 1, -abs(mean) / error))


def _mean_and_error(values: Floats, overlap: Overlap) -> tuple[float, float]:
    """Return the mean, and its standard error."""
    if values.min() == values.max():  # without a spread, not even of rounding
        return float(values[0]), 0.0
    mean = math.fsum(values) / len(values)  # rounded once, whatever the order
    variance = math.fsum((values - mean) ** 2) / (len(values) - 1)
    return mean, math.sqrt(variance / overlap.effective(len(values)))
