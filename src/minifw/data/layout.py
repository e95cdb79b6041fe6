"""Where in a text what is: its comments, the line of its column names, its first sample."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from minifw.data.dialect import (
    MOSTLY,
    NAMED,
    Dialect,
    delimiter_of,
    first_rows,
    has_header,
    is_number,
    looks_counted,
    sample,
    usual_length,
)
from minifw.data.reading import twice
from minifw.data.rows import Row, Scanner, comment_line, comment_of, line_at
from minifw.errors import DataError, short, short_word

_TOLD = re.compile(rb"sep=([,;|\t])\r?\n", re.IGNORECASE)
"""The line by which a file tells spreadsheets what separates its cells."""


@dataclass(frozen=True)
class Layout:
    """How a text is to be read: from byte `start`, as rows of `width` cells.

    A cell may be quoted by `quote`, and a line that begins with `comment` is none, unless it is "".

    `named` says whether the names are of the file or of the config; `line` is the line of the
    first row that has as many cells as all must have.
    """

    start: int
    delimiter: str
    comment: str
    names: tuple[str, ...]
    named: bool
    line: int
    notes: tuple[str, ...] = ()
    quote: str = '"'

    @property
    def width(self) -> int:
        return len(self.names)

    def spans(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Yield start and end of all samples, and of lines of spaces."""
        return Scanner(self.delimiter, self.quote).spans(text, self.start, self.comment)

    def rows(self, text: bytes) -> Iterator[Row]:
        """Yield all samples, slowly."""
        return Scanner(self.delimiter, self.quote).rows(text, self.start, self.comment)

    def is_blank(self, line: bytes) -> bool:
        """Return whether a line is no sample, since it holds nothing but spaces."""
        return self.width > 1 and not line.strip(b" " if self.delimiter == "\t" else b" \t")


def layout_of(path: Path, text: bytes, dialect: Dialect) -> Layout:
    """Look at the first lines of a text for what its dialect leaves open.

    Raises:
        DataError: it is empty, or its first line is neither names nor a sample; with the key.

    """
    skipped = re.compile(rb"(?:[^\n]*\n){%d}" % dialect.skip).match(text)
    start = len(text) if skipped is None else skipped.end()
    comment = comment_of(text, start) if dialect.comment is None else dialect.comment
    told = _TOLD.match(text, start)  # for spreadsheets
    if told is not None and dialect.delimiter in (None, told[1].decode()):
        delimiter, start = told[1].decode(), told.end()
    else:
        delimiter = dialect.delimiter or delimiter_of(text, start, comment)
    scanner = Scanner(delimiter)
    rows = first_rows(scanner.rows(text, start, comment))
    if not rows:
        raise _nothing(path, text, start, comment, dialect)
    notes: list[str] = []
    if comment:
        notes.append(f"lines that begin with {comment} are left out as comments")
    if dialect.header is None and _counts(scanner, text, rows, comment):
        counts = short_word(", ".join(rows[0].cells[:6]))
        notes.append(f"line {line_at(text, rows[0].start)} ({counts}), which counts the samples, "
                     "is left out")  # fmt: skip
        rows = rows[1:]
    first, others = rows[0], [row.cells for row in rows[1:]]
    line = line_at(text, first.start)
    width = usual_length(others) or len(first.cells)
    if dialect.delimiter is not None and width == 1:
        _check_delimiter(path, text, first, comment, delimiter)
    cells = _completed(first.cells, others, width)
    header = _is_header(path, line, first, cells, others, delimiter, dialect)
    looks = not header and dialect.header is None and dialect.names is None
    if looks and looks_counted(first.cells, others):
        notes.append(
            f"line {line} is taken as a sample, though it looks like names: "
            f"{short_word(', '.join(first.cells))}; data.header: true makes it names"
        )
    if not header:
        width = usual_length([row.cells for row in rows])
        if comment and dialect.names is None:
            notes += _named_in(scanner, text, first.start, comment, width)
    names = _names(path, cells if header else [""] * width, dialect, line)
    if header and dialect.names is None:
        notes += _unnamed(cells, len(first.cells), others, line)
    begin = rows[1].start if header else first.start
    named = header or dialect.names is not None
    if len(first.cells) != width:
        same = (row for row in rows if len(row.cells) == width)
        line = line_at(text, next(same, first).start)
    return Layout(begin, delimiter, comment, names, named, line, tuple(notes))


def _nothing(path: Path, text: bytes, start: int, comment: str, dialect: Dialect) -> DataError:
    """Return the error for a text without a row."""
    after = f" after the {dialect.skip} lines of data.skip" if dialect.skip else ""
    if comment and len(comment_line(comment).findall(text, start)) > 1:
        after += f", as all begin with {comment}, which marks comments; data.comment: '' for none"
    return DataError(
        f"{path}: expects a line of column names and then samples, got 0 line(s){after}"
    )


