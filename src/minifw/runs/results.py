"""The content of results.json as typed objects, for lists of runs, tables and figures.

A run may come from anybody: whatever minifw never writes is refused, as in `records.py`.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from minifw.runs.arms import Arm, Mode, titled
from minifw.runs.fields import (
    Count,
    Error,
    Finite,
    Line,
    Margin,
    MeasureName,
    Part,
    Percent,
    Points,
    Probability,
    Seconds,
    Unit,
)
from minifw.runs.scores import ScoreRecord
from minifw.statistics.measure import ERROR, Measure
from minifw.statistics.overlap import Overlap


class Measured(BaseModel):
    """How errors are measured; results without these keys are those of classification."""

    measure: MeasureName = "error"
    unit: Unit | None = None
    targets: list[str] = []

    @property
    def measured(self) -> Measure:
        """The same as an object that reports ask."""
        return Measure(tuple(self.targets), self.unit or "")

    def measured_content(self) -> dict[str, Any]:
        """Return these keys for other programs, none of classification."""
        return of_measure(self.measured) if self.targets else {}


def of_measure(measure: Measure) -> dict[str, Any]:
    """Return the keys of `Measured`."""
    name = "rmse" if measure.targets else "error"
    return {"measure": name, "unit": measure.unit or None, "targets": list(measure.targets)}


class Summary(Part):
    """Test errors over the seeds: what `minifw.statistics.summary.Summary` says.

    Min, median, mean and max are None if all seeds diverged; an old run lacks the others.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    n: Count | None = None
    diverged: Count | None = None
    min: Error | None
    q1: Error | None = None
    median: Error | None
    q3: Error | None = None
    mean: Error | None
    sd: Error | None = None
    max: Error | None
    median_interval: Points | None = None
    mean_interval: Points | None = None


class ListedArm(Part):
    """Results of one arm in one mode that lists of runs show."""

    summary: Summary
    seconds: Seconds


class Listed(Part):
    """Keys of results.json that lists of runs show; old runs may lack the others."""

    modes: dict[Mode, dict[Arm, ListedArm]]
    measure: MeasureName = "error"
    unit: Unit | None = None

    @property
    def measured(self) -> Measure:
        """How errors are measured; the names of the targets are not looked up."""
        return Measure(("target",), self.unit or "") if self.measure == "rmse" else ERROR

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not all("minifw" in arms for arms in self.modes.values()):
            raise ValueError("modes: each must hold arm 'minifw'")
        return self


OPTIONAL = (
    "validation_error", "test_loss", "validation_loss", "stopped_epoch", "best_epoch", "r2", "mae",
    "target_rmse", "scores",
)  # fmt: skip
"""Results of an arm that not every run has."""


class ArmResults(Part):
    """Results of one arm in one mode; lists have a value for each seed, None if it diverged.

    `validation_error` and `validation_loss` are None where there are no samples for validation.
    With early stopping, `stopped_epoch` is the one after which a seed ended, None for a seed that
    did not, and `best_epoch` that of its best evaluation; both are None without it. An old run has
    no `test_loss` and no `validation_loss`. `r2`, the coefficient of determination, and `mae`, the
    mean absolute error, are those of the test samples, and None of classification. `target_rmse`
    has the RMSE of each target where there are several. `scores` are those of classification.

    `diverged_layer` is the layer with the first value that is not finite. `seconds` is the time
    spent in training steps. `not_compiled` is why steps could not be compiled, None otherwise.
    """

    test_error: Annotated[list[Error | None], FailFast()]
    train_error: Annotated[list[Error | None], FailFast()]
    train_loss: Annotated[list[Finite | None], FailFast()]
    diverged_epoch: Annotated[list[Count | None], FailFast()]
    diverged_layer: Annotated[list[str | None], FailFast()]
    summary: Summary
    seconds: Seconds
    evaluation_seconds: Seconds
    compiled: bool
    not_compiled: str | None = None
    validation_error: Annotated[list[Error | None] | None, FailFast()] = None
    test_loss: Annotated[list[Finite | None] | None, FailFast()] = None
    validation_loss: Annotated[list[Finite | None] | None, FailFast()] = None
    stopped_epoch: Annotated[list[Count | None] | None, FailFast()] = None
    best_epoch: Annotated[list[Count] | None, FailFast()] = None
    r2: Annotated[list[Finite | None] | None, FailFast()] = None
    mae: Annotated[list[Error | None] | None, FailFast()] = None
    target_rmse: dict[str, list[Error | None]] | None = None
    scores: ScoreRecord | None = None

    def of_seeds(self) -> dict[str, Sized]:
        """Return the lists with a value for each seed, by name."""
        found: dict[str, Sized] = {k: value for k, value in self if isinstance(value, list)}
        found |= {f"target_rmse.{k}": values for k, values in (self.target_rmse or {}).items()}
        return found | (self.scores.of_seeds() if self.scores is not None else {})


