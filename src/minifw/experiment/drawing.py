"""Draws the samples of each seed, from generated data or out of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from minifw.config.generated import Generated
from minifw.config.model import Config
from minifw.config.tabled import Tabled
from minifw.data import Points, altered, generator, held_out, validation_size
from minifw.data.division import Division, Sizes
from minifw.data.table import Table
from minifw.errors import DataError
from minifw.runs.results import CrossValidation


def division_of(section: Tabled, table: Table) -> Division:
    """Return how the samples of a table are divided."""
    usual = None if section.folds or table.tests else section.usual_train
    return Division(
        samples=len(table.labels),
        train=usual if section.train is None else section.train,
        test=section.test,
        validation=section.validation,
        strata=table.class_numbers if section.stratified else None,
        groups=table.groups if section.split == "grouped" else None,
        tests=table.tests,
        folds=section.folds,
        seed=section.split_seed,
    )


def fault_of_division(section: Tabled, table: Table) -> tuple[str, DataError] | None:
    """Return why the samples of a table cannot be divided, and the key of `data` that says so."""
    division = division_of(section, table)
    key = "folds" if section.folds else "split" if section.split == "grouped" else "train"
    try:
        division.check()
        key = "validation"
        division.check_validation()
        key = "split"
        division.check_classes(table.classes)
    except DataError as fault:
        return key, fault
    return None


def check_division(section: Tabled, table: Table) -> None:
    """Raise a DataError, with file and key, if the samples of a table cannot be divided."""
    if (found := fault_of_division(section, table)) is not None:
        path = getattr(section, "path", section.about)
        raise DataError(f"{path}: data.{found[0]}: {found[1]}")


def sizes_of(section: Generated | Tabled, table: Table | None) -> Sizes:
    """Return how many samples are for what, before the training part is altered.

    Raises:
        DataError: there are not that many.

    """
    if table is not None:
        assert isinstance(section, Tabled)
        return division_of(section, table).sizes
    assert isinstance(section, Generated)
    share = section.validation
    validation = 0 if share is None else validation_size(section.train, share)
    return Sizes(section.train - validation, section.test, validation)


def drawn(
    section: Generated | Tabled,
    seeds: Sequence[int],
    table: Table | None,
    classes: Sequence[str],
    *,
    extra_validation: bool = False,
) -> Iterator[list[Points]]:
    """Yield the training and test points of each seed, and those for validation if there are any.

    The training points are as the config alters them. With `extra_validation` generated data
    without any for validation get as many as there are for testing.
    """
    for seed, parts in zip(seeds, _divided(section, seeds, table, extra_validation), strict=True):
        yield _altered(section, seed, table, classes, parts)


def _divided(
    section: Generated | Tabled, seeds: Sequence[int], table: Table | None, extra_validation: bool
) -> Iterator[list[Points]]:
    """Yield the points of each seed, before the training points are altered."""
    if table is None:
        assert isinstance(section, Generated)
        for seed in seeds:
            yield _generated(section, seed, extra_validation)
        return
    assert isinstance(section, Tabled)
    division = division_of(section, table)
    for seed in seeds:
        yield [
            (np.asarray(table.inputs[part], np.float64), table.labels[part])
            for part in division.parts(seed)
        ]


def _generated(section: Generated, seed: int, extra_validation: bool) -> list[Points]:
    rng = generator(seed, "data")
    train = section.draw(rng, section.train)
    test = section.draw(rng, section.test)
    if section.validation is not None:
        train, validation = held_out(train, validation_size(len(train[1]), section.validation))
        return [train, test, validation]
    if extra_validation:
        return [train, test, section.draw(generator(seed, "validation"), section.test)]
    return [train, test]


def _altered(
    section: Generated | Tabled,
    seed: int,
    table: Table | None,
    classes: Sequence[str],
    parts: list[Points],
) -> list[Points]:
    """Return these points with the training points as the config alters them."""
    by = section.alteration
    if by.is_none:
        return parts
    encoding = None if table is None else table.encoding
    train = altered.altered(
        parts[0],
        by,
        generator(seed, "noise"),
        classes,
        stratified=isinstance(section, Tabled) and section.stratified,
        draw=section.draw if isinstance(section, Generated) else None,
        noisy=None if encoding is None else ~encoding.of_words,
    )
    return [train, *parts[1:]]


def trained_on(section: Generated | Tabled, seed: int, table: Table | None, left: int) -> int:
    """Return how many of the `left` training samples of each seed, as of this, are trained on.

    Raises:
        DataError: `data.share` or `data.imbalance` leaves none, or none of a class.

    """
    size = section.alteration.size(left)
    if table is None or section.imbalance is None:
        return size
    # A stratified split has as many samples of a class in each seed.
    (first,) = drawn(section, [seed], table, table.classes)
    return len(first[0][1])


def samples_of(config: Config, table: Table | None) -> tuple[int, int, int]:
    """Return how many samples are for training, for testing and for validation.

    `table` holds those of a table.

    Raises:
        DataError: there are not that many.

    """
    left, test, validation = sizes_of(config.data, table)
    return trained_on(config.data, config.seed, table, left), test, validation


def cross_validation(config: Config, table: Table | None, seeds: int) -> CrossValidation | None:
    """Return the folds that so many seeds test, None without cross-validation."""
    folds = getattr(config.data, "folds", None)
    if folds is None:
        return None
    train, test, validation = sizes_of(config.data, table)
    again = getattr(config.data, "split_seed", None) is None
    divisions = max(1, seeds // folds) if again else 1
    return CrossValidation(folds=folds, divisions=divisions, ratio=test / (train + validation))