def _is_header(
    path: Path,
    line: int,
    first: Row,
    cells: Sequence[str],
    others: Sequence[Sequence[str]],
    delimiter: str,
    dialect: Dialect,
) -> bool:
    """Return whether the first row names the columns; `cells` are its names, completed.

    Raises:
        DataError: it has another number of cells than the others, or looks like neither names nor
            a sample; or there is nothing but names.

    """
    header, width = dialect.header, usual_length(others) or len(first.cells)
    if header is None:
        header = None if len(cells) != width else has_header(cells, others)
    if header is not False and len(cells) != width:
        raise DataError(
            f"{path}:{line}: has {len(first.cells)} cell(s) with {NAMED.get(delimiter, delimiter)} "
            f"between them, the lines after it {width}; data.skip: {line} leaves it out"
        )
    if header is None:
        raise DataError(
            f"{path}:{line}: is neither names nor a sample by its looks: "
            f"{short(', '.join(first.cells))}; data.header: true or false says which, data.skip: "
            f"{line} leaves it out"
        )
    if header and not others:
        raise DataError(f"{path}: expects a line of column names and then samples, got 1 line(s)")
    return header


def _counts(scanner: Scanner, text: bytes, rows: Sequence[Row], comment: str) -> bool:
    """Return whether the first row counts the others and their features, as `150,4,…` of iris."""
    if len(rows) < 3 or len(rows[0].cells) < 2:
        return False
    count, features = rows[0].cells[:2]
    width = usual_length([row.cells for row in rows[1:]])
    if not count.isdecimal() or not features.isdecimal() or int(features) != width - 1:
        return False
    following = sum(1 for _ in scanner.spans(text, rows[1].start, comment))
    if int(count) == following - 1:  # names follow
        return has_header(rows[1].cells, [row.cells for row in rows[2:]]) is True
    return int(count) == following


def _named_in(scanner: Scanner, text: bytes, start: int, comment: str, width: int) -> list[str]:
    """Return a line on the comment above the samples, if it may name the columns."""
    last = text[:start].rstrip().rpartition(b"\n")[2].strip()
    names = last.removeprefix(comment.encode()).strip()
    cells = scanner.cells(names, 0, len(names))
    if not last.startswith(comment.encode()) or len(cells) != width or any(map(is_number, cells)):
        return []
    shown = ", ".join(map(short_word, cells[:20]))
    return [f"the last comment may name the columns: data.names: [{shown}] takes these"]


def _completed(names: list[str], others: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return names with an empty one for a column that has none.

    R writes no name over the names of rows; others end each row but that of names in a delimiter.
    """
    lengths = [len(row) for row in others]
    if len(names) != width - 1 or lengths.count(width) < MOSTLY * len(lengths):
        return names
    if all(row[-1] == "" for row in others if len(row) == width):
        return [*names, ""]
    return names if has_header(others[0], others[1:]) else ["", *names]  # but for a title


def _check_delimiter(path: Path, text: bytes, first: Row, comment: str, delimiter: str) -> None:
    """Raise a DataError if another delimiter than the one that is set would give more columns."""
    other = delimiter_of(text, first.start, comment)
    count = usual_length(sample(Scanner(other).rows(text, first.start, comment)))
    if count > 1:
        raise DataError(
            f"{path}:{line_at(text, first.start)}: has one column by data.delimiter: "
            f"{delimiter!r}; {other!r} would give {count}"
        )


def _names(path: Path, cells: Sequence[str], dialect: Dialect, line: int) -> tuple[str, ...]:
    """Return the names of all columns: those of the config, of the file, or numbers."""
    given = [each for each in (dialect.names, dialect.fewer) if each is not None]
    fit = [[*each] for each in given if len(each) == len(cells)]
    if given and not fit:
        raise DataError(
            f"{path}:{line}: expects a name in data.names for each column, which are "
            f"{len(cells)}, got {len(given[0])}"
        )
    numbered = [name or f"column {number}" for number, name in enumerate(cells, 1)]
    names = fit[0] if fit else numbered
    if (double := twice(names)) is not None:
        raise DataError(
            f"{path}:{line}: column names must differ, '{short_word(double)}' is there twice; "
            "data.names gives others"
        )
    return tuple(names)


def _unnamed(
    cells: Sequence[str], given: int, others: Sequence[Sequence[str]], line: int
) -> list[str]:
    """Return a line on the columns without a name; a last one without values is left out anyway."""
    numbers = [number for number, name in enumerate(cells, 1) if not name]
    if numbers[-1:] == [len(cells)] and not any(row[-1] for row in others):
        numbers.pop()
    if not numbers:
        return []
    if len(cells) > given and numbers == [1]:
        return [
            f"line {line} has {given} names for {len(cells)} columns: the first is taken as that "
            "without a name, as R writes row names"
        ]
    shown = ", ".join(map(str, numbers[:5])) + (" …" if len(numbers) > 5 else "")
    which, them = ("column", "it") if len(numbers) == 1 else ("columns", "them")
    return [f"line {line} has no name for {which} {shown}; data.exclude can leave {them} out"]
