"""How a file of text is written: what separates its cells, which line names its columns.

Keys of the config say it, and what they leave open is found by looking at the first lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from minifw.data import cells
from minifw.data.rows import Row, Scanner

DELIMITERS = (";", "\t", "|", ",", " ")
"""What is looked for; a space stands for any run of spaces or tabs.

Of equals the first is taken: numbers and texts have more commas than semicolons.
"""
NAMED = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar", " ": "spaces"}

SAMPLE = 500
"""Rows that are looked at, at most."""
ENOUGH = 20_000
"""Cells after which no more rows are looked at, but for the first few."""

MOSTLY = 0.9
"""Share of rows or cells that makes a rule; the others are faults, which are told later."""

FEW = 5
"""Rows of which numbers tell nothing, if there are less."""

DECIMAL_COMMA = r"[+-]?([0-9]+,[0-9]*|,[0-9]+)([eE][+-]?[0-9]+)?"
"""A number with a comma for its point, as a regular expression."""
THOUSANDS = r"[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+(,[0-9]*)?"
"""A number with points between thousands, and perhaps a decimal comma, as a regular expression."""
_DECIMAL_COMMA = re.compile(DECIMAL_COMMA)
_FOLLOWED = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([,;|\t ])")


@dataclass(frozen=True)
class Dialect:
    """How a file of text is written; None is what is to be found by looking.

    `delimiter` is one ASCII character, a space for runs of spaces and tabs; `decimal` is `.` or
    `,`. `header` says whether the first line names the columns, `names` are the names instead.
    `comment` is the character that comments begin with, "" for none; `skip` the number of lines
    to leave out before anything is read. `fewer` are the names in a file that lacks some columns.
    """

    delimiter: str | None = None
    decimal: str | None = None
    header: bool | None = None
    names: Sequence[str] | None = None
    encoding: str | None = None
    comment: str | None = None
    skip: int = 0
    fewer: Sequence[str] | None = None


# ------------------------------------------------------------------------- what separates cells


def delimiter_of(text: bytes, start: int, comment: str) -> str:
    """Return what separates the cells: what divides most rows into as many cells, more than one.

    The first row, which may be a title, counts only if there is no other. Where several do, cells
    that are numbers decide, and not parts of two, as `;` in `0,11;2,15`.
    """
    best, choice = (0.0, 0.0), ","
    for delimiter in DELIMITERS:
        found = sample(Scanner(delimiter).rows(text, start, comment))
        rows = found[1:] or found
        if not rows:
            break
        count = usual_length(rows)
        same = [row for row in rows if len(row) == count]
        share = len(same) / len(rows)
        if count < 2 or share < MOSTLY / 2:
            continue
        pairs = ((before, cell) for row in same for before, cell in pairwise(["", *row]))
        whole = sum(_wholeness(*pair, delimiter) for pair in pairs) / (count * len(same))
        if delimiter == " " and whole < 0.75 and share < MOSTLY:
            continue  # words have spaces between them, too
        # The header is divided by the same, so it decides between equals: `a, b;c` has one comma.
        score = (round(share, 1) + 0.1 * (len(found[0]) == count), round(whole, 2))
        if score > best:
            best, choice = score, delimiter
    return choice


def first_rows(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that are looked at."""
    found: list[Row] = []
    seen = 0
    for row in islice(rows, SAMPLE):
        found.append(row)
        seen += len(row.cells)
        if seen > ENOUGH and len(found) > 20:
            break
    return found


def sample(rows: Iterable[Row]) -> list[list[str]]:
    """Return the cells of the rows that are looked at."""
    return [row.cells for row in first_rows(rows)]


def usual_length(rows: Sequence[Sequence[str]]) -> int:
    """Return the number of cells that most rows have."""
    lengths = [len(row) for row in rows]
    return max(dict.fromkeys(lengths), key=lengths.count, default=0)


def _wholeness(before: str, cell: str, delimiter: str) -> float:
    """Return 1 for a number or a gap, 0 for the end of a number with another cell, 1/2 for words.

    `before` is the cell before it: `0` before `000 good` are a decimal comma and a space. Words
    with another delimiter than spaces in them are 0 too, if the delimiter is spaces.
    """
    if cells.missing(cell) or is_number(cell):
        return 1
    if delimiter == " " and re.search(r"[,;|\t]", cell):
        return 0
    followed = _FOLLOWED.match(cell)
    return 0 if followed and (followed[2] != " " or is_number(before)) else 0.5


# ----------------------------------------------------------------------- which line names columns


def is_number(cell: str) -> bool:
    """Return whether a cell is a number with a point or a comma."""
    return cells.number(cell) is not None or _DECIMAL_COMMA.fullmatch(cell) is not None


def has_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool | None:
    """Return whether the first row names the columns of the others, None if it fits neither.

    Names stand over numbers. Where all cells are text, names are different, and none is a value.
    """
    columns = [*zip(*(row for row in rows if len(row) == len(first)), strict=True)]
    if not columns:
        return not any(map(is_number, first))
    texts = numbers = 0
    for name, column in zip(first, columns, strict=True):
        if is_numeric(column) and not cells.missing(name):
            numbers += is_number(name)
            texts += not is_number(name)
    if numbers or texts:
        return None if numbers and texts else texts > 0
    if any(map(is_numeric, columns)):
        return False  # all that stands over numbers is missing
    named = [*map(str.casefold, first)]
    return (
        len(set(named)) == len(named)
        and all(first[1:])
        and not any(map(is_number, first))
        and all(name not in column for name, column in zip(first, columns, strict=True))
    )


def is_numeric(column: Sequence[str]) -> bool:
    """Return whether most cells that are not missing are numbers."""
    known = [cell for cell in column if not cells.missing(cell)]
    return bool(known) and sum(map(is_number, known)) >= MOSTLY * len(known)


def looks_counted(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether a first row with numbers over numbers looks like names, such as years.

    These are whole numbers in equal steps; if they are less than four, each is also unlike the
    others in its column. What stands over words is none of these.
    """
    columns = [*zip(*(row for row in rows if len(row) == len(first)), strict=True)]
    if not columns:
        return False
    over = [*zip(first, columns, strict=True)]
    words = [(name, column) for name, column in over if not is_numeric(column)]
    names = [(name, column) for name, column in over if is_numeric(column)]
    if any(name in column or is_number(name) for name, column in words):
        return False
    if len(names) < 2 or not all(re.fullmatch(r"[0-9]{1,9}", name) for name, _ in names):
        return False
    values = [int(name) for name, _ in names]
    steps = {later - earlier for earlier, later in pairwise(values)}
    if len(steps) != 1 or 0 in steps:
        return False
    unlike = all(_is_unlike(int(name), column) for name, column in names)
    return len(names) >= 4 or (len(rows) >= FEW and steps == {1} and unlike)


def _is_unlike(value: int, column: Sequence[str]) -> bool:
    """Return whether a whole number is beyond all numbers of a column, or these have decimals."""
    known = [cell.replace(",", ".") for cell in column if is_number(cell)]
    numbers = [float(cell) for cell in known]
    if not numbers:
        return False
    return not min(numbers) <= value <= max(numbers) or all("." in cell for cell in known)
