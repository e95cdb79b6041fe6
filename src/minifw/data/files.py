"""Samples from the columns of a user's file: what is missing, filled, left out, and one-hot.

`read_…` functions of the files beside this one return a `Frame`; `table_of` makes samples of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minifw.data import cells
from minifw.data.encoding import Encoding
from minifw.data.facts import noticed, remarks
from minifw.data.faults import Faults, by_column, listed
from minifw.data.frame import Frame
from minifw.data.generated import Integers
from minifw.data.kinds import MOSTLY, Column, Mask, column_of, missing_of, words_of
from minifw.data.reading import check_memory, in_words, twice
from minifw.data.roles import Choice, Roles, roles_of
from minifw.data.table import Table
from minifw.errors import DataError, short_word

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FEW", "Choice", "classes_named", "table_of", "useless"]

MOST_CLASSES = 1000
MOST_CATEGORIES = 1000
FEW = 20
"""Different values that a column may have however few rows there are."""

DROPS = "data.missing: drop leaves such rows out"
FILLS = f"{DROPS}, mean or median fills them"


def table_of(frame: Frame, choice: Choice, tests: int = 0) -> Table:
    """Return the samples of a file; the last `tests` rows are for testing.

    Raises:
        DataError: with file and line of all faults, and the key that mends them.

    """
    roles = roles_of(frame, choice)
    # Columns of numbers with what is missing and wrong in them, and the table they become.
    check_memory(
        f"{frame.path}: making samples of this file", 18 * frame.rows * len(roles.features)
    )
    values = dict(zip(frame.names, frame.columns, strict=True))
    features = {
        name: column_of(name, values[name], "words" if name in roles.words else None)
        for name in roles.features
    }
    notes = [*frame.notes]
    if choice.features is None:
        notes += _leave_out(features, roles.words)
    if not features:
        raise none_left(frame, notes)
    targets = {}
    if choice.regression:
        targets = {name: column_of(name, values[name], "number") for name in roles.targets}
    missing = {name: missing_of(values[name]) for name in roles.targets}
    _check(frame, choice, features, targets, missing)
    kept, dropped = _kept(frame, choice, features, missing)
    notes += dropped
    if not kept.all():
        tests = _left_to_test(frame, kept, tests)
        features = {name: _rows(column, kept) for name, column in features.items()}
        targets = {name: _rows(column, kept) for name, column in targets.items()}
    for name, column in features.items():
        if column.kind == "words" and name not in roles.words and (why := like_numbers(column)):
            notes.append(f"column '{short_word(name)}' holds words{why}: each is one-hot")
    notes += _filled(choice, features)
    groups = None
    if roles.group is not None:
        groups = _groups(column_of(roles.group, values[roles.group], "words"), kept, notes)
    encoding = Encoding.of([*features.values()], choice.fill)
    if (double := twice(encoding.features)) is not None:
        raise DataError(f"{frame.path}: two features would be called '{short_word(double)}'")
    numbers = int(kept.sum()) * len(encoding.features)
    check_memory(f"{frame.path}: making samples of this file", 8 * numbers)
    table = Table(
        encoding.wide([column.values for column in features.values()]),
        np.zeros(0, np.int64),
        tuple(encoding.features),
        (),
        frame.checksum,
        ", ".join(roles.targets),
        encoding=None if encoding.is_plain else encoding,
        groups=groups,
        tests=tests,
        notes=tuple(notes),
        unnamed=None if frame.named else len(frame.names),
    )
    if choice.regression:
        labels = np.stack([column.values for column in targets.values()], 1)
        table = replace(table, labels=labels, targets=tuple(roles.targets))
    else:
        table = _classified(frame, table, roles, values, kept)
    return _remarked(table, [*features.values()], choice)


def _remarked(table: Table, columns: Sequence[Column], choice: Choice) -> Table:
    """Return the table with notes on columns that hardly help, or help too much.

    Columns that the config names are meant so, but for those that tell the target.
    """
    found = remarks(columns, table.labels, table.targets or [table.target])
    if choice.features is not None:
        found = [remark for remark in found if remark.odd == "target"]
    return replace(table, notes=(*table.notes, *noticed(found)))


def _classified(
    frame: Frame, table: Table, roles: Roles, values: dict[str, pa.Array], kept: Mask
) -> Table:
    """Return the table with the classes that the target's cells stand for."""
    target = roles.targets[0]
    if len(roles.targets) > 1:
        raise DataError(
            f"{frame.path}: data.target: several columns are targets of data.task: regression"
        )
    words, codes = words_of(values[target])
    used, codes = np.unique(codes[kept], return_inverse=True)
    some = [words[place] for place in used]
    labels, classes = classes_named(frame.path, target, some, codes)
    notes = table.notes
    if table.tests:
        known = {*labels[: -table.tests].tolist()}
        if new := [name for number, name in enumerate(classes) if number not in known]:
            what = f"classes of data.test_path that no row of data.path has: {in_words(new)}"
            notes = (*notes, what)
    return replace(table, labels=labels, classes=classes, notes=notes)


def _leave_out(features: dict[str, Column], asked: Sequence[str]) -> list[str]:
    """Take out columns that say nothing of other samples; return a line on each."""
    notes = []
    for name, column in [*features.items()]:
        if name in asked or (why := useless(column)) is None:
            continue
        del features[name]
        notes.append(left_out(column, why))
    return notes


def left_out(column: Column, why: str) -> str:
    """Return a line on a column that is not used, since it has no value or too many."""
    shown = short_word(column.name)
    keeps = f"; data.categorical: [{shown}] keeps it" if column.categories else ""
    return f"column '{shown}' is left out, with {why}{keeps}"


