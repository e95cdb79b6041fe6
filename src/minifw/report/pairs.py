"""The statistics of arms over the same seeds, as a run keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minifw.runs.comparisons import ArmSummary
from minifw.runs.results import PairRecord
from minifw.statistics.paired import compare_all
from minifw.statistics.summary import summarize

Errors = Sequence[float | None]
"""Test errors in percent, one for each seed; None for a seed that diverged."""


def pairs(arms: Mapping[str, Errors], margin: float | None = None) -> list[PairRecord]:
    """Return all pairs of arms; those within the `margin`, in points, count as the same."""
    return [PairRecord.model_validate(pair.content()) for pair in compare_all(arms, margin)]


def summary(errors: Errors) -> ArmSummary:
    """Return the figures of one arm."""
    return ArmSummary.model_validate(summarize(errors).content())
