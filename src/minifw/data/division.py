"""How the samples of a table are divided: which are for training, validation and testing.

A stack of networks needs as many samples of each purpose for each seed. Whole groups, and folds,
are not equally large. So the numbers are the same for all seeds, whatever is drawn: of the training
samples some are left out, and where there are too few others some of these count twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from minifw.data.folds import fold_sizes, folds
from minifw.data.generated import Integers
from minifw.data.grouping import check_groups, drawn, nearest, surely_there
from minifw.data.splitting import (
    amount,
    check_strata,
    kept_of,
    place_in_class,
    shares,
    split,
    split_sizes,
    validation_size,
)
from minifw.data.streams import generator
from minifw.errors import DataError

SEEDS = 100
"""Of which notes tell how many test samples they have, at most."""


class Sizes(NamedTuple):
    """How many samples each seed has; `train` are those that validation leaves."""

    train: int
    test: int
    validation: int


@dataclass(frozen=True)
class Division:
    """How the samples of a table are divided.

    Attributes:
        samples: how many there are, with those of a test file.
        train, test: numbers of samples, or fractions below 1; None: all that there are.
        validation: how many of the training samples, likewise; None: none.
        strata: the class of each sample, if each part has its share of each.
        groups: the group of each sample, if a group is not torn apart.
        tests: how many samples, the last ones, are those of a test file.
        folds: into how many parts they are divided for cross-validation.
        seed: that of the division, if all seeds have the same.

    """

    samples: int
    train: float | None = None
    test: float | None = None
    validation: float | None = None
    strata: Integers | None = None
    groups: Integers | None = None
    tests: int = 0
    folds: int | None = None
    seed: int | None = None

    @cached_property
    def sizes(self) -> Sizes:
        """How many samples are for what, in each seed.

        Raises:
            DataError: there are not that many.

        """
        train, test = self._train_and_test
        if self.validation is None:
            return Sizes(train, test, 0)
        validation = validation_size(train, self.validation)
        if self.groups is not None:
            known = self.groups[: self._own]
            check_groups(known, 2 + (not self.tests), "training, validation and testing")
            of_groups = np.bincount(known)
            of_groups = of_groups[of_groups > 0]
            least = surely_there(of_groups, 0 if self.tests else test)
            validation = max(least, nearest(of_groups, validation))
            if validation >= train:
                raise DataError(
                    f"whole groups would be {validation} of the {train} training samples: none "
                    "is left for training; fewer, or smaller groups"
                )
        return Sizes(train - validation, test, validation)

    @cached_property
    def _train_and_test(self) -> tuple[int, int]:
        if self.tests:
            wanted = self._own if self.train is None else amount(self.train, self._own)
            if not 1 <= wanted <= self._own:
                raise DataError(
                    f"must be at least 1 and at most the {self._own} samples of data.path, "
                    f"got {wanted}"
                )
            return wanted, self.tests
        if self.folds is not None:
            test = int(self._fold_sizes.max())
            return self.samples - test, test
        train, test = split_sizes(self.samples, self.train or 0.8, self.test)
        if self.groups is None:
            return train, test
        check_groups(self.groups, 2, "training and testing")
        of_groups = np.bincount(self.groups)
        test = nearest(of_groups[of_groups > 0], test)
        rest = self.samples - test
        return rest if self.test is None else min(train, rest), test

    @cached_property
    def _fold_sizes(self) -> Integers:
        assert self.folds is not None
        return fold_sizes(self.samples, self.folds, self.groups)

    @property
    def _own(self) -> int:
        """How many samples are not those of a test file."""
        return self.samples - self.tests

    def check(self) -> None:
        """Raise a DataError if there are not as many training and test samples as asked."""
        replace(self, validation=None).sizes  # noqa: B018

    def check_validation(self) -> None:
        """Raise a DataError if not as many samples can be for validation as asked."""
        self.sizes  # noqa: B018

    def drawn_with(self, seed: int) -> int:
        """Return the seed of the division that this seed has."""
        if self.seed is not None:
            return self.seed
        return seed if self.folds is None else seed // self.folds

    def parts(self, seed: int) -> list[Integers]:
        """Return the indices of training and test samples, and of those for validation if any."""
        sizes = self.sizes
        rng = generator(self.drawn_with(seed), "data")
        if self.folds is not None:
            fold = folds(rng, self.samples, self.folds, self.strata, self.groups)
            is_test = fold == seed % self.folds
            rows = rng.permutation(self.samples)
            test, rest = rows[is_test[rows]], rows[~is_test[rows]]
        elif self.tests:
            test, rest = np.arange(self._own, self.samples), rng.permutation(self._own)
        elif self.groups is not None:
            held = np.bincount(self.groups)
            is_test = drawn(rng, held, sizes.test)[self.groups]
            rows = rng.permutation(self.samples)
            test, rest = rows[is_test[rows]], rows[~is_test[rows]]
        else:
            train = sizes.train + sizes.validation
            rest, test = split(rng, self.samples, train, sizes.test, self.strata)
        return self._validated(rng, rest, np.resize(test, sizes.test))

    def _validated(
        self, rng: np.random.Generator, rest: Integers, test: Integers
    ) -> list[Integers]:
        """Return the parts of all samples that are not for testing, and the test part."""
        train, _, validation = self.sizes
        if self.groups is not None and validation:
            own = self.groups[rest]
            held = np.bincount(own)
            kept = drawn(rng, held, validation)[own]
            return [rest[~kept][:train], test, np.resize(rest[kept], validation)]
        rest = self._some(rest, train + validation)
        if not validation:
            return [rest, test]
        kept = kept_of(None if self.strata is None else self.strata[rest], len(rest), validation)
        return [rest[~kept], test, rest[kept]]

    def _some(self, rows: Integers, size: int) -> Integers:
        """Return so many of these samples, the first ones, of each class as its share."""
        if self.strata is None or len(rows) == size:
            return rows[:size]
        own = self.strata[rows]
        return rows[place_in_class(own) < shares(np.bincount(own), size)[own]]

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raise a DataError if a stratified division leaves a part without a sample of a class."""
        if self.strata is None:
            return
        train, test, validation = self.sizes
        known = self.strata[: self._own]
        if self.folds is not None:
            # A class with as many samples as folds has one in each.
            rarest = int(np.bincount(known).argmin())
            if (count := int(np.bincount(known)[rarest])) < self.folds:
                raise DataError(
                    f"stratified needs a sample of each class in every fold, but class "
                    f"'{classes[rarest]}' has {count} for {self.folds} folds; fewer folds, or "
                    "split: random"
                )
        check_strata(known, classes, train + validation, 0 if self.tests else test, validation)

    def words(self, seeds: int) -> str:
        """Return how the samples of so many seeds are divided, as a caption says it."""
        if self.folds is not None:
            divisions = max(1, seeds // self.folds)
            said = f"{divisions} division{'s' * (divisions > 1)}"
            if self.seed is not None:
                again = f", each fold trained {divisions} times" * (divisions > 1)
                said = f"one division, drawn with split_seed {self.seed}{again}"
            return f"{self.folds}-fold cross-validation, {said}"
        same = self.seed is not None
        if self.tests:
            if self.sizes.train == self._own:
                return "all are trained on the same samples, and tested on those of the test file"
            how = f"the same for all, with split_seed {self.seed}" if same else "anew by each"
            return f"all are tested on the samples of the test file; training samples drawn {how}"
        what = "samples" if self.groups is None else "groups of samples"
        if same:
            return f"one division of the {what} for all, drawn with split_seed {self.seed}"
        return f"each divides the same {what} anew, so their training sets overlap"

    def notes(self, seeds: Sequence[int]) -> list[str]:
        """Return what these seeds leave out, or count twice, a line each."""
        if self.groups is None:
            return self._on_folds()
        if self.folds is not None:
            return [*self._on_folds(), *self._on_empty("validation", seeds)]
        found = [] if self.tests else [*self._on_groups(), *self._on_empty("test", seeds)]
        return [*found, *self._on_empty("validation", seeds)]

    def _on_folds(self) -> list[str]:
        """Return what is done where folds are not equally large."""
        if self.folds is None or len(np.unique(sizes := self._fold_sizes)) == 1:
            return []
        train, test, validation = self.sizes
        few = int((sizes < test).sum())
        if self.groups is None:
            return [
                f"{self.samples} samples make no {self.folds} equal folds: of {few} folds one test "
                "sample, drawn, counts twice, and one training sample is left out"
            ]
        return [
            f"{self.folds} folds of whole groups have {sizes.min()} to {test} samples: all count "
            f"as {test}, so in {few} of them some test samples, drawn, count more often than "
            f"others; {train + validation} are left for training in each"
        ]

    def _on_groups(self) -> list[str]:
        """Return how many test samples whole groups make, and which groups are never tested."""
        assert self.groups is not None
        test, held = self.sizes.test, np.bincount(self.groups)
        notes = []
        asked = split_sizes(self.samples, self.train or 0.8, self.test)[1]
        if asked != test:
            notes.append(f"whole groups: {test} test samples, {asked} were asked for")
        if large := int((held > test).sum()):
            notes.append(
                f"{large} of {np.count_nonzero(held)} groups have more than the {test} test "
                "samples, and are always trained on; data.test can be larger"
            )
        return notes

    def _on_empty(self, purpose: Literal["test", "validation"], seeds: Sequence[int]) -> list[str]:
        """Return how many samples whole groups make at least where they do not fill a part."""
        place = 1 if purpose == "test" else 2
        size, first = self.sizes[place], seeds[:SEEDS]
        if not size:
            return []
        fewest = min(len(np.unique(self.parts(seed)[place])) for seed in first)
        if fewest == size:
            return []
        whose = "" if len(first) == len(seeds) else f" of the first {SEEDS} seeds"
        return [
            f"whole groups do not always make {size} {purpose} samples{whose}: at least {fewest} "
            "are different ones, and some count more than once"
        ]
