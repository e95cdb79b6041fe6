"""What is wrong or missing in the columns of a file, all of it told in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from minifw.data.frame import Frame
from minifw.data.kinds import Kind, Mask
from minifw.errors import DataError, short, short_word

MOST_COLUMNS = 8
"""Columns that a message names; of more their number is told."""


@dataclass
class Faults:
    """Cells of a file that cannot be used, by their columns.

    `instead` says what leaves them out or fills them, and `other` what takes what is no number.
    """

    frame: Frame
    instead: str = ""
    other: str = ""
    missing: dict[str, Mask] = field(default_factory=dict)
    wrong: dict[str, Mask] = field(default_factory=dict)
    untrue: dict[str, Mask] = field(default_factory=dict)
    """Those of columns of truth values."""
    lines: list[str] = field(default_factory=list)
    """Faults that are not of single cells."""

    def note(
        self, name: str, missing: Mask | None, wrong: Mask | None = None, kind: Kind = "number"
    ) -> None:
        """Note the faulty cells of a column."""
        if missing is not None and missing.any():
            self.missing[name] = missing
        if wrong is not None and wrong.any():
            (self.untrue if kind == "truth" else self.wrong)[name] = wrong

    def check(self) -> None:
        """Raise a DataError with a line for each kind of fault, if there is any."""
        lines = []
        if self.wrong:
            lines.append(self._line(self.wrong, "not a number", "not numbers", self.other))
        if self.untrue:
            lines.append(self._line(self.untrue, "no truth value", "no truth values", self.other))
        if self.missing:
            lines.append(self._line(self.missing, "missing", "missing", self.instead))
        if lines or self.lines:
            raise DataError(*lines, *self.lines)

    def _line(self, found: dict[str, Mask], is_one: str, are_many: str, remedy: str) -> str:
        first = min(int(mask.argmax()) for mask in found.values())
        count = sum(int(mask.sum()) for mask in found.values())
        rows = int(np.any([*found.values()], axis=0).sum())
        what = f"1 cell is {is_one}" if count == 1 else f"{count} cells are {are_many}"
        if found is self.wrong and remedy and rows == 1 and first == 0:
            remedy = f"{_as_names(self.frame)}{remedy}"
        return (
            f"{self.frame.where(first)}: {what}{of_rows(rows, count)}: "
            f"{self._by_column(found)}{remedy and '; '}{remedy}"
        )

    def _by_column(self, found: dict[str, Mask]) -> str:
        said = []
        for name, mask in [*found.items()][:MOST_COLUMNS]:
            row = int(mask.argmax())
            count = int(mask.sum())
            cell = short(cell_of(self.frame, name, row))
            number = "" if count == 1 else f"{count}, the first in "
            said.append(f"'{short_word(name)}' ({number}{place_in(self.frame, row)}: {cell})")
        more = len(found) - MOST_COLUMNS
        return ", ".join(said) + (f" and {more} more columns" if more > 0 else "")


def _as_names(frame: Frame) -> str:
    """Return the key that makes the first row of a text the names, which it seems to hold."""
    place = place_in(frame, 0)
    if not place.startswith("line ") or not frame.named:
        return ""
    return f"data.skip: {int(place[5:]) - 1} takes the names from {place}; "


def place_in(frame: Frame, row: int) -> str:
    """Return the place of a row without its file: `line 12`, or `row 12`."""
    whole, path = frame.where(row), str(frame.path)
    if not whole.startswith(f"{path}:"):
        return whole.rpartition("/")[2]  # in another file
    place = whole.removeprefix(path).removeprefix(":").strip()
    return place if place.startswith("row") else f"line {place}"


def cell_of(frame: Frame, name: str, row: int) -> str:
    """Return a cell as text."""
    value = frame.columns[frame.names.index(name)][row].as_py()
    return "" if value is None else str(value)


def of_rows(rows: int, count: int) -> str:
    """Return in how many rows so many cells are, where that is another number."""
    return f" in {rows} rows" if 1 < rows < count else (" in 1 row" if rows < count else "")


def by_column(found: dict[str, Mask]) -> str:
    """Return the number of cells of each column, as in `'age' 12, 'deck' 3`."""
    named = [f"'{short_word(name)}' {int(mask.sum())}" for name, mask in found.items()]
    more = len(named) - MOST_COLUMNS
    return ", ".join(named[:MOST_COLUMNS]) + (f" and {more} more columns" if more > 0 else "")


def listed(names: Sequence[str]) -> str:
    """Return names of columns as a list in a config, the first of many."""
    shown = ", ".join(map(short_word, names[:MOST_COLUMNS]))
    return shown + (", …" if len(names) > MOST_COLUMNS else "")
