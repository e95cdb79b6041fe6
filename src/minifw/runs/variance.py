"""What a study of variance found: the outcome in its cells.json, checked since a run may come from
anybody.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field

from minifw.errors import ArtefactError
from minifw.runs import records
from minifw.runs.arms import Mode
from minifw.runs.fields import Count, Error, Line
from minifw.runs.results import Measured
from minifw.runs.studies import Crossing, StudyResults

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Interval = Annotated[list[Fraction], Field(min_length=2, max_length=2)]
Part = Literal["data", "init", "order", "interaction"]
"""A part of the variance; the first three are the purposes of seeds."""


class Without(BaseModel):
    """What would have been found without one seed of a purpose: its share, and `total_sd`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    part: Part
    seed: Count
    share: Fraction | None
    total_sd: Error


class VarianceOutcome(Measured):
    """What makes the spread of the test errors. A network that diverged counts as 100 %
    error, and of regression as the largest error of all.

    Attributes:
        mode: how the networks were trained.
        optimizer: the name of the optimiser, None for gradient descent.
        counts: how many seeds of each purpose were crossed.
        seed: the first seed of each.
        shares: fractions of the variance, which sum to 1; None without a spread.
        intervals: their 95 % intervals, None where there is none.
        total_sd: standard deviation of a test error, in its unit; None if all networks diverged.
        mean: mean test error.
        without: without the seed that is farthest from the others, of the purpose with the largest
            share; None if it has fewer than four seeds.
        diverged: how many networks diverged.
        test_samples: how many samples a network is tested on.
        test_set: the fraction of the variance expected from their finite number alone;
            None of regression.
        difference, power, seeds_needed: how many seeds two configs need, so that this difference
            of their means, in the unit of errors, is found with this probability; None if all
            diverged.
        seeds_for: the same for other differences.

    """

    model_config = ConfigDict(strict=True, extra="forbid")

    mode: Mode
    optimizer: Line | None = None
    counts: Crossing
    seed: Count
    shares: dict[Part, Fraction | None]
    intervals: dict[Part, Interval | None]
    total_sd: Error | None
    mean: Error
    without: Without | None
    diverged: Count
    test_samples: Count
    test_set: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    difference: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    power: Fraction
    seeds_needed: Annotated[int, Field(ge=2)] | None
    seeds_for: dict[str, Annotated[int, Field(ge=2)] | None]

    @classmethod
    def of(cls, results: StudyResults, where: str = "") -> Self:
        """Return what was found, checked.

        Raises:
            ArtefactError: it is not that of a study of variance; `where` is its source.

        """
        found = records.checked(cls, results.outcome, f"{where}: outcome")
        if not set(found.shares) == set(found.intervals) == set(get_args(Part)):
            raise ArtefactError(f"{where}: outcome: must have a share and an interval of each part")
        if len(results.cells) != 1 or len(results.cells[0].test_error) != found.networks:
            raise ArtefactError(f"{where}: must have a test error for each of the crossed seeds")
        return found

    @property
    def networks(self) -> int:
        """How many networks there are."""
        return self.counts.data * self.counts.init * self.counts.order

    @property
    def seeds(self) -> dict[str, list[int]]:
        """The seeds of each purpose, in the order of the errors."""
        counts: dict[str, int] = self.counts.model_dump()
        return {name: [*range(self.seed, self.seed + count)] for name, count in counts.items()}
