"""What results.json says of classifiers besides their errors."""

from __future__ import annotations

from collections.abc import Sized
from typing import Annotated, Self

from pydantic import FailFast, Field, model_validator

from minifw.runs.fields import Count, Error, Part, Percent, Probability

CONFUSION_CLASSES = 100
"""A confusion matrix of more classes is not kept."""
CONFUSION_NUMBERS = 2000
"""Those of each seed are kept if they are not more numbers together."""

Counts = list[list[Count]]
"""A confusion matrix: a row for each class, a column for each class that was chosen."""


class CalibrationRecord(Part):
    """A reliability diagram over all seeds, in bins of equal width of the largest probability.

    Bin k of K has the test samples of all seeds whose chosen class has a probability above k / K
    and up to (k + 1) / K: `count` of them, `right` ones among these, and `confidence`, the mean of
    the probabilities, None of an empty bin.
    """

    count: Annotated[list[Count], Field(min_length=1, max_length=1000)]
    right: list[Count]
    confidence: list[Probability | None]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not len(self.count) == len(self.right) == len(self.confidence) or any(
            right > count or (mean is None) != (count == 0)
            for count, right, mean in zip(self.count, self.right, self.confidence, strict=True)
        ):
            raise ValueError("calibration: each bin must have a count, right ones and a mean")
        return self


class ScoreRecord(Part):
    """What is measured of classifiers besides their error, on the test samples.

    Lists have a figure for each seed, None if it diverged: `balanced_error` and
    `calibration_error` in percent, `auc` (None too where a class has no test sample), `log_loss`.
    `confusion` counts the samples of all seeds, in the order of `data.class_balance`; it is None of
    more than `CONFUSION_CLASSES` classes. `confusion_of_seeds` has the counts of each seed, zeros
    if it diverged, where they are few. `log_loss`, `calibration_error` and `calibration` are None
    where outputs are no probabilities. What they are is in `minifw.statistics.scores`.
    """

    balanced_error: Annotated[list[Percent | None], FailFast()]
    auc: Annotated[list[Probability | None], FailFast()]
    log_loss: Annotated[list[Error | None] | None, FailFast()] = None
    calibration_error: Annotated[list[Percent | None] | None, FailFast()] = None
    confusion: Counts | None = None
    confusion_of_seeds: Annotated[list[Counts] | None, FailFast()] = None
    calibration: CalibrationRecord | None = None

    def of_seeds(self) -> dict[str, Sized]:
        """Return the lists with a value for each seed, by name."""
        names = ("balanced_error", "auc", "log_loss", "calibration_error", "confusion_of_seeds")
        found = {name: getattr(self, name) for name in names}
        return {f"scores.{name}": value for name, value in found.items() if value is not None}

    def check_classes(self, classes: int) -> None:
        """Raise a ValueError if a confusion matrix is not of so many classes."""
        some = [self.confusion] * (self.confusion is not None) + (self.confusion_of_seeds or [])
        for counts in some:
            if [len(row) for row in counts or ()] != [classes] * classes:
                raise ValueError(f"confusion: must be {classes} rows of {classes} counts")
