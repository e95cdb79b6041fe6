"""The rows of a text and their cells, found one by one: to look at a few, or to tell a place.

All of a file is read by pyarrow, which is a hundred times as fast and tells no lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

COMMENTS = ("#", "%")
_LINE_END = re.compile(rb"\r\n|\r|\n|\Z")


@dataclass(frozen=True)
class Row:
    """A row of a text: its place in bytes, and its cells without quotes and spaces around them."""

    start: int
    end: int
    cells: list[str]


class Scanner:
    """Finds rows and cells of UTF-8 text, as pyarrow does.

    A cell that begins with a quote ends with one and may hold delimiters, line ends and doubled
    quotes. Quotes within a cell have no meaning. The delimiter " " is any run of spaces and tabs.
    """

    def __init__(self, delimiter: str, quote: str = '"') -> None:
        self.delimiter = delimiter
        self._quote = quote
        mark, q = re.escape(delimiter.encode()), re.escape(quote.encode())
        if delimiter == " ":
            space, end, between = rb"[ \t]*+", rb" \t\r\n", rb"[ \t]++(?=[^ \t\r\n])"
        else:
            space = rb" *+" if delimiter == "\t" else rb"[ \t]*+"
            end, between = mark + rb"\r\n", mark
        # Possessive (`*+`): what was read as quoted is never tried again as something else.
        quoted = rb"%b(?:[^%b]|%b%b)*+%b" % (q, q, q, q, q)
        cell = rb"(?:%b(?:%b)?[^%b]*+)" % (space, quoted, end)
        self._cell = re.compile(rb"%b(%b)?([^%b]*+)(?:%b)?" % (space, quoted, end, between))
        self._row = re.compile(rb"%b(?:%b%b)*+[ \t]*+" % (cell, between, cell))

    def spans(self, text: bytes, start: int = 0, comment: str = "") -> Iterator[tuple[int, int]]:
        """Yield the start and end of the rows that are no comments, and not empty."""
        while start < len(text):
            remark = comment_line(comment).match(text, start) if comment else None
            if remark is not None:
                end = remark.end()
            else:
                found = self._row.match(text, start)
                assert found is not None  # it matches nothing at all, too
                end = found.end()
                if end > start:
                    yield start, end
            after = _LINE_END.match(text, end)
            assert after is not None
            start = after.end()

    def rows(self, text: bytes, start: int = 0, comment: str = "") -> Iterator[Row]:
        """Yield the rows that are no comments, and not empty or spaces only."""
        for begin, end in self.spans(text, start, comment):
            found = self.cells(text, begin, end)
            if found != [""]:
                yield Row(begin, end, found)

    def cells(self, text: bytes, start: int, end: int) -> list[str]:
        """Return the cells of a row, without quotes and spaces around them."""
        found = []
        last = False
        while not last:
            match = self._cell.match(text, start, end)
            assert match is not None
            found.append(self._value(match))
            last = match.end() == match.end(2)  # no delimiter follows
            start = match.end()
        return found

    def unclosed(self, text: bytes, start: int, end: int) -> bool:
        """Return whether a cell of a row begins with a quote that is not closed."""
        quote = self._quote.encode()
        if text.count(quote, start, end) % 2 == 0:
            return False
        return any(
            match[1] is None and match[2].startswith(quote)
            for match in self._cell.finditer(text, start, end)
        )

    def _value(self, match: re.Match[bytes]) -> str:
        quoted, bare = match[1], match[2].decode(errors="replace")
        if quoted is None:
            return bare.strip()
        inside = quoted[1:-1].decode(errors="replace").replace(self._quote * 2, self._quote)
        return (inside + bare).strip()


@cache
def comment_line(comment: str) -> re.Pattern[bytes]:
    """Return the pattern of a line that is a comment; an error of a spreadsheet begins none."""
    mark, error = re.escape(comment.encode()), rb"(?:N/A|(?:DIV/0|VALUE|REF|NUM|NULL)!|NAME\?)"
    cell = rb"(?<=#)%b *(?:[,;|\t\r\n]|\Z)" % error
    return re.compile(rb"^[ \t]*%b(?!%b)[^\r\n]*" % (mark, cell), re.M)


def comment_of(text: bytes, start: int) -> str:
    """Return the character, `#` or `%`, that the first line begins with as a comment, else ""."""
    return next((mark for mark in COMMENTS if comment_line(mark).match(text, start)), "")


def line_at(text: bytes, place: int) -> int:
    """Return the number of the line, from 1, in which a byte is."""
    return text.count(b"\n", 0, place) + 1
