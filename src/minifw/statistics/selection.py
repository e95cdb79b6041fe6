"""Choosing the best of several cells, and how much of its lead is luck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Errors = Sequence[float | None]

HALVES = 1000
WORST = 100.0
AT_ONCE = 2**20
"""Errors of halves that are in memory together, about."""


def rank(cells: Sequence[Errors]) -> list[int]:
    """Return the rank of each cell by its errors over seeds, 1 for the best.

    The smallest median is best, among equal ones the smallest mean, then the fewest diverged seeds;
    a diverged seed (None, NaN) counts as infinity in median and mean. Equal cells have equal ranks,
    and the next one's is that of its place.
    """
    keys = []
    for cell in cells:
        errors = np.asarray(cell, dtype=np.float64)
        gone = ~np.isfinite(errors)
        errors = np.where(gone, np.inf, errors)
        mean = float(errors.mean()) if errors.size else np.inf
        keys.append((_median(errors), mean, float(gone.mean()) if errors.size else 1.0))
    first: dict[tuple[float, float, float], int] = {}
    for place, key in enumerate(sorted(keys), 1):
        first.setdefault(key, place)
    return [first[key] for key in keys]


def _median(errors: Floats) -> float:
    """Return the median, where infinities are (NumPy's interpolates and gives NaN)."""
    if not errors.size:
        return np.inf
    lower, upper = np.sort(errors)[[(len(errors) - 1) // 2, len(errors) // 2]]
    return float(lower if lower == upper else (lower + upper) / 2)


@dataclass(frozen=True)
class Optimism:
    """How much better a winner looks than it is, for having been picked as the best.

    Attributes:
        optimism: the mean over the halves, in the unit of the errors; near 0 for a clear winner.
        sd: its standard deviation over the halves.
        same: the share of halves in which the cell that wins over all seeds wins.
        cells: among how many cells was chosen.
        seeds: how many seeds a cell has.

    """

    optimism: float
    sd: float
    same: float
    cells: int
    seeds: int

    def content(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        return asdict(self)


def optimism(
    validation: Sequence[Errors], *, halves: int = HALVES, worst: float = WORST, seed: int = 0
) -> Optimism | None:
    """Return the optimism of having picked the cell with the smallest median over its seeds.

    `validation` is one row of errors a cell, the same seeds in each. The seeds are halved at
    random, again and again, by a fixed generator. With w the cell that is best on one half,
    the optimism is median(w, other half) - median(w, the half it won on), averaged over both
    directions and all halvings. A diverged seed counts as `worst`. With an odd number of seeds one
    is left out of each halving. None with one cell, or below four seeds.

    Halves are noisier than all seeds, so this errs on the side of too much optimism, about by a
    factor of 1.4. The bias is that of Cawley and Talbot 2010, "On over-fitting in model selection",
    and of Varma and Simon 2006, "Bias in error estimation when using cross-validation for model
    selection"; scoring on samples that did not choose is theirs too.
    """
    errors = np.array([[np.nan if e is None else e for e in cell] for cell in validation])
    if len(errors) < 2 or errors.shape[1] < 4:
        return None
    errors = np.where(np.isnan(errors), worst, errors)
    cells, seeds = errors.shape
    rng, half = np.random.default_rng(seed), seeds // 2
    errors = errors[_order(errors)]  # the winner over all seeds comes first, also among equal ones
    found, same = [], []
    some = max(1, AT_ONCE // errors.size)
    for first in range(0, halves, some):
        orders = np.tile(np.arange(seeds), (min(some, halves - first), 1))
        orders = rng.permuted(orders, axis=1)
        one = errors[:, orders[:, :half]]  # (cells, halvings, seeds)
        other = errors[:, orders[:, half : 2 * half]]
        winners = _order(one)[0], _order(other)[0]
        found.append((_gap(winners[0], one, other) + _gap(winners[1], other, one)) / 2)
        same.append([winner == 0 for winner in winners])
    gap = np.concatenate(found)
    share = float(np.concatenate(same, 1).mean())
    return Optimism(float(gap.mean()), float(gap.std(ddof=1)), share, cells, seeds)


def _order(errors: Floats) -> NDArray[np.int64]:
    """Return the cells of `(cells, …, seeds)` from the best on, `(cells, …)`.

    As `rank` has them, but for diverged seeds.
    """
    order: NDArray[np.int64] = np.lexsort((errors.mean(-1), np.median(errors, -1)), axis=0)
    return order


def _gap(winner: NDArray[np.int64], chosen: Floats, scored: Floats) -> Floats:
    """Return by how much the winner on one half is worse on the other, `(halvings,)`."""
    gaps = np.median(scored, -1) - np.median(chosen, -1)
    return np.asarray(np.take_along_axis(gaps, winner[None], 0)[0])
