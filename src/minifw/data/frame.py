"""The columns of a file as they were read, before anything is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Frame:
    """The columns of a file, in its order.

    `columns` are arrays of cells as text, without spaces around them, where the file has no types,
    else of float64, int64, bool or text, null where a value is missing. `place` tells the place
    of a row, from 0, as `iris.csv:12` or `iris.parquet: row 12`. `named` is False where neither
    the file nor the config names the columns: then they are "column 1", "column 2" and so on.
    `checksum` is the SHA-256 of the file's bytes, and `notes` say what was noticed, a line each.
    """

    path: Path
    names: tuple[str, ...]
    columns: tuple[pa.Array, ...]
    checksum: str
    place: Callable[[int], str]
    named: bool = True
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.columns[0])

    def where(self, row: int) -> str:
        """Return the place of a row for a message."""
        return self.place(row)


@dataclass(frozen=True)
class RowPlaces:
    """Tells the number of a row, from 1, of a file that has no lines."""

    path: Path

    def __call__(self, row: int) -> str:
        return f"{self.path}: row {row + 1}"
