"""What a sweep's figures are drawn of: where each cell stands on its axes, and its test error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minifw.config.axes import in_one_line
from minifw.report.sweeps import Report

_SIDE = 20
"""Rows and columns of a heat map, at most."""


@dataclass(frozen=True)
class Side:
    """An axis of the sweep: its name, and where each cell stands on it.

    `places` are numbers if `numeric`, else positions in `labels`.
    """

    name: str
    labels: list[str]
    places: list[float]
    numeric: bool
    log: bool

    @classmethod
    def of(cls, keys: Sequence[str], names: dict[str, str], report: Report) -> Side:
        """Return the axis of these keys, which go together."""
        values = [[cell.set.get(key) for key in keys] for cell in report.results.cells]
        flat = [value[0] for value in values]
        texts = [":".join(map(in_one_line, value)) for value in values]
        name = ":".join(names[key] for key in keys)
        numeric = len(keys) == 1 and all(type(v) in (int, float) for v in flat)
        if numeric:
            numbers = [float(v) for v in flat if isinstance(v, int | float)]
            order = sorted(set(zip(numbers, texts, strict=True)))
            return cls(name, [text for _, text in order], numbers, True, _is_log(numbers))
        labels = list(dict.fromkeys(texts))
        return cls(name, labels, [float(labels.index(text)) for text in texts], False, False)

    @property
    def positions(self) -> list[int]:
        """The position of each cell among the different values, in order."""
        order = sorted(set(self.places))
        return [order.index(place) for place in self.places]


def _is_log(numbers: Sequence[float]) -> bool:
    """Whether numbers are spread more evenly by their logarithms."""
    low, high = min(numbers), max(numbers)
    if low <= 0 or high < 10 * low:
        return False
    middle = float(np.median(sorted(set(numbers))))
    share = (middle - low) / (high - low)
    log_share = np.log(middle / low) / np.log(high / low)
    return bool(abs(log_share - 0.5) < abs(share - 0.5))


@dataclass(frozen=True)
class Errors:
    """The test errors of all cells; NaN where all seeds diverged."""

    middle: list[float]
    low: list[float]
    high: list[float]
    diverged: list[int]
    n: list[int]
    stopped: list[bool]
    best: int | None
    is_regression: bool

    @classmethod
    def of(cls, report: Report) -> Errors:
        figures, best = report.outcome.cells, report.outcome.best
        ranked = any(each.rank is not None for each in figures)
        nan = float("nan")
        tested = [report.of_test(each) for each in figures]
        bounds = [interval or (middle, middle) for middle, interval in tested]
        return cls(
            [nan if middle is None else middle for middle, _ in tested],
            [nan if low is None else low for low, _ in bounds],
            [nan if high is None else high for _, high in bounds],
            [each.diverged for each in figures],
            [each.n for each in figures],
            [ranked and each.rank is None and each.median is not None for each in figures],
            None if best is None else best.cell,
            bool(report.results.targets),
        )

    def gone(self, cell: int) -> bool:
        """Whether all seeds of a cell diverged."""
        return self.diverged[cell] == self.n[cell]


def is_grid(sides: Sequence[Side]) -> bool:
    """Whether no two cells stand at the same place, and most places are taken."""
    places = {*zip(*(side.positions for side in sides), strict=True)}
    sizes = [len(set(side.places)) for side in sides]
    return (
        len(places) == len(sides[0].places) and max(sizes) <= _SIDE
        and 2 * len(places) > sizes[0] * sizes[1]
    )  # fmt: skip
