"""What the run of a study holds beside a manifest: what was asked, and what came out.

    study.json      the cells (configs), their seeds, and how they are trained: plain data
    jobs/           one file for each job, which checks itself (`study/store.py`)
    cells.json      loss and errors of every network, by cell

A run may come from anybody: whatever minifw never writes is refused, as in `records.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from minifw.errors import ArtefactError, DivergedError
from minifw.runs import records
from minifw.runs.directory import Run
from minifw.runs.fields import Count, Error, Finite, Seconds
from minifw.runs.results import CrossValidation, Measured
from minifw.statistics.overlap import Overlap

STUDY = "study.json"
CELLS = "cells.json"

MOST_CROSSED = 100_000
"""The most networks of a study of variance."""

Kind = Literal["sweep", "compare", "variance"]
"""The kinds of studies."""

Value = bool | int | float | str | None | list[Any] | dict[str, Any]
"""A value of a config's key, as JSON has it."""


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Crossing(_Record):
    """How many seeds of each purpose are crossed in a study of variance."""

    data: Annotated[int, Field(ge=1)]
    init: Annotated[int, Field(ge=1)]
    order: Annotated[int, Field(ge=1)]


class Cell(_Record):
    """A cell: its name, what it sets beside the study's config, and its whole config as YAML.

    `checksum` is that of its data file, None for generated data.
    """

    name: str
    set: dict[str, Value]
    config: str
    checksum: str | None = None


class Study(_Record):
    """What a study trains: each of the `cells` with each of the `seeds`.

    `crossing` replaces the seeds in a study of variance. `part` is (k, n): the k-th of n parts of
    the lanes, from 1 on. `options` are those of the kind, such as a margin.
    """

    kind: Kind
    cells: Annotated[list[Cell], Field(min_length=1), FailFast()]
    seeds: Annotated[list[Count], Field(min_length=1), FailFast()]
    threads: Annotated[int, Field(ge=1)]
    crossing: Crossing | None = None
    part: Annotated[tuple[int, int], Field(strict=False)] | None = None
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.part is not None and not 1 <= self.part[0] <= self.part[1]:
            raise ValueError("part: must be (k, n) with 1 <= k <= n")
        if len({*self.seeds}) < len(self.seeds):
            raise ValueError("seeds: must differ")
        crossed = self.crossing
        if crossed is not None and crossed.data * crossed.init * crossed.order > MOST_CROSSED:
            raise ValueError(f"crossing: must be of at most {MOST_CROSSED} networks")
        return self


class CellResults(_Record):
    """The results of a cell; lists have a value for each of its seeds, None if it diverged.

    `number` is its position in the study, which may be more than its position in a part of it.
    `epochs` is how far it was trained: less than its config says where a study stopped it.
    `validation_error` is None where there are no validation samples. With early stopping
    `stopped_epoch` is the one after which a seed ended, None for a seed that did not, and
    `best_epoch` that of its best evaluation. `cross_validation` says which folds its seeds are.
    """

    number: Count = 0
    name: str
    set: dict[str, Value]
    seeds: Annotated[list[Count], FailFast()]
    epochs: Count
    test_error: Annotated[list[Error | None], FailFast()]
    validation_error: list[Error | None] | None = None
    train_error: Annotated[list[Error | None], FailFast()]
    train_loss: Annotated[list[Finite | None], FailFast()]
    diverged_epoch: Annotated[list[Count | None], FailFast()]
    diverged_layer: Annotated[list[str | None], FailFast()]
    compiled: bool
    not_compiled: str | None = None
    stopped_epoch: list[Count | None] | None = None
    best_epoch: list[Count] | None = None
    cross_validation: CrossValidation | None = None

    @property
    def overlap(self) -> Overlap | None:
        """How much training samples have in common by cross-validation."""
        return None if self.cross_validation is None else self.cross_validation.overlap


class StudyResults(Measured, _Record):
    """The results of a study, from which tables and figures are made.

    `seconds` is the time in training steps, of all jobs together. `outcome` is what its kind
    computes from the cells: the selection of a sweep, the pairs of a comparison, shares of
    variance.
    """

    kind: Kind
    name: str
    about: str
    dtype: Literal["float32", "float64"]
    cells: Annotated[list[CellResults], Field(min_length=1)]
    seconds: Seconds = 0.0
    outcome: dict[str, Any] = {}

    @property
    def all_diverged(self) -> bool:
        """Whether no network is left."""
        return all(error is None for cell in self.cells for error in cell.test_error)

    def check_converged(self, where: str) -> None:
        """Raise a DivergedError if no network is left; `where` is the run's directory."""
        if self.all_diverged:
            count = sum(len(cell.test_error) for cell in self.cells)
            raise DivergedError(
                f"{where}: all {count} networks diverged; a smaller train.eta may help"
            )


def results_of(run: Run) -> StudyResults:
    """Return the results of a finished study.

    Raises:
        ArtefactError: they are missing, damaged, or of another kind than the manifest says.

    """
    where = str(run.path / CELLS)
    results = records.checked(StudyResults, run.read_json(CELLS), where)
    if results.kind != run.manifest.kind:
        raise ArtefactError(f"{where}: has another kind than the manifest")
    return results


# --------------------------------------------------------------------- outcomes of each kind


Interval = Annotated[list[Error], Field(min_length=2, max_length=2)]


class CellFigures(_Record):
    """What tables and figures show of a cell of a sweep.

    `rank` is by validation error, 1 for the best; `validation` is the median of the validation
    errors. All others are of the test errors, without seeds that diverged: `sd` is with n - 1,
    `interval` is the 95 % interval of the median, `mean_interval` that of the mean.
    """

    rank: Annotated[int, Field(ge=1)] | None
    validation: Error | None
    n: Annotated[int, Field(ge=1)]
    diverged: Count
    min: Error | None
    q1: Error | None
    median: Error | None
    q3: Error | None
    max: Error | None
    mean: Error | None
    sd: Error | None
    interval: Interval | None
    mean_interval: Interval | None


class Chosen(_Record):
    """What having been chosen as the best does to an error, in its unit.

    `optimism` is by how much the error of a winner on the seeds that chose it is below that on
    others; `same` is how often the same cell wins on a half of the seeds, a fraction.
    """

    optimism: Finite
    sd: Finite
    same: Annotated[float, Field(ge=0, le=1)]
    cells: Annotated[int, Field(ge=2)]
    seeds: Annotated[int, Field(ge=1)]


class Best(CellFigures):
    """The best cell of a sweep: its position, and of how many cells it was chosen.

    `optimism` is None if there are less than two cells or four seeds.
    """

    cell: Count
    name: str
    set: dict[str, Value]
    of: Annotated[int, Field(ge=1)]
    optimism: Chosen | None = None


class SweepOutcome(_Record):
    """What a sweep found: figures of each cell, and the best of them.

    `axes` are the keys that were varied; those of a list went together. Halving has `stopped`
    some cells early, and `saved` a share of all epochs; None without halving.
    """

    axes: list[Annotated[list[str], Field(min_length=1)]]
    cells: list[CellFigures]
    best: Best | None = None
    stopped: Count | None = None
    saved: Annotated[float, Field(ge=0, le=1)] | None = None

    def check(self, results: StudyResults) -> None:
        """Raise a ValueError if these do not fit the cells."""
        count = len(results.cells)
        if len(self.cells) != count or (self.best is not None and self.best.cell >= count):
            raise ValueError("outcome: has another number of cells")
        keys = [key for axis in self.axes for key in axis]
        if not keys or any(key not in cell.set for cell in results.cells for key in keys):
            raise ValueError("outcome: axes: must be keys that each cell sets")
