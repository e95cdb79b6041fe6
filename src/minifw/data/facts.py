"""What is in the columns and rows of a table: ranges, categories, duplicates, and odd columns.

Nothing is chosen or changed here; all of it takes a second for a million rows of 20 columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifw.data.generated import Floats, Integers
from minifw.data.kinds import Column, Kind
from minifw.errors import short_word

MANY = 20
"""Rows from which on it is no chance that a column is different in each, or tells the target."""
NEARLY = 0.95
"""Share of equal values of a column that is nearly constant."""
FREQUENT = 3
"""Categories of a column that are named."""
NAMED = 5
"""Columns that a line names; of more their number is told."""
LARGEST_ID = 2.0**64
"""Numbers beyond it are whole without being counted, as all floats of their size are."""
FIRST = 1000
"""Rows that are looked at first, since they settle most questions."""

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class ColumnFacts:
    """What a column holds.

    `low`, `high`, `mean` are of numbers, None where there are none. `frequent` has the most
    frequent values with how often they are there, of words and truth values.
    """

    name: str
    kind: Kind
    rows: int
    missing: int
    wrong: int
    different: int
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    deviation: float | None = None
    frequent: tuple[tuple[str, int], ...] = ()
    often: float = 0.0
    """The share of the most frequent value among those that are there."""


def nearly_constant(columns: Sequence[ColumnFacts]) -> list[str]:
    """Return a line on columns that hold the same value nearly everywhere, if there are any."""
    found = [each for each in columns if each.different > 1 and each.often >= NEARLY]
    if not found:
        return []
    names = [f"'{short_word(each.name)}' {100 * each.often:.4g} %" for each in found[:NAMED]]
    more = f" and {len(found) - NAMED} more columns" if len(found) > NAMED else ""
    return [f"nearly constant, with so many equal values: {', '.join(names)}{more}"]


def facts_of(column: Column) -> ColumnFacts:
    """Return what a column holds."""
    known = column.values[~np.isnan(column.values)]
    values, counts = np.unique(known, return_counts=True)
    name, kind, rows = column.name, column.kind, len(column.values)
    missing, wrong = int(column.missing.sum()), int(column.wrong.sum())
    often = float(counts.max() / len(known)) if len(known) else 0.0
    if kind == "number":
        if not len(known):
            return ColumnFacts(name, kind, rows, missing, wrong, 0)
        largest = float(np.abs(known).max()) or 1.0  # squares of the largest are no numbers
        part = known / largest
        mean, deviation = float(part.mean()) * largest, float(part.std()) * largest
        low, high = float(values[0]), float(values[-1])
        return ColumnFacts(
            name, kind, rows, missing, wrong, len(values), low, high, mean, deviation, (), often
        )
    names = column.categories if kind == "words" else ("false", "true")
    order = np.argsort(-counts, kind="stable")[:FREQUENT]
    frequent = tuple((names[int(values[place])], int(counts[place])) for place in order)
    return ColumnFacts(
        name, kind, rows, missing, wrong, len(values), frequent=frequent, often=often
    )


# -------------------------------------------------------------------------------- odd columns

Odd = Literal["constant", "different", "target"]


class Remark(NamedTuple):
    """Why a column hardly helps to predict: it is the target, an id, or always the same."""

    name: str
    odd: Odd
    words: str


def noticed(found: Sequence[Remark]) -> list[str]:
    """Return remarks as lines, those of the same words in one, with the key that mends them."""
    by_words: dict[str, list[str]] = {}
    for remark in found:
        by_words.setdefault(remark.words, []).append(short_word(remark.name))
    lines = []
    for words, names in by_words.items():
        if len(names) == 1:
            lines.append(f"column '{names[0]}' {words}; data.exclude: [{names[0]}] leaves it out")
        else:
            some = ", ".join(f"'{name}'" for name in names[:NAMED])
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            lines.append(f"each of columns {some}{more} {words}; data.exclude leaves them out")
    return lines


def remarks(
    columns: Sequence[Column], labels: Floats | Integers, targets: Sequence[str]
) -> list[Remark]:
    """Return a remark on each column that is constant, different in each row, or the target.

    `labels` are the classes, `(rows,)`, or the numbers of a regression, `(rows, targets)`.
    """
    found = []
    for column in columns:
        if is_constant(column):
            found.append(Remark(column.name, "constant", "is the same in each row"))
        elif (told := _told(column, labels, targets)) is not None:
            found.append(Remark(column.name, "target", told))
        elif is_different(column):
            what = "is another whole number in each row, as an id is"
            found.append(Remark(column.name, "different", what))
    return found


def is_constant(column: Column) -> bool:
    """Return whether a column is the same in each row; gaps are something else."""
    values = column.values
    return all(bool((some == some[0]).all()) for some in (values[:FIRST], values) if len(some))


def is_different(column: Column) -> bool:
    """Return whether a column numbers its rows: whole numbers, no two alike."""
    values = column.values
    if column.kind != "number" or len(values) < MANY:
        return False
    if np.nanmax(np.abs(values), initial=0) > LARGEST_ID:
        return False
    return all(  # a gap is no whole number
        bool((some == np.floor(some)).all()) and len(np.unique(some)) == len(some)
        for some in (values[:FIRST], values)
    )


def _told(column: Column, labels: Floats | Integers, targets: Sequence[str]) -> str | None:
    """Return in words how a column tells a target in each row, None if it does not."""
    values = column.values
    for name, wanted in zip(targets, np.atleast_2d(labels.T), strict=True):
        target = f"the target '{short_word(name)}'"
        for rows in (slice(FIRST), slice(None)):
            if labels.ndim == 1:
                same = _one_to_one(values[rows], wanted[rows])
                what = f"has one value for each class, and so tells {target}"
            else:
                same = len(values) >= MANY and np.array_equal(values[rows], wanted[rows])
                what = f"is equal to {target}"
                if not same:
                    same = column.kind == "number" and _on_a_line(values[rows], wanted[rows])
                    what = f"is {target} in another unit"
            if not same:
                break
        else:
            return what
    return None


def _one_to_one(values: Floats, classes: Floats | Integers) -> bool:
    """Return whether each value is of one class, and each class of one value."""
    if len(values) < MANY or np.isnan(values).any():
        return False
    different, codes = np.unique(values, return_inverse=True)
    count = len(np.unique(classes))
    if len(different) != count:
        return False
    return len(np.unique(codes * (int(classes.max()) + 1) + classes.astype(np.int64))) == count


def _on_a_line(values: Floats, numbers: Floats | Integers) -> bool:
    """Return whether values are `a + b numbers`, but for rounding."""
    if len(values) < MANY or np.isnan(values).any():
        return False
    with np.errstate(all="ignore"):  # constant ones, and those near the largest, are on no line
        x, y = values - values.mean(), numbers - numbers.mean()
        x, y = x / np.abs(x).max(), y / np.abs(y).max()
        return bool(np.abs(y - (x @ y) / (x @ x) * x).max() < 1e-9)


# ------------------------------------------------------------------------------ equal rows


class Repeats(NamedTuple):
    """Samples with the same features: how many are repeats of one before them.

    And how many are among samples that have the same features, but not all the same class.
    """

    repeated: int
    contradicting: int


def repeats(inputs: Floats, labels: Floats | Integers) -> Repeats:
    """Return how many samples, `(rows, features)`, repeat others; of a regression two numbers."""
    _, place = np.unique(hashes(inputs), return_inverse=True)
    count = int(place.max()) + 1 if len(place) else 0
    own = hashes(np.asarray(labels, np.float64).reshape(len(labels), -1))
    order = np.lexsort((own, place))
    changes = (place[order][1:] == place[order][:-1]) & (own[order][1:] != own[order][:-1])
    mixed = np.zeros(count, bool)
    mixed[place[order][1:][changes]] = True
    return Repeats(len(inputs) - count, int(mixed[place].sum()))


def seen_before(train: Floats, test: Floats) -> int:
    """Return how many test samples have the features of a training sample, `(rows, features)`."""
    return int(np.isin(hashes(test), hashes(train)).sum())


def hashes(rows: Floats) -> Hashes:
    """Return a number for each row, `(rows,)`: the same for equal rows, gaps alike.

    Bits are mixed as by SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
    generators", 2014): of a million rows two differing ones have the same number with a chance of
    one in 30 million.
    """
    found = np.zeros(len(rows), np.uint64)
    for column in rows.T:
        values = np.where(np.isnan(column), np.nan, column + 0.0)  # one NaN, and no -0.0
        found ^= values.view(np.uint64)
        found += np.uint64(0x9E3779B97F4A7C15)
        found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        found ^= found >> np.uint64(31)
    return found


# ------------------------------------------------------------------------------------ points


class Plane(NamedTuple):
    """Samples as points of a plane, `(rows, 2)`, and what its axes are called.

    `share` is that of the variance that two principal components hold, None for two features.
    """

    points: Floats
    names: tuple[str, str]
    share: float | None = None


def plane_of(inputs: Floats, features: Sequence[str]) -> Plane:
    """Return two features as they are, or the first two principal components of more.

    Components are those of features shifted and scaled to mean 0 and standard deviation 1, gaps
    filled with the mean. Their signs are such that the largest weight is above 0.
    """
    if inputs.shape[1] == 1:
        return Plane(np.stack([inputs[:, 0], np.zeros(len(inputs))], 1), (features[0], ""))
    if inputs.shape[1] == 2:
        return Plane(inputs, (features[0], features[1]))
    there = np.maximum((~np.isnan(inputs)).sum(0), 1)
    largest = np.nan_to_num(np.abs(inputs)).max(0, initial=0)
    inputs = inputs / np.where(largest > 0, largest, 1)  # squares of the largest are no numbers
    shifted = np.nan_to_num(inputs - np.nansum(inputs, 0) / there)
    scale = np.sqrt((shifted**2).sum(0) / there)
    shifted = shifted / np.where(scale > 0, scale, 1)
    variances, axes = np.linalg.eigh(shifted.T @ shifted)
    largest = axes[:, [-1, -2]]
    largest = largest * np.sign(largest[np.abs(largest).argmax(0), [0, 1]])
    share = float(variances[-2:].sum() / total) if (total := variances.sum()) > 0 else 0.0
    names = ("first principal component", "second principal component")
    return Plane(shifted @ largest, names, share)
