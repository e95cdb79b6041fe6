"""Components of variance of crossed seeds: a stand-in until `minifw.statistics` has them.

Each test error is a sum of random effects: of the data, of the initial weights, of the order, and
of each combination of these (Searle, Casella and McCulloch 1992, "Variance Components", section
5.3). Two networks that share only their data differ by all effects but that of the data, so the
mean of half their squared differences estimates the variance of all other effects. With no network
missing these are the estimates of the analysis of variance (ANOVA).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
FACTORS = ("data", "init", "order")
PARTS = (*FACTORS, "interaction")
LEVEL = 0.05
DRAWS = 10_000
MANY = 10_000
"""Seeds from which on the t distribution is taken as normal."""

Effect = frozenset[int]
"""The axes on which an effect depends; empty for the mean."""


@dataclass(frozen=True)
class Components:
    """The share of each part in the variance of an error.

    Attributes:
        shares: fractions that sum to 1, by part; None if there is no spread.
        intervals: 95 % intervals of the shares; None for a factor with one level.
        total_sd: the standard deviation of the error if all seeds are new; NaN if unknown.

    """

    shares: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]
    total_sd: float

    def seeds_needed(self, difference: float, power: float = 0.8) -> int | None:
        """Return how many seeds each of two configs needs to show that their means differ.

        With t-test of two independent samples, two-sided at 5 %; `difference` is in the unit of the
        error. None if the spread is unknown.
        """
        if not math.isfinite(self.total_sd):
            return None
        if self.total_sd == 0:
            return 2
        effect = difference / self.total_sd
        z = stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(power)
        seeds = max(2, math.ceil(2 * (z / effect) ** 2))
        while seeds < MANY and _power(seeds, effect) < power:
            seeds += 1
        return seeds


def _power(seeds: int, effect: float) -> float:
    """Return the power of the t-test with so many seeds in each of two samples."""
    freedom, shift = 2 * (seeds - 1), effect * math.sqrt(seeds / 2)
    bound = stats.t.ppf(1 - LEVEL / 2, freedom)
    above, below = stats.nct.sf(bound, freedom, shift), stats.nct.cdf(-bound, freedom, shift)
    return float(above + below)


def components(errors: Floats) -> Components:
    """Return the components of variance of errors `(data, init, order)`; NaN is left out.

    A part that comes out below 0, as chance has it, counts as 0. Intervals are generalised
    confidence intervals (Weerahandi 1993), which take effects as normally distributed.
    """
    axes = [axis for axis, levels in enumerate(errors.shape) if levels > 1]
    levels = {axis: errors.shape[axis] for axis in axes}
    shared = {effect: _half_squares(errors, effect, axes) for effect in _subsets(axes)}
    total = shared[frozenset()]
    if not all(map(math.isfinite, shared.values())):
        return Components(dict.fromkeys(PARTS), dict.fromkeys(PARTS), math.nan)
    if np.nanmin(errors) == np.nanmax(errors):
        return Components(dict.fromkeys(PARTS), dict.fromkeys(PARTS), 0.0)
    common = {effect: total - value for effect, value in shared.items()}
    variances = {effect: _signed(common, [*_subsets(effect)], effect) for effect in common}
    parts = _parts({effect: np.array([value]) for effect, value in variances.items()})
    whole = sum(float(value[0]) for value in parts.values())
    drawn = _shares(_parts(_draws(variances, levels)))
    intervals: dict[str, tuple[float, float] | None] = dict.fromkeys(PARTS)
    varied = [FACTORS[axis] for axis in axes] + ["interaction"] * (len(axes) > 1)
    for name in varied if len(axes) > 1 else []:
        low, high = np.percentile(drawn[name], [100 * LEVEL / 2, 100 - 100 * LEVEL / 2])
        intervals[name] = float(low), float(high)
    shares = {name: float(value[0]) for name, value in _shares(parts).items()}
    return Components(shares, intervals, math.sqrt(whole))


def _subsets(axes: Effect | list[int]) -> Iterator[Effect]:
    some = sorted(axes)
    for size in range(len(some) + 1):
        yield from map(frozenset, itertools.combinations(some, size))


def _signed(values: dict[Effect, float], over: list[Effect], effect: Effect) -> float:
    """Return the alternating sum (Möbius inversion) over effects around this one."""
    return sum((-1) ** len(effect ^ each) * values[each] for each in over)


def _half_squares(errors: Floats, effect: Effect, axes: list[int]) -> float:
    """Return the mean of (x - y)² / 2 of all pairs that share the levels of just these axes."""
    known = np.isfinite(errors)
    if not known.any():
        return math.nan
    values = np.where(known, errors - errors[known].mean(), 0)
    pairs, squares = {}, {}
    for each in _subsets(axes):
        others = tuple(axis for axis in axes if axis not in each)
        count, first, second = (x.sum(others) for x in (known, values, values**2))
        pairs[each] = float((count**2).sum())  # that share at least these levels
        squares[each] = float((count * second - first**2).sum())
    more = [each for each in _subsets(axes) if each >= effect]
    count, sum_ = _signed(pairs, more, effect), _signed(squares, more, effect)
    return max(0.0, sum_ / count) if count else math.nan


def _parts(variances: dict[Effect, Floats]) -> dict[str, Floats]:
    """Return the variance of each part, at least 0, from that of each effect."""
    zero = np.zeros_like(next(iter(variances.values())))
    parts = {name: variances.get(frozenset({k}), zero) for k, name in enumerate(FACTORS)}
    parts["interaction"] = sum((v for effect, v in variances.items() if len(effect) > 1), zero)
    return {name: np.maximum(value, 0) for name, value in parts.items()}


def _shares(parts: dict[str, Floats]) -> dict[str, Floats]:
    whole = sum(parts.values(), np.zeros(1))
    return {name: value / np.where(whole > 0, whole, 1) for name, value in parts.items()}


def _draws(variances: dict[Effect, float], levels: dict[int, int]) -> dict[Effect, Floats]:
    """Return variances that are as likely as these, from chi-squared mean squares."""
    rng = np.random.default_rng(0)
    effects = [effect for effect in variances if effect]
    copies = {e: math.prod(n for axis, n in levels.items() if axis not in e) for e in effects}
    squares: dict[Effect, Floats] = {}
    for effect in effects:
        expected = sum(copies[e] * variances[e] for e in effects if e >= effect)
        freedom = math.prod(levels[axis] - 1 for axis in effect)
        squares[effect] = max(0.0, expected) * freedom / rng.chisquare(freedom, DRAWS)
    return {
        effect: sum(
            ((-1) ** len(e ^ effect) * squares[e] for e in effects if e >= effect), np.zeros(DRAWS)
        )
        / copies[effect]
        for effect in effects
    }
