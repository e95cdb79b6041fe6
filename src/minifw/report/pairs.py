"""The statistics of arms over the same seeds, as a run keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minifw.runs.comparisons import ArmSummary
from minifw.runs.results import PairRecord
from minifw.statistics.measure import ERROR, Measure
from minifw.statistics.overlap import Overlap
from minifw.statistics.paired import compare_all
from minifw.statistics.summary import summarize

Errors = Sequence[float | None]
"""Test errors, one for each seed; None for a seed that diverged."""


def pairs(
    arms: Mapping[str, Errors],
    margin: float | None = None,
    measure: Measure = ERROR,
    guessing: float = 0.0,
    overlap: Overlap | None = None,
) -> list[PairRecord]:
    """Return all pairs of arms; those within the `margin`, in the unit of errors, are the same.

    A seed that diverged counts as the worst error, which may be that of `guessing`. `overlap` is
    that of cross-validation.
    """
    known = [error for errors in arms.values() for error in errors if error is not None]
    worst = measure.worst(known, guessing)
    found = compare_all(arms, margin, worst=worst, measure=measure, overlap=overlap)
    return [PairRecord.model_validate(pair.content()) for pair in found]


def summary(errors: Errors, overlap: Overlap | None = None) -> ArmSummary:
    """Return the figures of one arm."""
    return ArmSummary.model_validate(summarize(errors, overlap).content())
