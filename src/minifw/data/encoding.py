"""How columns become features: words one-hot, and gaps filled, both known from training samples.

A table holds its columns *wide*: one feature for each number and truth value; for a column of
words one feature for each category and one more for all others. A gap is NaN. What depends on the
training samples of a seed is a `Prepared`: with what its gaps are filled, and which categories it
knows. A category that they lack is `(other)` to that seed, so all seeds have the same features.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from minifw.data.generated import Floats
from minifw.data.kinds import Column, Kind, Mask

Fill = Literal["mean", "median"]

OTHER = "(other)"
"""The category of words that the training samples of a seed do not hold."""
MISSING = "(missing)"
"""The category of gaps in a column of words."""


class Prepared(NamedTuple):
    """What the training samples of a seed say, or those of several seeds.

    `fill` has a number for the gaps of each feature, `(…, features)`, and `known` says which
    features are categories that occur, or no categories at all.
    """

    fill: Floats
    known: Mask

    @classmethod
    def stacked(cls, several: Sequence[Prepared]) -> Prepared:
        """Return those of several seeds, `(seeds, features)`."""
        return cls(np.stack([p.fill for p in several]), np.stack([p.known for p in several]))

    def of(self, seeds: Any) -> Prepared:
        """Return those of some seeds, or of one."""
        return Prepared(self.fill[seeds], self.known[seeds])

    @classmethod
    def joined(cls, groups: Sequence[Prepared]) -> Prepared:
        """Return those of all seeds, given for groups of them."""
        fill = np.concatenate([group.fill for group in groups])
        return cls(fill, np.concatenate([group.known for group in groups]))


@dataclass(frozen=True)
class Coded:
    """A column and how it is coded: by `categories` if it is one of words."""

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()

    @property
    def features(self) -> list[str]:
        """The names of its features."""
        if self.kind != "words":
            return [self.name]
        other = OTHER if OTHER not in self.categories else f"{OTHER} 2"  # a word of the file
        return [f"{self.name}={category}" for category in (*self.categories, other)]

    def fill(self, made: Floats, values: Floats) -> None:
        """Write its features into `made`, `(rows, features)`; `values` are as in a `Column`."""
        if self.kind != "words":
            made[:, 0] = values
            return
        count = len(self.categories)
        gap = self.categories.index(MISSING) if MISSING in self.categories else count
        places = np.where(np.isnan(values), gap, values).astype(np.int64)
        made[np.arange(len(values)), places] = 1


@dataclass(frozen=True)
class Encoding:
    """How the columns of a table became its features, in order.

    With `fill` gaps of a feature are filled with its mean or median over the training samples of
    each seed; without it there are none.
    """

    columns: tuple[Coded, ...]
    fill: Fill | None = None

    @classmethod
    def of(cls, columns: Sequence[Column], fill: Fill | None) -> Encoding:
        """Return how these columns are coded; with `fill` a gap among words is a category."""

        def coded(column: Column) -> Coded:
            lacks = fill and column.kind == "words" and column.missing.any()
            more = (MISSING,) if lacks and MISSING not in column.categories else ()
            return Coded(column.name, column.kind, (*column.categories, *more))

        return cls(tuple(map(coded, columns)), fill)

    @cached_property
    def features(self) -> list[str]:
        """The names of the features."""
        return [name for column in self.columns for name in column.features]

    @property
    def is_plain(self) -> bool:
        """Whether each column is a feature of numbers as it stands, without gaps to fill."""
        return self.fill is None and all(column.kind == "number" for column in self.columns)

    @cached_property
    def numeric(self) -> Mask:
        """Which features are numbers; the others are 0 or 1, and are not normalised."""
        return np.array([c.kind == "number" for c in self.columns for _ in c.features], bool)

    @cached_property
    def of_words(self) -> Mask:
        """Which features are one-hot: a category of words."""
        return np.array([c.kind == "words" for c in self.columns for _ in c.features], bool)

    @cached_property
    def words(self) -> list[slice]:
        """The features of each column of words; the last of each stands for other words."""
        found, first = [], 0
        for column in self.columns:
            count = len(column.features)
            if column.kind == "words":
                found.append(slice(first, first + count))
            first += count
        return found

    def wide(self, values: Sequence[Floats]) -> Floats:
        """Return the features of all rows, `(rows, features)`, from the columns' values."""
        made, first = np.zeros((len(values[0]), len(self.features))), 0
        for coded, of_one in zip(self.columns, values, strict=True):
            after = first + len(coded.features)
            coded.fill(made[:, first:after], of_one)
            first = after
        return made

    def prepared(self, train: Floats) -> Prepared:
        """Return what the training samples of a seed, `(n, features)`, say.

        A feature of which no training sample has a value is filled with 0.
        """
        features = train.shape[1]
        known, fill = np.ones(features, bool), np.zeros(features)
        for of_words in self.words:
            known[of_words] = train[:, of_words].any(0)
            known[of_words.stop - 1] = True  # it is where others go
        if self.fill is not None:
            middle = np.nanmean if self.fill == "mean" else np.nanmedian
            may_lack = np.array([c.kind != "words" for c in self.columns for _ in c.features])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a column of gaps only
                fill[may_lack] = np.nan_to_num(middle(train[:, may_lack], 0))
        return Prepared(fill, known)

    def applied(self, values: Floats, prepared: Prepared) -> Floats:
        """Return features without gaps, in the categories that the training samples have.

        Args:
            values: `(n, features)`.
            prepared: of one seed, or of several: the result is `(seeds, n, features)` then.

        """
        if self.is_plain:
            return values
        fill, known = prepared.fill[..., None, :], prepared.known[..., None, :]
        made: Floats = np.where(np.isnan(values), fill, values)
        for of_words in self.words:
            own, known_here = made[..., of_words], known[..., of_words]
            own[..., -1] += (own * ~known_here).sum(-1)
            own *= known_here
        return made
