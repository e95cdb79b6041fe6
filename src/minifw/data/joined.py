"""The rows of a file for training and of one for testing, as one frame."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from minifw.data.frame import Frame
from minifw.data.reading import no_column
from minifw.errors import DataError, short_word
from minifw.system.files import checksum

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class _Places:
    """Tells the places of the rows of two files."""

    first: Frame
    second: Frame

    def __call__(self, row: int) -> str:
        own = self.first.rows
        return self.first.where(row) if row < own else self.second.where(row - own)


def joined(first: Frame, second: Frame, unused: Collection[str] = ()) -> Frame:
    """Return the rows of both files, in the columns of the first; the checksum is of both.

    Columns are found by their names, or where no file names any by their numbers. Other columns of
    the second file are not used; it may lack those that are `unused`.

    Raises:
        DataError: the second file lacks a column, or has text where the first has numbers.

    """
    import pyarrow as pa

    if first.named != second.named:
        one, other = (first, second) if first.named else (second, first)
        raise DataError(
            f"{second.path}: must have the columns of {first.path}, but {one.path} has a line of "
            f"names and {other.path} has none; data.header says it of both"
        )
    there = dict(zip(second.names, second.columns, strict=True))
    absent = [name for name in first.names if name not in there and name not in unused]
    if absent:
        what = no_column(absent, second.names)
        raise DataError(f"{second.path}: {what}; data.test_path needs those of {first.path}")
    columns = []
    for name, column in zip(first.names, first.columns, strict=True):
        found = there[name] if name in there else pa.nulls(second.rows, column.type)
        columns.append(_joined(first, second, name, (column, found)))
    notes = list(dict.fromkeys((*first.notes, *second.notes)))
    return replace(
        first,
        columns=tuple(columns),
        checksum=checksum(f"{first.checksum} {second.checksum}".encode()),
        place=_Places(first, second),
        notes=tuple(notes),
    )


def _joined(first: Frame, second: Frame, name: str, both: tuple[pa.Array, pa.Array]) -> pa.Array:
    """Return one column of both files; whole numbers and others are numbers together."""
    import pyarrow as pa

    tables = [pa.table({name: column}) for column in both]
    try:
        found = pa.concat_tables(tables, promote_options="permissive").column(name)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        kinds = " and ".join(
            f"{column.type} in {file.path}"
            for column, file in zip(both, (first, second), strict=True)
        )
        raise DataError(
            f"{second.path}: column '{short_word(name)}' must be alike in both files, got {kinds}"
        ) from None
    return found.combine_chunks()
