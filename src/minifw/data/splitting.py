"""Which samples are for training, for validation and for testing."""

from __future__ import annotations

import numpy as np

from minifw.data.generated import Integers, Points
from minifw.errors import DataError


def split(
    rng: np.random.Generator, samples: int, train: float, test: float | None
) -> list[Integers]:
    """Return the indices of training and test samples, drawn without replacement.

    `train` and `test` are numbers of samples if they are integers of at least 1, otherwise
    fractions of all samples; without `test` all remaining samples are for testing.

    Raises:
        DataError: the file does not hold that many.

    """
    count = split_sizes(samples, train, test)
    order = rng.permutation(samples)
    return [order[: count[0]], order[count[0] : sum(count)]]


def split_sizes(samples: int, train: float, test: float | None) -> tuple[int, int]:
    """Return how many training and test samples `split` gives.

    Raises:
        DataError: the file does not hold that many.

    """
    for amount in (train, test or 0):
        if amount > 1 and amount != int(amount):
            raise DataError(f"expects a fraction below 1 or a whole number, got {amount}")
    training = _amount(train, samples)
    testing = samples - training if test is None else _amount(test, samples)
    if min(training, testing) < 1 or training + testing > samples:
        raise DataError(
            f"expects at least 1 training and 1 test sample, and no more than the {samples} there "
            f"are, got {training} and {max(0, testing)}"
        )
    return training, testing


def _amount(wanted: float, samples: int) -> int:
    return round(wanted * samples) if wanted < 1 else int(wanted)


def validation_size(training: int, validation: float) -> int:
    """Return how many of the training samples are for validation.

    `validation` is their number if it is an integer of at least 1, otherwise a fraction.

    Raises:
        DataError: none is left for training, or for validation.

    """
    size = _amount(validation, training)
    if not 1 <= size < training:
        came = f"{validation:g} of them, which is {size}" if validation < 1 else size
        raise DataError(
            f"must be at least 1 and fewer than the training samples, of which there are "
            f"{training}, got {came}"
        )
    return size


def held_out(training: Points, validation: int) -> tuple[Points, Points]:
    """Divide training samples: the last ones, so many, are for validation, the others train.

    So nothing else is drawn than without validation, and the test samples are the same.
    """
    inputs, labels = training
    first = len(labels) - validation
    return (inputs[:first], labels[:first]), (inputs[first:], labels[first:])
