"""Axes as numbers: from where to where they go, where a value lies, and which values are written.

Ticks are at multiples of 1, 2 or 5 times a power of ten, as many as there is room for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minifw.charts.model import Axis, Scale

Floats = NDArray[np.float64]

Ends = Literal["free", "tight", "zero"]

HUGE = 1e300
"""Larger numbers, and their inverse, are drawn at this one, whose sums are finite."""

MARGIN = 0.04
"""Share of an axis that stays free at each end."""


class Tick(NamedTuple):
    """A value that is written beside an axis, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Extent:
    """An axis from `low` to `high`; a `flipped` one has `low` on top, as rows of a table.

    `whole` is whether all its values are integers, `known` whether there are any.
    """

    scale: Scale
    low: float
    high: float
    whole: bool = False
    flipped: bool = False
    known: bool = True

    def shares(self, values: ArrayLike) -> Floats:
        """Return how far along the axis values lie, 0 to 1; NaN where a log scale has no place."""
        numbers = floats(values)
        if self.scale == "log":
            positive = np.where(numbers > 0, numbers, np.nan)
            ends = math.log10(self.low), math.log10(self.high)
            numbers = np.log10(positive)
        else:
            ends = self.low, self.high
        # Halves, since the difference of the ends may be larger than the largest number.
        shares = (numbers / 2 - ends[0] / 2) / (ends[1] / 2 - ends[0] / 2)
        shares = np.where(np.isfinite(shares), shares, np.nan)
        return 1 - shares if self.flipped else shares


def floats(values: ArrayLike) -> Floats:
    """Return values as an array of numbers; None becomes NaN."""
    return np.asarray(values, np.float64)


def extent(
    axis: Axis, values: Sequence[Floats], ends: Ends = "free", flipped: bool = False
) -> Extent:
    """Return the extent of an axis that shows these values.

    Its ends are a little beyond the values, or `tight` at them; or it begins at `zero`, as of bars.
    """
    if axis.scale == "category":
        return Extent("category", -0.5, max(len(axis.categories), 1) - 0.5, True, flipped)
    every = np.concatenate([np.zeros(0), *(each.ravel() for each in values)])
    every = np.clip(every[np.isfinite(every)], -HUGE, HUGE)
    if axis.scale == "log":
        every = np.maximum(every[every > 0], 1 / HUGE)
    whole = bool(len(every)) and bool((every == np.round(every)).all())
    if axis.limits is not None:
        low, high = axis.limits
        if low < high and (axis.scale != "log" or low > 0):
            return Extent(axis.scale, low, high, whole, flipped)
    if not len(every):
        low, high = (1.0, 10.0) if axis.scale == "log" else (0.0, 1.0)
        return Extent(axis.scale, low, high, False, flipped, known=False)
    low, high = float(every.min()), float(every.max())
    around = _around_log(low, high) if axis.scale == "log" else _around(low, high, ends, whole)
    return Extent(axis.scale, *around, whole, flipped)


def _around(low: float, high: float, ends: Ends, whole: bool) -> tuple[float, float]:
    """Return ends around values: at zero where that is near, never below it without need."""
    # Rounding alone is no difference that an axis should make large.
    if high - low <= 1e-9 * max(abs(low), abs(high)) + 1 / HUGE:
        half = max(abs(high) / 10, 1.0 if whole else 0.0) or 1.0
        return low - half, high + half
    margin = MARGIN * (high - low)
    if ends == "tight":
        return low, high
    if ends == "zero":
        return (low - margin if low < 0 else 0.0), (high + margin if high > 0 else 0.0)
    if 0 <= low <= max(high / 4, margin):
        return 0.0 if low > 0 else -margin / 4, high + margin
    if high <= 0 and -high <= max(-low / 4, margin):
        return low - margin, 0.0 if high < 0 else margin / 4
    return low - margin, high + margin


def _around_log(low: float, high: float) -> tuple[float, float]:
    factor = (high / low) ** MARGIN if high / low > 1.0001 else 2.0
    return low / factor, high * factor


def ticks(extent: Extent, most: int) -> list[Tick]:
    """Return at most about so many ticks, two at least where numbers allow it."""
    if not extent.known:
        return []
    if extent.scale == "log":
        found = _log_ticks(extent.low, extent.high, most)
        if len(found) >= 2:
            return [Tick(value, numeral(value)) for value in found]
    step = nice((extent.high - extent.low) / max(most, 1))
    if extent.whole:
        step = max(step, 1.0)
    first, last = math.ceil(extent.low / step - 1e-9), math.floor(extent.high / step + 1e-9)
    values = [n * step for n in range(first, last + 1)]
    return [Tick(value, _beside(value, step, values)) for value in values]


def nice(step: float) -> float:
    """Return the next larger of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(f * power for f in (1.0, 2.0, 5.0, 10.0) if f * power >= step * (1 - 1e-9))


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return powers of ten, every second or third where there are many; 2 and 5 where few."""
    first, last = math.floor(math.log10(low)), min(math.ceil(math.log10(high)), 307)
    for factors in ((1, 2, 5), (1,)):
        found = [f * 10.0**power for power in range(first, last + 1) for f in factors]
        found = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(found) <= most:
            return found
    powers = [power for power in range(first, last + 1) if low <= 10.0**power <= high]
    every = max(1, round(nice(len(powers) / max(most, 1))))
    return [10.0**power for power in powers if power % every == 0]


def _beside(value: float, step: float, values: Sequence[float]) -> str:
    """Return the text of a tick, with as many digits as tell it from the next one."""
    largest = max(map(abs, values))
    if largest >= 1e6 or step < 1e-4:
        power = math.floor(math.log10(largest))
        digits = max(0, power - math.floor(math.log10(step) + 1e-9))
        if digits <= 6:  # else a factor would save nothing
            lead = minus(f"{value / 10.0**power:.{digits}f}")
            return "0" if value == 0 else f"{lead}×10{_raised(power)}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{round(value, decimals) + 0.0:,.{decimals}f}"
    return minus(text.replace(",", " " if largest >= 1e4 else ""))


def numeral(value: float) -> str:
    """Return a number as people read it: 0.001, 250, 10⁻⁵, 1.5×10⁷."""
    if not math.isfinite(value):
        return "–"
    if value == 0 or 1e-4 <= abs(value) < 999_999.5:
        return minus(f"{value:.4g}" if abs(value) < 9_999.5 else f"{value:.0f}")
    # Python's own notation has a power that fits the digits after rounding, of any number.
    digits, _, power = f"{value:.2e}".partition("e")
    lead = minus(f"{float(digits):g}")
    return ("" if lead == "1" else "−" if lead == "−1" else f"{lead}×") + f"10{_raised(int(power))}"


def minus(text: str) -> str:
    """Return a number's text with a minus sign, which a hyphen is not."""
    return text.replace("-", "−")


def _raised(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
