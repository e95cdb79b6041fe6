"""What a comparison of arms has found, as typed objects: the `outcome` of its cells.json.

A run may come from anybody: whatever minifw never writes is refused, as in `records.py`.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from minifw.runs.fields import Count, Error, Finite, Line, Margin, Points
from minifw.runs.results import Measured, PairRecord


class _Record(BaseModel):
    """A model that ignores unknown keys, which a later minifw may write."""

    model_config = ConfigDict(strict=True)


class ArmSummary(_Record):
    """The test errors of one arm over its seeds: what `minifw.statistics.summary.Summary` says."""

    n: Count
    diverged: Count
    min: Error | None
    q1: Error | None
    median: Error | None
    q3: Error | None
    max: Error | None
    mean: Error | None
    sd: Finite | None
    median_interval: Points | None
    mean_interval: Points | None


class Compared(Measured, _Record):
    """The arms of a comparison, by name, and their pairs."""

    margin: Margin | None = None
    arms: dict[str, ArmSummary]
    pairs: list[PairRecord]
    notes: list[Line] = []

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for pair in self.pairs:
            if not {pair.a, pair.b} <= self.arms.keys():
                raise ValueError("pairs: each must be of two of the arms")
        return self
