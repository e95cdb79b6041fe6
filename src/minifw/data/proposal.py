"""What fits a file of columns of which nothing is said: target, task, and columns to leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from minifw.data.facts import remarks
from minifw.data.files import FEW, left_out, none_left, table_of, useless
from minifw.data.frame import Frame
from minifw.data.kinds import Column, Mask, column_of, missing_of
from minifw.data.roles import Choice, roles_of
from minifw.data.table import Table
from minifw.errors import DataError, short_word
from minifw.statistics.measure import Task


@dataclass(frozen=True)
class Proposal:
    """How a file can be learned.

    Attributes:
        choice: which columns are used, and how, with all that is proposed.
        targets: the columns of classes, or of the numbers of a regression.
        left_out: why a column is not used, by its name.
        words: how many different words the columns have that become one-hot.
        gaps: how many values the features lack, by column.
        table: the samples.

    """

    choice: Choice
    targets: tuple[str, ...]
    left_out: dict[str, str]
    words: dict[str, int]
    gaps: dict[str, int]
    table: Table = field(repr=False)


def propose(frame: Frame, choice: Choice, task: Task | None = None, tests: int = 0) -> Proposal:
    """Return what fits a file; what `choice` and `task` say is kept.

    The last `tests` rows are for testing.

    Raises:
        DataError: the target cannot be one, or the file has faults that no key here mends.

    """
    roles = roles_of(frame, choice)
    values = dict(zip(frame.names, frame.columns, strict=True))
    targets = [column_of(name, values[name]) for name in roles.targets]
    regression = _is_regression(frame, targets, task)
    columns = {
        name: column_of(name, values[name], "words" if name in roles.words else None)
        for name in roles.features
    }
    known = ~np.any([missing_of(values[name]) for name in roles.targets], axis=0)
    choice = replace(choice, regression=regression)
    unused = {}
    if choice.features is None:
        asked = [name for name in columns if name not in roles.words]
        unused = _left_out(frame, choice, {name: columns[name] for name in asked}, known)
    used = {name: column for name, column in columns.items() if name not in unused}
    gaps = {name: int(count) for name, column in used.items() if (count := column.missing.sum())}
    missing = choice.missing
    if missing == "error":
        missing = "mean" if gaps else "error" if known.all() else "drop"
    choice = replace(choice, missing=missing, exclude=[*choice.exclude, *unused])
    words = {
        name: len(column.categories) for name, column in used.items() if column.kind == "words"
    }
    table = table_of(frame, choice, tests)
    return Proposal(choice, tuple(roles.targets), unused, words, gaps, table)


def _left_out(
    frame: Frame, choice: Choice, columns: dict[str, Column], known: Mask
) -> dict[str, str]:
    """Return why columns should not be used; `known` are the rows that have a target."""
    found = {name: why for name, column in columns.items() if (why := useless(column)) is not None}
    left = [column for name, column in columns.items() if name not in found]
    if found and len(roles_of(frame, choice).features) == len(found):
        raise none_left(frame, [left_out(columns[name], why) for name, why in found.items()])
    # A row without a feature is no reason to look away.
    probe = replace(choice, exclude=[*choice.exclude, *found], missing="mean")
    table = table_of(frame, probe)
    rows = [replace(each, values=each.values[known], wrong=each.wrong[known]) for each in left]
    odd = remarks(rows, table.labels, table.targets or [table.target])
    if len(odd) < len(left):  # else nothing would be left to learn from
        found |= {remark.name: f"it {remark.words}" for remark in odd}
    return found


def _is_regression(frame: Frame, targets: Sequence[Column], task: Task | None) -> bool:
    """Return whether the targets are numbers, and not classes."""
    if task == "classification" or (task is None and len(targets) == 1 and is_class(targets[0])):
        _check_classes(frame, targets[0])
        return False
    for column in targets:
        if column.kind == "words":
            name = short_word(column.name)
            raise DataError(
                f"{frame.path}: target '{name}' holds words, such as "
                f"'{short_word(column.categories[0])}', and a regression takes numbers; "
                "--target names another column"
                + ("" if len(targets) > 1 else ", --task classification takes words")
            )
    return True


def is_class(column: Column) -> bool:
    """Return whether a target is a class: words, truth values, or few different whole numbers."""
    if column.kind != "number":
        return True
    known = column.values[~np.isnan(column.values)]
    for some in (known[:1000], known):
        if (some != np.floor(some)).any() or len(np.unique(some)) > FEW:
            return False
    return len(np.unique(known)) <= len(known) / 2


def _check_classes(frame: Frame, column: Column) -> None:
    """Raise a DataError if there are nearly as many different words as rows: names, no classes."""
    if column.kind == "words" and (why := useless(column)) is not None:
        others = [name for name in frame.names if name != column.name]
        known = ", ".join(map(short_word, others[:10])) + (", …" if len(others) > 10 else "")
        raise DataError(
            f"{frame.path}: column '{short_word(column.name)}' is no target, with {why}; "
            f"--target names another: {known}"
        )
