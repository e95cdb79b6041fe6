"""Components of variance: how much of the spread comes from data, initial weights and order.

Errors y of a fully crossed design are a sum of random effects,

    y[d, i, o] = mean + D[d] + I[i] + O[o] + DI[d, i] + DO[d, o] + IO[i, o] + rest[d, i, o],

each with its own variance. Searle, Casella and McCulloch 1992, "Variance Components", chapter 4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Effect = tuple[int, ...]
"""The axes of `errors` on which an effect depends."""

FACTORS = ("data", "init", "order")
PARTS = (*FACTORS, "interaction")
WORST = 100.0
LEVEL = 0.95
DRAWS = 10_000
MANY = 1_000_000


@dataclass(frozen=True)
class Components:
    """The shares of the parts in the variance of an error whose seeds are all new.

    Attributes:
        shares: fractions that sum to 1, by part (`PARTS`); all None if errors do not differ.
        intervals: 95 % intervals of the shares; None for a factor with one level.
        total_sd: the standard deviation of the error, in its unit.
        levels: how many seeds each factor had.
        diverged: networks without an error, which count as `worst`.

    """

    shares: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]
    total_sd: float
    levels: dict[str, int]
    diverged: int

    def seeds_needed(self, difference: float, power: float = 0.8, level: float = 0.05) -> int:
        """Return how many seeds show a difference of the mean errors of two configs.

        That is, with this probability, by a paired test over the same seeds, two-sided. Both arms
        are taken to spread like this one, and independently of one another, so that a difference
        spreads with sqrt(2) total_sd; where good seeds are good for both arms, fewer do. At least
        as many as can give so small a p in the sign-flip test (6 for 0.05).
        """
        if not difference > 0:
            raise ValueError(f"the difference must be above 0, got {difference}")
        least = math.ceil(1 - math.log2(level))
        if self.total_sd == 0:
            return least
        return max(least, paired_seeds(difference, math.sqrt(2) * self.total_sd, power, level))

    def content(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        return {
            "shares": dict(self.shares),
            "intervals": {k: v if v is None else list(v) for k, v in self.intervals.items()},
            "total_sd": self.total_sd,
            "levels": dict(self.levels),
            "diverged": self.diverged,
        }


def components(
    errors: ArrayLike, *, level: float = LEVEL, worst: float = WORST, seed: int = 0
) -> Components:
    """Return the components of variance of errors `(data, init, order)`, one network each.

    The method of moments (ANOVA, Henderson's method 1): the mean square of each effect is set equal
    to its expectation. All interactions are one part, the sum of their variances. A part below 0,
    as chance has it, counts as 0. A factor with one level has no part. NaN, a network that
    diverged, counts as `worst`, so a config that sometimes diverges is one that spreads.

    The intervals are generalised confidence intervals (Weerahandi 1993; Hannig, Iyer and Patterson
    2006): a mean square with f degrees of freedom is drawn as itself times f / chi²(f), which takes
    the effects as normally distributed.
    """
    values = np.asarray(errors, dtype=np.float64)
    if values.ndim != 3 or not values.size:
        raise ValueError(f"errors must be (data, init, order), got {values.shape}")
    gone = np.isnan(values)
    values = np.where(gone, worst, values)
    values = values - values.min()  # equal errors have no spread, not even of rounding
    axes = [axis for axis, levels in enumerate(values.shape) if levels > 1]
    effects = [effect for effect in _subsets(axes) if effect]
    freedom = {e: math.prod(values.shape[axis] - 1 for axis in e) for e in effects}
    squares = {e: _mean_square(values, e, freedom[e]) for e in effects}
    parts = _parts(squares, values.shape)
    total = sum(float(part) for part in parts.values())
    rng = np.random.default_rng(seed)
    drawn = _parts(
        {e: squares[e] * freedom[e] / rng.chisquare(freedom[e], DRAWS) for e in effects},
        values.shape,
    )
    varied = {FACTORS[axis] for axis in axes} | ({"interaction"} if len(axes) > 1 else set())
    shares: dict[str, float | None] = dict.fromkeys(PARTS)
    intervals: dict[str, tuple[float, float] | None] = dict.fromkeys(PARTS)
    if total > 0:
        shares = {name: float(part) / total for name, part in parts.items()}
        whole = sum(drawn.values())
        for name in PARTS:
            if name in varied and len(axes) > 1:
                ends = np.quantile(drawn[name] / whole, ((1 - level) / 2, (1 + level) / 2))
                intervals[name] = float(ends[0]), float(ends[1])
    return Components(
        shares=shares,
        intervals=intervals,
        total_sd=math.sqrt(total),
        levels=dict(zip(FACTORS, values.shape, strict=True)),
        diverged=int(gone.sum()),
    )


def paired_seeds(difference: float, sd: float, power: float = 0.8, level: float = 0.05) -> int:
    """Return with how many pairs a paired t-test has this power; at most MANY.

    `sd` is the standard deviation of a difference. By the noncentral t distribution.
    """
    from scipy import special  # takes 0.15 s, and few ask

    def reached(n: int) -> bool:
        shift = difference / sd * math.sqrt(n)
        bound = float(special.stdtrit(n - 1, 1 - level / 2))
        below = special.nctdtr(n - 1, shift, bound) - special.nctdtr(n - 1, shift, -bound)
        return not below > 1 - power  # it is NaN where the shift is huge

    low, high = 1, 2  # by doubling, then by halving what is between
    while high < MANY and not reached(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return min(high, MANY)


def _subsets(axes: Iterable[int]) -> Iterator[Effect]:
    axes = list(axes)
    return chain.from_iterable(combinations(axes, size) for size in range(len(axes) + 1))


def _mean_square(values: Floats, effect: Effect, freedom: int) -> float:
    """Return the mean square of an effect: of its means, less what its parts explain."""
    estimate = sum(
        (-1) ** (len(effect) - len(part)) * _means(values, part) for part in _subsets(effect)
    )
    copies = values.size // np.size(estimate)
    return float(copies * np.sum(np.square(estimate)) / freedom)


def _means(values: Floats, effect: Effect) -> Floats:
    others = tuple(axis for axis in range(values.ndim) if axis not in effect)
    return np.asarray(values.mean(others, keepdims=True))


def _parts(squares: dict[Effect, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the variance of each part, not below 0, from the mean squares of all effects.

    The expected mean square of an effect is the sum over all effects that contain it of copies
    times variance, copies being the networks that share the levels of that effect; so its own is
    an alternating sum.
    """
    variances = {}
    for effect in squares:
        copies = math.prod(n for axis, n in enumerate(shape) if axis not in effect)
        more = [e for e in squares if {*e} >= {*effect}]
        variances[effect] = sum((-1) ** (len(e) - len(effect)) * squares[e] for e in more) / copies
    zero = 0 * sum(squares.values())
    parts = {name: variances.get((axis,), zero) for axis, name in enumerate(FACTORS)}
    parts["interaction"] = sum((v for e, v in variances.items() if len(e) > 1), zero)
    return {name: np.maximum(part, 0.0) for name, part in parts.items()}
