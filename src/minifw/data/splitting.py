"""Which samples are for training, for validation and for testing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from minifw.data.generated import Floats, Integers, Points
from minifw.errors import DataError, short_word


def split(
    rng: np.random.Generator,
    samples: int,
    train: float,
    test: float | None,
    strata: Integers | None = None,
) -> list[Integers]:
    """Return the indices of training and test samples, drawn without replacement.

    `train` and `test` are numbers of samples if they are integers of at least 1, otherwise
    fractions of all samples; without `test` all remaining samples are for testing. With `strata`,
    the class of each sample, both have each class in its share of all samples, as nearly as whole
    numbers can. Either way one order of all samples is drawn, of which the first ones (of each
    class) are for training and the next ones for testing.

    Raises:
        DataError: there are not that many.

    """
    training, testing = split_sizes(samples, train, test)
    order = rng.permutation(samples)
    if strata is None:
        return [order[:training], order[training : training + testing]]
    first, second = _quotas(strata, training, testing)
    own = strata[order]
    place = place_in_class(own)
    trained = place < first[own]
    return [order[trained], order[~trained & (place < (first + second)[own])]]


def _quotas(labels: Integers, training: int, testing: int) -> tuple[Integers, Integers]:
    """Return how many samples of each class are for training, and for testing."""
    counts = np.bincount(labels)
    first = shares(counts, training)
    return first, shares(counts - first, testing)


def shares(counts: Integers | Floats, size: int) -> Integers:
    """Return how many of each class make `size` samples that have the classes' shares of `counts`.

    These may be weights too, which are no whole numbers. By largest remainders: each class gets
    the whole part of its share, `size counts / sum`, and those with the largest rests get one more
    each; of equal rests the class that stands first.
    """
    parts, rest = np.divmod(counts * size, counts.sum() or 1)
    whole = parts.astype(np.int64)
    largest = np.argsort(-rest, kind="stable")[: size - whole.sum()]
    whole[largest] += 1
    return whole


def place_in_class(labels: Integers) -> Integers:
    """Return for each sample how many before it have its class."""
    together = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    place = np.empty(len(labels), np.int64)
    place[together] = np.arange(len(labels)) - np.repeat(counts.cumsum() - counts, counts)
    return place


def check_strata(
    labels: Integers, classes: Sequence[str], training: int, testing: int, validation: int = 0
) -> None:
    """Raise a DataError if a stratified split leaves a purpose without a sample of some class.

    `validation` of the `training` samples are not trained on. Without `testing` none of these are
    for testing. A class that no label is, such as one of a test file alone, is in no part.
    """
    first, second = _quotas(labels, training, testing)
    kept = shares(first, validation)
    parts = {"training": first - kept}
    if testing:
        parts["test"] = second
    if validation:
        parts["validation"] = kept
    counts = np.bincount(labels)
    for number in np.argsort(counts, kind="stable"):  # the rarest first
        for purpose, quota in parts.items():
            if counts[number] and not quota[number]:
                raise DataError(
                    f"stratified needs a sample of each class in every part, but class "
                    f"'{short_word(classes[number])}', of {counts[number]} in "
                    f"{len(labels)} samples, has none of the {quota.sum()} {purpose} samples; "
                    "other sizes, or split: random"
                )


def split_sizes(samples: int, train: float, test: float | None) -> tuple[int, int]:
    """Return how many training and test samples `split` gives.

    Raises:
        DataError: the file does not hold that many.

    """
    for wanted in (train, test or 0):
        if wanted > 1 and wanted != int(wanted):
            raise DataError(f"expects a fraction below 1 or a whole number, got {wanted}")
    training = amount(train, samples)
    testing = samples - training if test is None else amount(test, samples)
    if min(training, testing) < 1 or training + testing > samples:
        raise DataError(
            f"expects at least 1 training and 1 test sample, and no more than the {samples} there "
            f"are, got {training} and {max(0, testing)}"
        )
    return training, testing


def amount(wanted: float, samples: int) -> int:
    """Return the number of samples that is wanted: itself, or a fraction below 1 of all."""
    return round(wanted * samples) if wanted < 1 else int(wanted)


def validation_size(training: int, validation: float) -> int:
    """Return how many of the training samples are for validation.

    `validation` is their number if it is an integer of at least 1, otherwise a fraction.

    Raises:
        DataError: none is left for training, or for validation.

    """
    size = amount(validation, training)
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
    kept = kept_of(None, len(labels), validation)
    return (inputs[~kept], labels[~kept]), (inputs[kept], labels[kept])


def kept_of(strata: Integers | None, samples: int, validation: int) -> NDArray[np.bool_]:
    """Return which of the training samples, `(samples,)`, are for validation: the last ones.

    With `strata`, the class of each, they are the last ones of each class, as many as its share.
    """
    if strata is None:
        return np.arange(samples) >= samples - validation
    counts = np.bincount(strata)
    kept: NDArray[np.bool_]
    kept = place_in_class(strata) >= (counts - shares(counts, validation))[strata]
    return kept
