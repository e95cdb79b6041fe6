"""The statistics of arms over the same seeds, as a run keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from minifw.report.stand_in import Pair, compare_all
from minifw.runs.comparisons import ArmSummary
from minifw.runs.results import PairRecord

Errors = Sequence[float | None]
"""Test errors in percent, one for each seed; None for a seed that diverged."""


def pairs(arms: Mapping[str, Errors], margin: float | None = None) -> list[PairRecord]:
    """Return all pairs of arms; those within the `margin`, in points, count as the same."""
    return [_record(pair) for pair in compare_all(arms, margin)]


def summary(errors: Errors) -> ArmSummary:
    """Return the figures of one arm."""
    left = np.array([error for error in errors if error is not None])
    gone = len(errors) - len(left)
    if not len(left):
        names = set(ArmSummary.model_fields) - {"n", "diverged"}
        return ArmSummary.model_validate(
            {"n": len(errors), "diverged": gone, **dict.fromkeys(names)}
        )
    low, *quartiles, high = np.percentile(left, [0, 25, 50, 75, 100]).tolist()
    return ArmSummary(
        n=len(errors),
        diverged=gone,
        min=low,
        lower_quartile=quartiles[0],
        median=quartiles[1],
        upper_quartile=quartiles[2],
        max=high,
        mean=float(left.mean()),
        sd=float(left.std(ddof=1)) if len(left) > 1 else None,
        median_interval=None,
        mean_interval=None,
    )


def _record(pair: Pair) -> PairRecord:
    return PairRecord(
        a=pair.a,
        b=pair.b,
        n=pair.n,
        diverged=list(pair.diverged),
        difference=pair.difference,
        interval=None if pair.interval is None else list(pair.interval),
        p=pair.p,
        p_holm=pair.p_holm,
        exact=pair.exact,
        smallest_p=pair.smallest_p,
        probability_of_improvement=pair.probability_of_improvement,
        improvement_interval=(
            None if pair.improvement_interval is None else list(pair.improvement_interval)
        ),
        equivalent=pair.equivalent,
        sentence=pair.sentence(),
        warning=pair.warning(),
    )