def none_left(frame: Frame, notes: Sequence[str]) -> DataError:
    """Return the error for a file of which no column is used; `notes` say why."""
    return DataError(f"{frame.path}: no column is left to be a feature", *notes)


_DATE = re.compile(r"\d{4}-\d\d?-\d\d?(?!\d)|\d\d?([./-])\d\d?\1(\d{4}|\d\d)(?!\d)")
"""Begins with a date: 2026-01-05, 05.01.2026, 1/5/26."""


def useless(column: Column) -> str | None:
    """Return what a column has that says nothing of other samples, None if it may do.

    It is empty, or holds words that are different in nearly each row, such as names.
    """
    present = len(column.values) - int(column.missing.sum())
    if not present:
        return "no value"
    if column.kind == "words" and len(column.categories) > max(FEW, present / 2):
        alike = like_numbers(column)
        what = "dates" if all(map(_DATE.match, column.categories)) else "words"
        return f"{len(column.categories)} different {what} in {present} rows" + (alike or "")
    return None


def like_numbers(column: Column) -> str | None:
    """Return that the words of a column may be meant as numbers, as `1,234`, `$5` or `10 %`."""
    words = column.categories
    odd = [word for word in words if cells.number(word) is None]
    if not odd or sum(map(cells.resembles_number, words)) < MOSTLY * len(words):
        return None
    return f", such as '{short_word(odd[0])}' (numbers are digits with a point only)"


# -------------------------------------------------------------------------- what is missing


def _check(
    frame: Frame,
    choice: Choice,
    features: dict[str, Column],
    targets: dict[str, Column],
    missing: dict[str, Mask],
) -> None:
    """Raise a DataError with a line for each kind of fault; `missing` are gaps of targets."""
    faults = Faults(frame, DROPS)
    for name, column in features.items():
        faults.note(name, None, column.wrong)
        if choice.missing == "error":
            faults.note(name, column.missing)
    if faults.missing:
        faults.instead = FILLS
    if faults.wrong:
        faults.other = (
            f"data.categorical: [{listed([*faults.wrong])}] makes a feature of each value, "
            "data.exclude leaves such columns out; emptied cells would be missing values"
        )
    for name, column in targets.items():
        if column.wrong.any():
            faults.other = "data.task: classification takes classes"
        faults.note(name, None, column.wrong)
    if choice.missing == "error":
        for name, mask in missing.items():
            faults.note(name, mask)
    for name, column in features.items():
        if (count := len(column.categories)) > MOST_CATEGORIES:
            faults.lines.append(
                f"{frame.path}: column '{short_word(name)}' has {count} different values, at most "
                f"{MOST_CATEGORIES} can be one-hot; data.exclude: [{short_word(name)}] leaves it "
                "out"
            )
    faults.check()


def _kept(
    frame: Frame, choice: Choice, features: dict[str, Column], missing: dict[str, Mask]
) -> tuple[Mask, list[str]]:
    """Return which rows are used, and a line on those that are not.

    A sample without its target is of no use, even where gaps are filled.

    Raises:
        DataError: no row is left.

    """
    gaps = {name: column.missing for name, column in features.items()}
    which = gaps | missing if choice.missing == "drop" else missing
    which = {name: mask for name, mask in which.items() if mask.any()}
    if not which:
        return np.ones(frame.rows, bool), []
    kept = ~np.any([*which.values()], axis=0)
    if not kept.any():
        remedy = ""
        if choice.missing == "drop":
            remedy = "; data.missing: mean or median fills them, data.exclude leaves columns out"
        raise DataError(
            f"{frame.path}: each row lacks a value ({by_column(which)} missing){remedy}"
        )
    count = int((~kept).sum())
    rows = "1 row is" if count == 1 else f"{count} rows are"
    return kept, [f"{rows} left out of {frame.rows}, where a value is missing: {by_column(which)}"]


def _left_to_test(frame: Frame, kept: Mask, tests: int) -> int:
    """Return how many of the last `tests` rows are kept."""
    left = int(kept[len(kept) - tests :].sum())
    if tests and left in (0, int(kept.sum())):
        key = "data.path" if left else "data.test_path"
        raise DataError(f"{frame.path}: no row of {key} is left, each lacks a value")
    return left


def _filled(choice: Choice, features: dict[str, Column]) -> list[str]:
    """Return a line on the cells that are filled, if there are any."""
    gaps = {name: column.missing for name, column in features.items() if column.missing.any()}
    if not choice.fill or not gaps:
        return []
    words = {name: mask for name, mask in gaps.items() if features[name].kind == "words"}
    others = {name: mask for name, mask in gaps.items() if name not in words}
    notes = []
    if others:
        what = f"the {choice.fill} of the training samples of each seed"
        notes.append(f"missing values are filled with {what}: {by_column(others)}")
    if words:
        notes.append(f"missing words are a category of their own: {by_column(words)}")
    return notes


def _groups(column: Column, kept: Mask, notes: list[str]) -> Integers:
    """Return the group of each row that is used; rows that have none are one group."""
    if count := int(column.missing[kept].sum()):
        rows = "1 row has" if count == 1 else f"{count} rows have"
        notes.append(f"{rows} no value in data.group '{short_word(column.name)}': one group")
    places = np.where(column.missing, len(column.categories), column.values)
    return places[kept].astype(np.int64)


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
            f"{path}: target '{short_word(target)}': expects at least two classes, all samples are "
            f"'{short_word(classes[0])}'; data.target names another column"
        )
    return np.array([number[word] for word in words], np.int64)[codes], tuple(classes)