class Parity(Part):
    """The differences between two arms in one mode, at the first step and at the end.

    None where nothing can be compared. `different_seeds` end with different test errors.
    `draws_differ` is true if layers such as dropout draw random numbers while training, which are
    not the same in the two arms.
    """

    max_gradient_difference: Finite | None
    max_gradient_difference_float64: Finite | None
    gradients_not_finite: Count
    max_weight_difference: Finite | None
    same_test_error: str
    different_seeds: Annotated[list[Count], FailFast()]
    draws_differ: bool | None = None


class PairRecord(Part):
    """Two arms over the same seeds: what `minifw.statistics.paired.Pair` says.

    `difference` is the mean of a's test error minus b's, in the unit of errors. `diverged` counts
    seeds of a, of b, and of both.
    """

    a: str
    b: str
    n: Annotated[int, Field(ge=1, le=2**53)]
    diverged: Annotated[list[Count], Field(min_length=3, max_length=3)]
    difference: Finite
    interval: Points | None
    p: Probability
    p_holm: Probability
    exact: bool
    probability_of_improvement: Probability
    improvement_interval: Points
    margin: Margin | None
    equivalent: bool | None
    equivalence_interval: Points | None
    differing: Count
    smallest_p: Probability
    pairs: Count
    level: Probability
    worst: Error
    sentence: Line
    warning: Line | None
    test: Literal["sign-flip", "corrected t"] = "sign-flip"


class CrossValidation(Part):
    """Folds that were trained: how many a division has, and how many divisions.

    `ratio` is that of test samples to all others.
    """

    folds: Annotated[int, Field(ge=2, le=2**53)]
    divisions: Annotated[int, Field(ge=1, le=2**53)]
    ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    @property
    def overlap(self) -> Overlap:
        """How much the training samples of the folds have in common."""
        return Overlap(self.ratio, self.folds * self.divisions)


class Data(Part):
    """The samples of each seed; class frequencies and the error of guessing, in percent.

    Of regression there are `targets` in place of classes, and `mean_error` is the error of guessing
    the mean of the training samples, in the unit of the targets.

    `validation` is None where there are no samples for it; `train` are those that are trained on.
    `notes` are what was noticed in a file, left out of it or filled, `altered` what was done to the
    training samples on purpose. `division` says how a table was divided, in words.
    """

    features: Annotated[list[str], Field(min_length=1)]
    train: Count
    test: Count
    class_balance: dict[str, Percent] = Field(default_factory=dict)
    majority_error: Percent | None = None
    validation: Count | None = None
    targets: Annotated[list[str], Field(min_length=1)] | None = None
    mean_error: Error | None = None
    notes: list[Line] | None = None
    altered: list[Line] | None = None
    division: Line | None = None
    cross_validation: CrossValidation | None = None

    @property
    def overlap(self) -> Overlap | None:
        """How much training samples have in common by cross-validation."""
        return None if self.cross_validation is None else self.cross_validation.overlap

    @model_validator(mode="after")
    def _fits(self) -> Self:
        classes = bool(self.class_balance) and self.majority_error is not None
        numbers = self.targets is not None and self.mean_error is not None
        if classes == numbers:
            raise ValueError(
                "data: must have class_balance and majority_error, or targets and mean_error"
            )
        return self


class StoppingRecord(Part):
    """When a seed stopped: the section `train.early_stopping` of the config."""

    patience: Annotated[int, Field(ge=1)]
    min_delta: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    monitor: Literal["loss", "error"]
    restore: Literal["best", "last"]


