"""What is put side by side in charts: an arm's errors over the seeds, and over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from minifw.page.series import Mask, Series
from minifw.report.bands import Floats
from minifw.runs import ARMS, Arm, Mode
from minifw.runs.results import Results
from minifw.runs.studies import StudyResults
from minifw.statistics.overlap import Overlap
from minifw.statistics.summary import Summary, summarize


@dataclass(frozen=True, eq=False)
class Side:
    """One arm: its test error of each seed, NaN if it diverged, and its measurements.

    `group` is the panel in which it is drawn with others, `color` its colour there.
    """

    name: str
    group: str
    seeds: Sequence[int]
    errors: Floats
    color: int = 0
    series: Series | None = None
    overlap: Overlap | None = None
    stopped: tuple[int, ...] = ()
    """The epochs after which seeds stopped early."""
    crossed: bool = False
    """Whether networks share seeds, so that they are not independent: they have no interval."""
    twin: bool = False
    """Whether it is PyTorch's, which learns as minifw's does."""

    @property
    def left(self) -> Mask:
        """Which seeds did not diverge."""
        mask: Mask = ~np.isnan(self.errors)
        return mask

    @property
    def full_name(self) -> str:
        """The name with its group."""
        return f"{self.group}, {self.name}" if self.group else self.name

    @property
    def summary(self) -> Summary:
        """The figures of its errors."""
        found = summarize(self.errors.tolist(), self.overlap)
        if self.crossed:
            found = replace(found, median_interval=None, mean_interval=None)
        return found


def of_results(
    results: Results, series: Mapping[tuple[Mode, Arm], Series] | None = None
) -> list[Side]:
    """Return the arms of a run of train, or of a comparison with PyTorch."""
    return [
        Side(
            name=ARMS[arm],
            group=results.title(mode),
            seeds=results.seeds,
            errors=np.array(outcome.test_error, np.float64),
            color=number,
            series=(series or {}).get((mode, arm)),
            overlap=results.data.overlap,
            stopped=tuple(epoch for epoch in outcome.stopped_epoch or () if epoch is not None),
            twin=arm != "minifw",
        )
        for mode, arms in results.modes.items()
        for number, (arm, outcome) in enumerate(arms.items())
    ]


def of_study(results: StudyResults, series: Mapping[int, Series]) -> list[Side]:
    """Return the cells of a study as arms."""
    return [
        Side(
            name=cell.name,
            group="",
            seeds=cell.seeds,
            errors=np.array(cell.test_error, np.float64),
            color=number,
            series=series.get(cell.number),
            overlap=cell.overlap,
            stopped=tuple(epoch for epoch in cell.stopped_epoch or () if epoch is not None),
        )
        for number, cell in enumerate(results.cells)
    ]


def groups(sides: Sequence[Side]) -> dict[str, list[Side]]:
    """Return the arms by the panel in which they are drawn."""
    found: dict[str, list[Side]] = {}
    for side in sides:
        found.setdefault(side.group, []).append(side)
    return found
