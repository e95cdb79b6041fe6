"""The scores of a run's classifiers, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minifw.data import Floats, Integers
from minifw.runs.scores import ScoreRecord


@dataclass(frozen=True)
class Scores:
    """What is measured of classifiers besides their error, on the test samples.

    Of the weights that each seed ended with, NaN for one that diverged.

    Attributes:
        names: the names of the C classes, in the order of rows and columns.
        balanced_error: 100 minus the mean recall over the classes in percent, `(seeds,)`.
        auc: the area under the ROC curve, `(seeds,)`; of more than two classes the mean of one
            against the rest. NaN too where the test samples lack a class.
        log_loss: the mean of -log probability of the samples' classes, `(seeds,)`; None if the
            outputs are no probabilities with the run's loss, as the two below.
        calibration_error: the expected calibration error in percent, `(seeds,)`.
        calibration: the bins of a reliability diagram over all seeds, of equal width of the
            largest probability, `(bins,)` each: `count` of samples, `right` ones among them, and
            `confidence`, the mean of the probabilities, NaN of an empty bin.
        confusion: how many samples of the class of a row were taken for that of a column, over all
            seeds, `(C, C)`; None of more than 100 classes.
        confusion_of_seeds: the same of each seed, `(seeds, C, C)`; None where these are more than
            2000 numbers.

    """

    names: tuple[str, ...]
    balanced_error: Floats
    auc: Floats
    log_loss: Floats | None
    calibration_error: Floats | None
    calibration: dict[str, Floats] | None = field(repr=False)
    confusion: Integers | None
    confusion_of_seeds: Integers | None = field(repr=False)


def of_record(record: ScoreRecord, names: tuple[str, ...]) -> Scores:
    """Return the scores of a run's results."""

    def array(values: Any, kind: type = np.float64) -> Any:
        return None if values is None else np.array(values, kind)

    bins = record.calibration
    return Scores(
        names,
        array(record.balanced_error),
        array(record.auc),
        array(record.log_loss),
        array(record.calibration_error),
        None if bins is None else {name: array(values) for name, values in bins},
        array(record.confusion, np.int64),
        array(record.confusion_of_seeds, np.int64),
    )
