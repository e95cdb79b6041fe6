"""What a comparison of arms has found, as typed objects: the `outcome` of its cells.json.

A run may come from anybody: whatever minifw never writes is refused, as in `records.py`.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from minifw.runs.results import Count, Finite, Percent

Probability = Annotated[float, Field(ge=0, le=1)]
Points = Annotated[list[Finite], Field(min_length=2, max_length=2)]
Line = Annotated[str, Field(max_length=2000)]


class _Record(BaseModel):
    """A model that ignores unknown keys, which a later minifw may write."""

    model_config = ConfigDict(strict=True)


class ArmSummary(_Record):
    """The test errors of one arm over its seeds, in percent, without those that diverged.

    Intervals are 95 % intervals. All is None if every seed diverged.
    """

    n: Count
    diverged: Count
    min: Percent | None
    lower_quartile: Percent | None
    median: Percent | None
    upper_quartile: Percent | None
    max: Percent | None
    mean: Percent | None
    sd: Finite | None
    median_interval: Points | None
    mean_interval: Points | None


class PairRecord(_Record):
    """Two arms over the same seeds.

    `difference` is the mean of a's error minus b's, in points, and `interval` its 95 % interval; a
    seed that diverged has an error of 100 %. `p` is that of the sign-flip test, `p_holm` corrected
    for all pairs. `equivalent` is whether the two are the same within the margin; None without one.
    """

    a: str
    b: str
    n: Count
    diverged: Annotated[list[Count], Field(min_length=2, max_length=2)]
    difference: Finite
    interval: Points | None
    p: Probability
    p_holm: Probability
    exact: bool
    smallest_p: Probability
    probability_of_improvement: Probability
    improvement_interval: Points | None
    equivalent: bool | None
    sentence: Line
    warning: Line | None


class Compared(_Record):
    """The arms of a comparison, by name, and their pairs."""

    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    arms: dict[str, ArmSummary]
    pairs: list[PairRecord]
    notes: list[Line] = []

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for pair in self.pairs:
            if not {pair.a, pair.b} <= self.arms.keys():
                raise ValueError("pairs: each must be of two of the arms")
        return self
