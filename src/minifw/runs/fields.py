"""The kinds of values in the files of a run: counts, errors, times, lines of text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, le=2**53)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=1e3, allow_inf_nan=False)]
Error = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""An error as the run's measure says: in percent, or in the unit of the targets."""
Probability = Annotated[float, Field(ge=0, le=1)]
Points = Annotated[list[Finite], Field(min_length=2, max_length=2)]
Margin = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Line = Annotated[str, Field(max_length=100_000)]
MeasureName = Literal["error", "rmse"]
Unit = Annotated[str, Field(min_length=1, max_length=40)]


class Part(BaseModel):
    """A model that ignores unknown keys, which a later minifw may write."""

    model_config = ConfigDict(strict=True)
