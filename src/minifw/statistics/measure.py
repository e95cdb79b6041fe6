"""What an error is: how it is named, its unit, and how its figures are written.

An error of classification is the percentage of samples of which the largest output is not their
class. That of regression is the root mean squared error (RMSE) in the targets' own unit. Of all
errors smaller is better. Reports ask a `Measure` instead of knowing either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Task = Literal["classification", "regression"]

ALIKE = 1e-4
"""RMSEs that differ by less are the same in four digits; they hardly ever are in all."""

MARGIN = 0.5
"""Percentage points of test error within which two ways of training count as the same."""


@dataclass(frozen=True)
class Measure:
    """How errors are measured and written; without targets those of classification.

    Attributes:
        targets: the names of what is predicted by regression, in its order.
        unit: their unit, as a user has named it; it may be empty.

    """

    targets: tuple[str, ...] = ()
    unit: str = ""

    @property
    def task(self) -> Task:
        return "regression" if self.targets else "classification"

    @property
    def name(self) -> str:
        """What an error is called, as in `test error`."""
        return "RMSE" if self.targets else "error"

    @property
    def errors(self) -> str:
        """What several are called."""
        return "RMSEs" if self.targets else "errors"

    @property
    def behind(self) -> str:
        """What stands behind a figure: a space and the unit, or nothing."""
        if not self.targets:
            return " %"
        return f" {self.unit}" if self.unit else ""

    @property
    def points(self) -> str:
        """The unit of a difference of errors."""
        return self.unit if self.targets else "points"

    @property
    def what(self) -> str:
        """A clause that says what the figures are, for captions."""
        if not self.targets:
            return "in percent"
        return f"in {self.unit}" if self.unit else f"in the unit of {self.of}"

    @property
    def head(self) -> str:
        """The unit as a column's head has it, after a comma."""
        unit = self.unit if self.targets else "%"
        return f", {unit}" if unit else ""

    @property
    def in_points(self) -> str:
        """A clause that says what differences are."""
        return self.what if self.targets else "in percentage points"

    @property
    def written(self) -> Callable[[float], str] | None:
        """How a table writes its figures, None for its usual two decimals."""
        return digits if self.targets else None

    @property
    def of(self) -> str:
        """The targets by their names."""
        names = ", ".join(self.targets[:3]) + (", …" if len(self.targets) > 3 else "")
        return names if len(self.targets) == 1 else f"all targets ({names})"

    def axis(self, kind: str = "test ") -> str:
        """Return the label of an axis with errors of this kind."""
        if not self.targets:
            return f"{kind}error, % of samples"
        return f"{kind}RMSE of {self.of}" + (f", {self.unit}" if self.unit else "")

    def number(self, error: float) -> str:
        """Return a figure as people read it: two decimals of percent, or four digits."""
        return f"{error:.2f}" if not self.targets else digits(error)

    def figure(self, error: float) -> str:
        """Return a figure with its unit, as `3.40 %`."""
        return f"{self.number(error)}{self.behind}"

    def brief(self, error: float) -> str:
        """Return a figure in few characters, for a line of progress."""
        return f"{digits(error)}{self.behind}" if self.targets else f"{error:.1f} %"

    def size(self, difference: float) -> str:
        """Return a size that a user named: `0.3 points`, `1 point`, `2 mg`."""
        if self.targets:
            return f"{difference:.4g}{self.behind}"
        return f"{difference:g} point{'' if difference == 1 else 's'}"

    def difference(self, size: float) -> str:
        """Return the size of a difference with its unit, as `0.30 points`."""
        return f"{self.number(size)} {self.points}".rstrip()

    def same(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which errors are the same: equal ones, or of regression in their first digits."""
        return np.isclose(a, b, rtol=ALIKE, atol=0) if self.targets else a == b

    def margin(self, guessing: float) -> float | None:
        """Return within which difference two errors count as the same if nobody says otherwise.

        Half a point of percent; of regression 1 % of the error of `guessing` the mean, which half
        a point is of guessing one of two classes. None if that is 0.
        """
        return (0.01 * guessing or None) if self.targets else MARGIN

    def worst(self, errors: Iterable[float], guessing: float = 0.0) -> float:
        """Return as what a network that diverged counts: it is as bad as can be.

        By classification that is 100 %; by regression the largest error of all, or that of
        `guessing` the mean if it is larger.
        """
        return max(guessing, *errors, 0.0) if self.targets else 100.0


ERROR = Measure()
"""The error of classification."""


def digits(number: float) -> str:
    """Return four significant digits, without a power of ten where that is readable."""
    size = abs(number)
    sign = "−" if number < 0 else ""
    if size == 0:
        return "0"
    if not 1e-3 <= size < 1e6:
        return f"{sign}{size:.3e}"
    places = max(0, 3 - math.floor(math.log10(size)))
    return f"{sign}{size:.{places}f}"