class Results(Part):
    """Final errors, times and parity of a run, from which tables and figures are made.

    `parity` and `speedup` (the other arm's time divided by minifw's) are None if minifw is the only
    arm. `pairs` puts minifw's errors beside the other arm's, seed by seed; it and `margin` are None
    then too, and in runs of an earlier minifw. `early_stopping` is None where no seed stops early,
    `schedule` where eta is the same in all steps.
    `measure` says what errors are: percent of the samples, or of regression the RMSE in `unit`.
    """

    name: str
    about: str
    seeds: Annotated[list[Count], Field(min_length=1), FailFast()]
    dtype: Literal["float32", "float64"]
    threads: Annotated[int, Field(ge=1)]
    eta: Finite
    schedule: str | None = None
    optimizer: Line | None = None
    epochs: Count
    batch_size: Count | None
    early_stopping: StoppingRecord | None = None
    data: Data
    modes: Annotated[dict[Mode, dict[Arm, ArmResults]], Field(min_length=1)]
    parity: dict[Mode, Parity] | None = None
    speedup: dict[Mode, Finite] | None = None
    margin: Margin | None = None
    pairs: dict[Mode, PairRecord] | None = None
    measure: MeasureName = "error"
    unit: Unit | None = None

    @property
    def measured(self) -> Measure:
        """How errors are measured."""
        return Measure(tuple(self.data.targets or ()), self.unit or "")

    def title(self, mode: Mode) -> str:
        """Return the mode as tables and figures name it, with the optimiser."""
        return titled(mode, self.optimizer)

    @property
    def arms(self) -> list[Arm]:
        """The arms, minifw first."""
        return list(next(iter(self.modes.values())))

    @property
    def other(self) -> Arm | None:
        """The arm that minifw is compared with, None if there is none."""
        return next((arm for arm in self.arms if arm != "minifw"), None)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if "minifw" not in self.arms or any(
            list(arms) != self.arms for arms in self.modes.values()
        ):
            raise ValueError("modes: each must hold the same arms, arm 'minifw' among them")
        for key, of_modes in (("parity", self.parity), ("speedup", self.speedup)):
            if (of_modes is None) != (self.other is None):
                raise ValueError(f"{key}: must be there if two arms are compared, and only then")
            if of_modes is not None and of_modes.keys() != self.modes.keys():
                raise ValueError(f"{key}: must hold each mode")
        if (self.measure == "rmse") != (self.data.targets is not None):
            raise ValueError("measure: must be rmse if data.targets is there, and only then")
        known = self.modes.keys() if self.other is not None else set()
        if self.pairs is not None and self.pairs.keys() != known:
            raise ValueError("pairs: must hold each mode, if two arms are compared")
        for mode, arms in self.modes.items():
            for arm, result in arms.items():
                if (result.validation_error is None) != (self.data.validation is None):
                    what = "must be there if data.validation is, and only then"
                    raise ValueError(f"modes.{mode}.{arm}.validation_error: {what}")
                for key in ("stopped_epoch", "best_epoch"):
                    if (getattr(result, key) is None) != (self.early_stopping is None):
                        what = "must be there if early_stopping is, and only then"
                        raise ValueError(f"modes.{mode}.{arm}.{key}: {what}")
                if result.scores is not None:
                    result.scores.check_classes(len(self.data.class_balance))
                for name, values in result.of_seeds().items():
                    if len(values) != len(self.seeds):
                        what = f"must have {len(self.seeds)} values, one a seed, got {len(values)}"
                        raise ValueError(f"modes.{mode}.{arm}.{name}: {what}")
        return self

    def content(self) -> dict[str, Any]:
        """Return what is written as JSON."""
        rare = ("optimizer", "parity", "speedup", "margin", "pairs", "early_stopping", "unit")
        content = self.model_dump(exclude={key for key in rare if getattr(self, key) is None})
        data = content["data"]
        for key in (
            "validation", "targets", "mean_error", "majority_error", "notes", "altered",
            "division", "cross_validation",
        ):  # fmt: skip
            if data[key] is None:
                del data[key]
        if not data["class_balance"]:
            del data["class_balance"]
        if self.measure == "error":
            del content["measure"]
        for parity in (content.get("parity") or {}).values():
            if parity["draws_differ"] is None:
                del parity["draws_differ"]
        for arms in content["modes"].values():
            for result in arms.values():
                for key in OPTIONAL:
                    if result[key] is None:
                        del result[key]
        return content
