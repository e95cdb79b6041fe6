"""Samples from the columns of a user's file: which are features, which the target, what is missing.

`read_…` functions of the files beside this one return a `Frame`; `table_of` makes samples of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from minifw.data import cells
from minifw.data.encoding import Encoding, Fill
from minifw.data.faults import MOST_COLUMNS, Faults, by_column, in_words
from minifw.data.frame import Frame
from minifw.data.generated import Floats, Integers
from minifw.data.kinds import Column, Kind, Mask, column_of, missing_of, words_of
from minifw.data.reading import suggestion, twice
from minifw.data.table import Table
from minifw.errors import DataError, short_word

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CLASSES = 1000
MOST_CATEGORIES = 1000
FEW = 20
"""Different values that a column may have however few rows there are."""

Names = Sequence[str | int]
Missing = Literal["error", "drop", "mean", "median"]

DROPS = "data.missing: drop leaves such rows out"
FILLS = f"{DROPS}, mean or median fills them"


@dataclass(frozen=True)
class Choice:
    """Which columns of a file are used, and how: the keys of `data`.

    Columns are given by their names, or by their numbers from 1. None are the defaults: the last
    column is the target, and all others are features.
    """

    features: Names | None = None
    target: str | int | Names | None = None
    exclude: Names = ()
    categorical: Literal["auto"] | Names = "auto"
    missing: Missing = "error"
    group: str | int | None = None
    regression: bool = False

    @property
    def fill(self) -> Fill | None:
        """With what gaps are filled."""
        return self.missing if self.missing in ("mean", "median") else None


@dataclass(frozen=True)
class Roles:
    """The columns of a file by what they are for."""

    features: list[str]
    targets: list[str]
    words: list[str]
    group: str | None


def table_of(frame: Frame, choice: Choice, tests: int = 0) -> Table:
    """Return the samples of a file; the last `tests` rows are for testing.

    Raises:
        DataError: with file and line of all faults, and the key that mends them.

    """
    roles = roles_of(frame, choice)
    found = {name: _column(frame, name, roles) for name in roles.features}
    notes = list(frame.notes)
    if choice.features is None:
        notes += _leave_out(found, roles.words)
    if not found:
        raise DataError(f"{frame.path}: no column is left to be a feature; see data.exclude")
    numbers = {}
    if choice.regression:
        numbers = {name: _column(frame, name, roles) for name in roles.targets}
    gaps = {name: column.missing for name, column in found.items()}
    for name in roles.targets:
        gaps[name] = missing_of(_values(frame, name))
    kept, dropped = _kept(frame, choice, gaps, roles, {**found, **numbers})
    notes += dropped
    if not kept.all():
        tests = int(kept[len(kept) - tests :].sum()) if tests else 0
        found = {name: _rows(column, kept) for name, column in found.items()}
        numbers = {name: _rows(column, kept) for name, column in numbers.items()}
    notes += _filled(choice, found)
    encoding = Encoding.of([*found.values()], choice.fill)
    features = tuple(encoding.features)
    if (double := twice(features)) is not None:
        raise DataError(f"{frame.path}: two features would be called '{short_word(double)}'")
    table = Table(
        encoding.wide([column.values for column in found.values()]),
        np.zeros(0, np.int64),
        features,
        (),
        frame.checksum,
        ", ".join(roles.targets),
        encoding=None if encoding.is_plain else encoding,
        groups=None if roles.group is None else words_of(_values(frame, roles.group))[1][kept],
        tests=tests,
        notes=tuple(notes),
    )
    if choice.regression:
        labels = np.stack([column.values for column in numbers.values()], 1)
        return replace(table, labels=labels, targets=tuple(roles.targets))
    words, codes = words_of(_values(frame, roles.targets[0]))
    used, codes = np.unique(codes[kept], return_inverse=True)
    some = [words[place] for place in used]
    numbers_of, classes = classes_named(frame.path, roles.targets[0], some, codes)
    return replace(table, labels=numbers_of, classes=classes)


# ------------------------------------------------------------------------------- which columns


def roles_of(frame: Frame, choice: Choice) -> Roles:
    """Return which columns are for what.

    Raises:
        DataError: there is no such column, or one has two purposes.

    """
    names = frame.names
    excluded = named(frame, choice.exclude, "exclude")
    group = None if choice.group is None else named(frame, [choice.group], "group")[0]
    asked = [choice.target] if isinstance(choice.target, str | int) else choice.target
    free = [name for name in names if name not in excluded and name != group]
    targets = free[-1:] if asked is None else named(frame, asked, "target")
    if choice.features is None:
        features = [name for name in free if name not in targets]
    else:
        features = named(frame, choice.features, "features")
    if not targets or not features:
        missing = f" '{short_word(targets[0])}'" if targets else ""
        raise DataError(f"{frame.path}:1: expects a column beside the target{missing}")
    words = [] if choice.categorical == "auto" else named(frame, choice.categorical, "categorical")
    for key, chosen in (("exclude", excluded), ("features", features), ("target", targets)):
        if (double := twice(chosen)) is not None:
            raise DataError(f"{frame.path}: data.{key} names column '{short_word(double)}' twice")
    for name in targets:
        if name in features:
            raise DataError(
                f"{frame.path}: column '{short_word(name)}' is the target (data.target, by default "
                "the last column), so it must not be one of data.features"
            )
    for key, chosen in (("features", features), ("target", targets)):
        for name in chosen:
            if name in excluded or name == group:
                other = "exclude" if name in excluded else "group"
                where = f"{frame.path}: column '{short_word(name)}'"
                raise DataError(f"{where} is named by both data.{key} and data.{other}")
    return Roles(features, targets, words, group)


def named(frame: Frame, asked: Names, key: str) -> list[str]:
    """Return the names of columns that are given by their names, or by their numbers from 1.

    Raises:
        DataError: there is no such column.

    """
    names, found = frame.names, []
    known = set(names)
    for each in asked:
        if isinstance(each, int) and not 1 <= each <= len(names):
            what = f"data.{key}: columns have numbers from 1 to {len(names)}, got {each}"
            raise DataError(f"{frame.path}: {what}")
        name = names[each - 1] if isinstance(each, int) else each
        if name not in known:
            near = suggestion(name, names)
            raise DataError(f"{frame.path}:1: there is no column '{short_word(name)}'{near}")
        found.append(name)
    return found


def _values(frame: Frame, name: str) -> pa.Array:
    return frame.columns[frame.names.index(name)]


def _column(frame: Frame, name: str, roles: Roles) -> Column:
    """Return a column, of the kind that the keys say or that is seen."""
    kind: Kind | None = None
    if name in roles.targets:
        kind = "number"
    elif name in roles.words:
        kind = "words"
    return column_of(name, _values(frame, name), kind)


def _leave_out(found: dict[str, Column], asked: Sequence[str]) -> list[str]:
    """Take out columns of words that are different in nearly each row; return a line on each."""
    notes = []
    for name, column in [*found.items()]:
        present = len(column.values) - int(column.missing.sum())
        many = len(column.categories) > max(FEW, present / 2)
        if column.kind == "words" and many and name not in asked:
            del found[name]
            count = f"{len(column.categories)} different words in {present} rows"
            notes.append(
                f"column '{short_word(name)}' is left out: {count}; "
                f"data.features can name it all the same"
            )
    return notes


# -------------------------------------------------------------------------- what is missing


def _kept(
    frame: Frame,
    choice: Choice,
    gaps: dict[str, Mask],
    roles: Roles,
    columns: dict[str, Column],
) -> tuple[Mask, list[str]]:
    """Return which rows are used, and a line on those that are not.

    Raises:
        DataError: there are faults, or no row is left.

    """
    faults = Faults(frame, DROPS)
    if any(mask.any() for name, mask in gaps.items() if name not in roles.targets):
        faults.instead = FILLS
    wrong = [name for name, column in columns.items() if column.wrong.any()]
    if wrong:
        some = ", ".join(map(short_word, wrong[:MOST_COLUMNS]))
        more = ", …" if len(wrong) > MOST_COLUMNS else ""
        faults.other = (
            f"data.categorical: [{some}{more}] makes a feature of each word, "
            "data.exclude leaves such columns out"
        )
    if set(wrong) & set(roles.targets):
        faults.other = "data.task: classification takes classes"
    for name, column in columns.items():
        faults.note(name, np.zeros(0, bool), column.wrong)
        if column.kind == "words" and len(column.categories) > MOST_CATEGORIES:
            raise DataError(
                f"{frame.path}: column '{short_word(name)}' has {len(column.categories)} different "
                f"words, at most {MOST_CATEGORIES} can be one-hot; data.exclude leaves it out"
            )
    if choice.missing == "error":
        for name, mask in gaps.items():
            faults.note(name, mask)
    faults.check()
    which = gaps if choice.missing == "drop" else {name: gaps[name] for name in roles.targets}
    which = {name: mask for name, mask in which.items() if mask.any()}
    if not which:
        return np.ones(frame.rows, bool), []
    kept = ~np.any([*which.values()], axis=0)
    if not kept.any():
        raise DataError(
            f"{frame.path}: each row lacks a value ({by_column(which)} missing); data.missing: "
            "mean or median fills them, data.exclude leaves columns out"
        )
    count = int((~kept).sum())
    why = "a target" if choice.missing != "drop" and len(roles.targets) == 1 else "a value"
    return kept, [
        f"{count} of {frame.rows} rows are left out, which lack {why}: {by_column(which)}"
    ]


def _filled(choice: Choice, found: dict[str, Column]) -> list[str]:
    """Return a line on the cells that are filled, if there are any."""
    gaps = {name: column.missing for name, column in found.items() if column.missing.any()}
    if not choice.fill or not gaps:
        return []
    words = [name for name in gaps if found[name].kind == "words"]
    some = {name: mask for name, mask in gaps.items() if name not in words}
    notes = []
    if some:
        what = f"the {choice.fill} of the training samples of each seed"
        notes.append(f"missing values are filled with {what}: {by_column(some)}")
    if words:
        of_words = {name: gaps[name] for name in words}
        notes.append(f"missing words are a category of their own: {by_column(of_words)}")
    return notes


def _rows(column: Column, kept: Mask) -> Column:
    """Return some rows of a column; of words with the categories that are left."""
    values, categories = column.values[kept], column.categories
    if column.kind == "words":
        used = np.unique(values[~np.isnan(values)]).astype(np.int64)
        place = np.full(len(categories) + 1, np.nan)
        place[used] = np.arange(len(used))
        values = place[np.where(np.isnan(values), len(categories), values).astype(np.int64)]
        categories = tuple(categories[number] for number in used)
    return replace(
        column,
        values=values,
        categories=categories,
        missing=column.missing[kept],
        wrong=column.wrong[kept],
    )


# ------------------------------------------------------------------------------------- classes


def classes_named(
    path: Path, target: str, words: Sequence[str], codes: Integers
) -> tuple[Integers, tuple[str, ...]]:
    """Return the class of each sample, and the names of the classes in their order.

    Sample i has the class of the cell `words[codes[i]]`.

    Raises:
        DataError: there is one class only, or more than anybody would want, or numbers are meant.

    """
    classes, number = cells.numbered(words)
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"{path}: expects at most {MOST_CLASSES} classes, got {len(classes)}; "
            "is the target really a class? data.task: regression predicts numbers"
        )
    numeric = all(cells.number(word) is not None for word in words)
    if numeric and len(classes) > max(FEW, len(codes) / 2):
        raise DataError(
            f"{path}: target '{short_word(target)}' has {len(classes)} different numbers in "
            f"{len(codes)} rows, which are no classes; data.task: regression predicts numbers"
        )
    for name in classes:
        if not name.isprintable() or len(name) > cells.LONGEST:
            raise DataError(
                f"{path}: a class must be printable text of at most {cells.LONGEST} characters, "
                f"got {ascii(name)[:60]}"
            )
    if len(classes) < 2:
        raise DataError(
            f"{path}: expects at least two classes, all samples are '{short_word(classes[0])}'"
        )
    return np.array([number[word] for word in words], np.int64)[codes], tuple(classes)


# ------------------------------------------------------------------------- for trained networks


@dataclass(frozen=True)
class Asked:
    """New samples for a trained network, with what is known of them.

    `inputs` are `(rows, features)` as in a `Table`. `classes` has the name of each row's class,
    None where it is missing, and `targets`, `(rows, targets)`, the numbers of a regression, NaN
    where one is missing; they are None where the file has no such column.
    """

    inputs: Floats
    checksum: str
    classes: list[str | None] | None = None
    targets: Floats | None = None


def asked_of(
    frame: Frame, encoding: Encoding, target: str | None, targets: Sequence[str] = ()
) -> Asked:
    """Return the samples of a file with known columns; other columns are ignored.

    Raises:
        DataError: with the place of all faults, or all columns that are missing.

    """
    _check_there(frame, [column.name for column in encoding.columns])
    faults = Faults(frame, "predict needs all values of a sample")
    values: list[Floats] = []
    for coded in encoding.columns:
        column = column_of(coded.name, _values(frame, coded.name), coded.kind)
        can_fill = encoding.fill is not None
        gaps = np.zeros(0, bool) if can_fill else column.missing
        faults.note(coded.name, gaps, column.wrong)
        values.append(
            _recoded(column, coded.categories) if coded.kind == "words" else column.values
        )
    faults.check()
    found = Asked(encoding.wide(values), frame.checksum)
    if targets and {*targets} <= {*frame.names}:
        columns = [column_of(name, _values(frame, name), "number").values for name in targets]
        return replace(found, targets=np.stack(columns, 1))
    if not targets and target in frame.names:
        words, codes = words_of(_values(frame, target))
        names = [None if cells.missing(word) else cells.class_name(word) for word in words]
        return replace(found, classes=[names[code] for code in codes])
    return found


def _recoded(column: Column, categories: Sequence[str]) -> Floats:
    """Return the places of words among other categories; the last place is that of new words."""
    place = {name: float(number) for number, name in enumerate(categories)}
    known = np.array([*(place.get(name, len(categories)) for name in column.categories), np.nan])
    gaps = len(column.categories)
    return known[np.where(np.isnan(column.values), gaps, column.values).astype(np.int64)]


def _check_there(frame: Frame, features: Sequence[str]) -> None:
    """Raise a DataError that names the features that a file has no column for."""
    known = set(frame.names)
    if absent := [name for name in features if name not in known]:
        # Of one column the name may be misspelt; several are of another file.
        near = suggestion(absent[0], frame.names)
        if len(absent) > 1:
            near = f"; known here: {in_words(frame.names).replace(chr(39), '')}"
        raise DataError(f"{frame.path}:1: there is no column {in_words(absent)}{near}")
