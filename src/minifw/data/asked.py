"""New samples for trained networks, from the columns of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from minifw.data import cells
from minifw.data.encoding import Encoding
from minifw.data.faults import Faults, by_column
from minifw.data.frame import Frame
from minifw.data.generated import Floats
from minifw.data.kinds import Column, Mask, column_of, words_of
from minifw.data.reading import in_words, no_column
from minifw.errors import DataError


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
    notes: tuple[str, ...] = ()
    """What was noticed, a line each."""


def asked_of(
    frame: Frame,
    encoding: Encoding,
    target: str | None,
    targets: Sequence[str] = (),
    unnamed: int | None = None,
) -> Asked:
    """Return the samples of a file with known columns; other columns are ignored.

    `unnamed` is the number of columns of the file that was learnt from, if that named none.

    Raises:
        DataError: with the place of all faults, or all columns that are missing.

    """
    names = [target] if target is not None and not targets else targets
    _check_places(frame, names, unnamed)
    _check_there(frame, [column.name for column in encoding.columns], unnamed)
    cells_of = dict(zip(frame.names, frame.columns, strict=True))
    can_fill = encoding.fill is not None
    faults = Faults(frame, "predict needs all values of a sample")
    values: list[Floats] = []
    new: dict[str, Mask] = {}
    gaps: dict[str, Mask] = {}
    for coded in encoding.columns:
        column = column_of(coded.name, cells_of[coded.name], coded.kind)
        faults.note(coded.name, None if can_fill else column.missing, column.wrong, coded.kind)
        if column.missing.any():
            gaps[coded.name] = column.missing
        made = column.values
        if coded.kind == "words":
            made = _recoded(column, coded.categories)
            if (unknown := made == len(coded.categories)).any():
                new[coded.name] = unknown
        values.append(made)
    faults.check()
    notes = [*frame.notes]
    if new:
        notes.append(f"words that the run did not learn from are 'other' words: {by_column(new)}")
    if gaps:
        what = "missing values are filled as in the run, by its training samples"
        notes.append(f"{what}: {by_column(gaps)}")
    found = Asked(encoding.wide(values), frame.checksum, notes=tuple(notes))
    if not names or not {*names} <= {*cells_of}:
        return found
    if targets:
        columns = [column_of(name, cells_of[name], "number").values for name in targets]
        return replace(found, targets=np.stack(columns, 1))
    words, codes = words_of(cells_of[names[0]])
    classes = [None if cells.missing(word) else cells.class_name(word) for word in words]
    return replace(found, classes=[classes[code] for code in codes])


def _check_places(frame: Frame, targets: Sequence[str], unnamed: int | None) -> None:
    """Raise a DataError if columns without names are not those that were learnt from.

    They are known by their places alone: where the target is not the last column and a file lacks
    it, all that come later would be taken for others.
    """
    if unnamed is None or frame.named or len(frame.names) == unnamed:
        return
    left = unnamed - len(targets)
    if len(frame.names) == left and not {*targets} & {*frame.names}:
        return  # it lacks the targets, which were the last columns
    what = "the file that the run learnt from had"
    raise DataError(
        f"{frame.path}: expects {unnamed} columns, got {len(frame.names)}: {what} no names of "
        f"columns, which are known by their places, and {in_words(targets)} "
        f"{'was the target' if len(targets) == 1 else 'were the targets'}; any values do there"
    )


def _recoded(column: Column, categories: Sequence[str]) -> Floats:
    """Return the places of words among other categories; the last place is that of new words."""
    place = {name: float(number) for number, name in enumerate(categories)}
    known = np.array([*(place.get(name, len(categories)) for name in column.categories), np.nan])
    gaps = len(column.categories)
    return known[np.where(np.isnan(column.values), gaps, column.values).astype(np.int64)]


def _check_there(frame: Frame, features: Sequence[str], unnamed: int | None) -> None:
    """Raise a DataError that names the features that a file has no column for."""
    known = set(frame.names)
    if absent := [name for name in features if name not in known]:
        why = ""
        if not frame.named:
            why = "; this file gives its columns no names"
        elif unnamed is not None:
            why = "; the file that the run learnt from gave its columns no names"
        raise DataError(f"{frame.path}: {no_column(absent, frame.names)}{why}")
