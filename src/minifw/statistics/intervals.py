"""Bootstrap intervals of a mean or a median of a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]
Statistic = Literal["mean", "median"]
Figure = Callable[[Floats], Floats]

LEVEL = 0.95
RESAMPLES = 9999
AT_ONCE = 2**20
"""Numbers of resamples that are in memory together, as far as whole resamples allow."""

_NORMAL = NormalDist()


def known(values: Sequence[float | None] | ArrayLike) -> Floats:
    """Return the values that are there, `(n,)`: without None, NaN and infinity."""
    numbers = np.asarray(values, dtype=np.float64)  # None becomes NaN
    return numbers[np.isfinite(numbers)]


def interval(
    values: Sequence[float | None] | ArrayLike,
    statistic: Statistic = "mean",
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Return the BCa bootstrap interval of the mean or median of the values that are there.

    Resamples are those of a generator made of `seed`. The result does not depend on the order of
    the values, and is `scipy.stats.bootstrap(method="BCa")` of the sorted ones. Where BCa is
    undefined (all resamples on one side, a jackknife without spread) it is the percentile
    interval. None below two values.

    Bias-corrected and accelerated: Efron 1987, "Better bootstrap confidence intervals".
    """
    sample = np.sort(known(values))
    if len(sample) < 2:
        return None
    if statistic == "mean":
        pieces = [_mean(sample[places]) for places in _places(len(sample), resamples, seed)]
        return _accelerated(sample, _mean, _means_without, np.concatenate(pieces), level)
    # The median of a resample is at the median of its places: no resample needs to be sorted.
    lower, upper = _middle_places(len(sample), resamples, seed)
    drawn = (sample[lower] + sample[upper]) / 2
    return _accelerated(sample, _median, _medians_without, drawn, level)


def _mean(samples: Floats) -> Floats:
    return np.asarray(samples.mean(-1))


def _median(samples: Floats) -> Floats:
    return np.asarray(np.median(samples, -1))


def _means_without(sample: Floats) -> Floats:
    """Return the mean without each value in turn, `(n,)`."""
    return np.asarray((sample.sum() - sample) / (len(sample) - 1))


def _medians_without(sample: Floats) -> Floats:
    """Return the median of a sorted sample without each value in turn, `(n,)`."""
    n = len(sample)
    gone = np.arange(n)
    lower, upper = (sample[place + (place >= gone)] for place in ((n - 2) // 2, (n - 1) // 2))
    return np.asarray((lower + upper) / 2)


def _places(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield which values each resample takes, `(some resamples, n)`: the same for each sample."""
    rng = np.random.default_rng(seed)
    some = max(1, AT_ONCE // n)
    for first in range(0, resamples, some):
        yield rng.integers(0, n, (min(some, resamples - first), n))


@lru_cache(maxsize=8)
def _middle_places(n: int, resamples: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the places of the two middle values of each resample of a sorted sample."""
    middle = [(n - 1) // 2, n // 2]
    pieces = [np.partition(p, middle, -1)[:, middle] for p in _places(n, resamples, seed)]
    lower, upper = np.concatenate(pieces).T.copy()
    return lower, upper


def _accelerated(
    sample: Floats, function: Figure, without: Figure, drawn: Floats, level: float
) -> Interval:
    """Return the BCa interval from the figures of the resamples, or the percentile interval."""
    if sample[0] == sample[-1]:  # whose mean may be rounded
        return float(function(sample[:1])), float(function(sample[:1]))
    tail = (1 - level) / 2
    tails = _bca_tails(float(function(sample)), without(sample), drawn, tail) or (tail, 1 - tail)
    low, high = np.quantile(drawn, tails)
    return float(low), float(high)


def _bca_tails(
    observed: float, jackknife: Floats, drawn: Floats, tail: float
) -> tuple[float, float] | None:
    """Return which shares of the resamples are below the interval's ends; None if undefined.

    `jackknife` has the figure of the sample without each of its values in turn.
    """
    below = ((drawn < observed).mean() + (drawn <= observed).mean()) / 2
    pull = jackknife.mean() - jackknife
    spread = (pull**2).sum()
    if not 0 < below < 1 or not spread > 0:
        return None
    bias = _NORMAL.inv_cdf(float(below))
    acceleration = float((pull**3).sum() / (6 * spread**1.5))

    def share(z: float) -> float:
        return _NORMAL.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))

    z = _NORMAL.inv_cdf(tail)
    return share(z), share(-z)
