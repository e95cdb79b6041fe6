"""The final results of one arm in one mode, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minifw.data import Floats
from minifw.runs.results import ArmResults


@dataclass(frozen=True)
class Result:
    """The results of one arm in one mode; arrays hold one number for each seed.

    A seed that diverged has NaN. Errors are in percent of the samples; of regression they are root
    mean squared errors in the targets' own unit, `mae` is the mean absolute error in it and `r2`
    the coefficient of determination, both of the test samples (None of classification);
    `target_rmse` has the error of each target by its name, where there are several.
    `train_loss` is in the scale of the loss. `diverged_epoch` is the epoch in which a seed
    diverged, None for the others. `seconds` is the time spent in training steps. `not_compiled` is
    why steps could not be `compiled`; None if they were, or were not meant to be.
    `validation_error` and `validation_loss` are None for a run without samples for validation
    (`data.validation`). With early stopping (`train.early_stopping`) all numbers are those of the
    weights that a seed kept, `stopped_epoch` is the one after which a seed stopped, None for one
    that did not, and `best_epoch` that of its best evaluation; both are None for a run without it.
    """

    test_error: Floats
    train_error: Floats
    train_loss: Floats
    diverged_epoch: tuple[int | None, ...]
    seconds: float
    compiled: bool
    not_compiled: str | None = None
    validation_error: Floats | None = None
    test_loss: Floats | None = None
    validation_loss: Floats | None = None
    stopped_epoch: tuple[int | None, ...] | None = None
    best_epoch: tuple[int, ...] | None = None
    r2: Floats | None = None
    mae: Floats | None = None
    target_rmse: dict[str, Floats] | None = None


_OTHERS = ("r2", "mae", "validation_error", "test_loss", "validation_loss")
"""Results that not every run has."""


def result_of(record: ArmResults) -> Result:
    """Return the results of an arm that a run has kept."""
    return Result(
        np.array(record.test_error, np.float64),
        np.array(record.train_error, np.float64),
        np.array(record.train_loss, np.float64),
        tuple(record.diverged_epoch),
        record.seconds,
        record.compiled,
        record.not_compiled,
        **{name: _floats(getattr(record, name)) for name in _OTHERS},
        **{name: _tuple(getattr(record, name)) for name in ("stopped_epoch", "best_epoch")},
        target_rmse=None
        if record.target_rmse is None
        else {name: _floats(values) for name, values in record.target_rmse.items()},
    )


def _floats(values: list[float | None] | None) -> Any:
    return None if values is None else np.array(values, np.float64)


def _tuple(values: list[Any] | None) -> Any:
    return None if values is None else tuple(values)
