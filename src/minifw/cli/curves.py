"""Curves as text: medians and the bands of quartiles over epochs, in characters of a terminal.

Each arm has its own two characters, so nothing depends on colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIDE = 64
"""Columns from which two panels stand side by side."""
LABEL = 6
"""Columns of the numbers beside an axis."""
APART = 30
"""The ratio of the largest to the smallest figure from which the axis is logarithmic."""

Paint = Callable[[str, int], str]
"""Gives a text the colour of an arm."""


@dataclass(frozen=True)
class Marks:
    """The characters of medians and of bands, one each for an arm, and those of the axes."""

    medians: str
    bands: str
    side: str
    corner: str
    floor: str
    bar: str
    rest: str


PRETTY = Marks("●◆■▲", "░▒·:", "│", "└", "─", "━", "─")
ASCII = Marks("oxs^", ".:',", "|", "+", "-", "=", "-")


def marks_for(encoding: str) -> Marks:
    """Return marks that this encoding has."""
    try:
        "".join(vars(PRETTY).values()).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return PRETTY


@dataclass(frozen=True)
class Curve:
    """What was measured of an arm's networks: `(evaluations,)` each, epochs in their order."""

    epochs: Floats
    low: Floats
    median: Floats
    high: Floats

    @classmethod
    def of(cls, epochs: Sequence[int], values: Sequence[Floats]) -> Curve:
        """Return median and quartiles over the networks; evaluations without any are left out.

        Args:
            epochs: those after which was measured.
            values: what was measured after each, a number a network, NaN if it diverged.

        """
        finite = [each[np.isfinite(each)] for each in map(np.atleast_1d, values)]
        some = [(epoch, each) for epoch, each in zip(epochs, finite, strict=True) if each.size]
        quartiles = [np.percentile(each, (25, 50, 75)) for _, each in some]
        low, median, high = np.array(quartiles).reshape(-1, 3).T
        return cls(np.array([epoch for epoch, _ in some], np.float64), low, median, high)

    def at(self, epochs: Floats) -> tuple[Floats, Floats, Floats]:
        """Return low, median and high at these epochs, on straight lines; NaN beyond the last."""
        if not len(self.epochs):
            return (np.full(len(epochs), np.nan),) * 3
        low, median, high = (
            np.interp(epochs, self.epochs, values, right=np.nan)
            for values in (self.low, self.median, self.high)
        )
        return low, median, high


@dataclass(frozen=True)
class Scale:
    """Where a figure stands on an axis: 0 is the bottom, 1 the top."""

    bottom: float
    top: float
    logarithmic: bool

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> Scale:
        """Return the scale on which all of these have a place."""
        values = np.concatenate([np.zeros(0), *(part for c in curves for part in (c.low, c.high))])
        medians = np.concatenate([np.zeros(0), *(c.median for c in curves)])
        top = float(values.max()) if values.size and values.max() > 0 else 1.0
        above = medians[medians > 0]
        if above.size and top > APART * above.min():
            return cls(float(above.min()), top, True)
        return cls(0.0, top, False)

    def place(self, value: Floats) -> Floats:
        """Return the places of these figures; those below the bottom are at the bottom."""
        if not self.logarithmic:
            return value / self.top
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(value, self.bottom) / self.bottom)
        found: Floats = logs / np.log(self.top / self.bottom)
        return found

    def value(self, place: float) -> float:
        """Return the figure at a place."""
        if self.logarithmic:
            return float(self.bottom * (self.top / self.bottom) ** place)
        return self.top * place


def panel(
    title: str,
    curves: Sequence[Curve],
    last: int,
    size: tuple[int, int],
    marks: Marks,
    paint: Paint,
) -> list[str]:
    """Return the lines of a panel, each as wide as the panel.

    Args:
        title: what is shown.
        curves: one for each arm.
        last: the epoch at the right end.
        size: columns and rows, axis and title included.
        marks: the characters.
        paint: gives colour.

    """
    width, rows = size[0] - LABEL - 2, max(1, size[1] - 3)
    scale, places = Scale.of(curves), np.linspace(0, last, width)

    def row(value: float) -> int:
        return rows - 1 - round(float(value) * (rows - 1))

    bands: dict[tuple[int, int], list[int]] = {}  # by row and column, the arms that are there
    medians: dict[tuple[int, int], list[int]] = {}
    for number, curve in enumerate(curves):
        low, median, high = map(scale.place, curve.at(places))
        for column in map(int, np.flatnonzero(~np.isnan(median))):
            for line in range(row(high[column]), row(low[column]) + 1):
                bands.setdefault((line, column), []).append(number)
            medians.setdefault((row(median[column]), column), []).append(number)

    def cell(line: int, column: int) -> tuple[str, int]:
        """Return the mark of a place, and whose it is: arms that share one take turns."""
        for there, known in ((medians, marks.medians), (bands, marks.bands)):
            if numbers := there.get((line, column)):
                number = numbers[column % len(numbers)]
                return known[number % len(known)], number
        return " ", -1

    grid = [[cell(line, column) for column in range(width)] for line in range(rows)]
    labelled = {row(place): scale.value(place) for place in (0, 0.5, 1)}
    lines = [title[: size[0]].ljust(size[0])]
    for number, cells in enumerate(grid):
        label = f"{labelled[number]:.3g}" if number in labelled else ""
        lines.append(f"{label[:LABEL]:>{LABEL}} {marks.side}{_painted(cells, paint)}")
    ends = f"0{last:>{width - 1}}" if width > len(str(last)) else str(last)
    lines += [" " * (LABEL + 1) + marks.corner + marks.floor * width, " " * (LABEL + 2) + ends]
    return lines


def _painted(cells: Sequence[tuple[str, int]], paint: Paint) -> str:
    """Return cells as text; neighbours of an arm are painted together."""
    text, run, owner = "", "", -1
    for mark, number in [*cells, ("", -2)]:
        if number != owner:
            text += run if owner < 0 else paint(run, owner)
            run, owner = "", number
        run += mark
    return text


def beside(panels: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return panels side by side if there is room, else below each other."""
    if width < WIDE:
        return [line for lines in panels for line in lines]
    return ["  ".join(lines) for lines in zip(*panels, strict=True)]


def legend(names: Sequence[str], width: int, marks: Marks, paint: Paint) -> list[str]:
    """Return which characters are whose, in lines of at most this width."""
    lines, used = [""], 0
    for number, name in enumerate(names):
        median = marks.medians[number % len(marks.medians)]
        band = marks.bands[number % len(marks.bands)]
        name = name[: max(1, width - 6)]
        if used and used + 3 + 4 + len(name) > width:
            lines.append("")
            used = 0
        gap = "   " if used else ""
        lines[-1] += f"{gap}{paint(f'{median} {band}', number)} {name}"
        used += len(gap) + 4 + len(name)
    return lines
