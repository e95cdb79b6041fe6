"""Tables and sentences for a terminal, as wide as the terminal; 80 columns where there is none.

Rich lays tables out as text, without colours. Characters that the output's encoding lacks become
ASCII.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minifw.errors import harmless

if TYPE_CHECKING:
    from minifw.report.tables import Table

SHORT_CELL = 16
"""Cells of at most this many characters are broken only after all words have been."""

_SEAMS = re.compile(r"(?<=[_=/:])(?=.)|(?<=\.)(?=[^\W\d])")
"""Where a word may be broken that has no room: in `network.0.out_features=10`, not in numbers."""

PLAIN = str.maketrans({"–": "-", "—": "-", "−": "-", "×": "x", "µ": "u", "…": "...", "’": "'"})

DRAWN = str.maketrans("│─├┤┬┴┼╭╮╰╯●⋮→", "|-+++++++++o:>")
"""Signs that draw lines, as ASCII."""


def width() -> int:
    """Return how many columns the terminal has, 80 in a pipe; COLUMNS says otherwise."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def encoding() -> str:
    """Return the name of the encoding of standard output."""
    return getattr(sys.stdout, "encoding", None) or "ascii"


def print_table(table: Table) -> None:
    """Print a table of results under its brief caption."""
    print_wrapped(table.titled(table.brief or table.caption))
    print()
    print(framed(table.head, table.body, lines=True))


def print_rows(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> None:
    """Print a list under its head, one line for each row that fits on a line.

    Columns whose positions are in `right` are flush right.
    """
    print(framed(head, rows, lines=False, right=right))


def print_wrapped(text: str, indent: int = 0) -> None:
    """Print a text of one or more paragraphs, broken at words, all lines but the first indented."""
    for paragraph in _sayable(text).split("\n"):
        print(
            textwrap.fill(
                paragraph, width(), break_on_hyphens=False, subsequent_indent=" " * indent
            )
        )


def print_picture(text: str) -> None:
    """Print lines as they are; signs that draw lines become ASCII where the output lacks them."""
    try:
        text.encode(encoding())
    except UnicodeEncodeError:
        text = text.translate(DRAWN)
    print(_sayable(text))


def framed(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    lines: bool,
    right: Sequence[int] | None = None,
) -> str:
    """Return rows under their head as text of at most the terminal's width.

    Text that is too long continues on the next line of its cell. `right` are the columns flush
    right, by default all except the first; `lines` are drawn above and below.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    # Two columns of space between two cells, one at each end of a frame.
    grid = Grid(
        box=box.SIMPLE if lines else None, pad_edge=False, padding=(0, 1, 0, 0) if lines else (0, 1)
    )
    names = [*map(_sayable, head)]
    cells = [[*map(_sayable, row)] for row in rows]
    room = width() - 2 * len(names) - (2 if lines else 0)
    widths = _widths(names, cells, room)
    for position, size in enumerate(widths):
        flush = position > 0 if right is None else position in right
        grid.add_column(
            Text(_broken(names[position], size)),
            justify="right" if flush else "left",
            overflow="fold",
            width=size,
        )
    for row in cells:
        grid.add_row(*map(Text, map(_broken, row, widths)))
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding(), errors="backslashreplace")
    console = Console(file=file, width=width(), color_system=None, legacy_windows=False)
    console.print(grid)
    file.seek(0)
    return "\n".join(line.rstrip() for line in file.read().split("\n") if line.strip())


def _widths(head: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return the width of each column, so that all fit side by side.

    The widest columns are narrowed first: between words while that is possible, then at the seams
    of words, then anywhere.
    """
    columns = [[name, *cells] for name, *cells in zip(head, *rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    pieces = [
        # A short cell is not broken; a head or a long cell breaks between words.
        [part for text in column for part in _parts(text, text is column[0])]
        for column in columns
    ]
    whole = [max(map(len, parts)) for parts in pieces]
    seams = [max(map(len, _ends(column))) for column in columns]
    for least in (whole, seams, [1] * len(columns)):
        while sum(widths) > room:
            spare = [size - small for size, small in zip(widths, least, strict=True)]
            if max(spare) <= 0:
                break
            widths[spare.index(max(spare))] -= 1
    return widths


def _parts(text: str, breaks: bool) -> list[str]:
    """Return the pieces of a text that must not be broken."""
    return text.split() or [""] if breaks or len(text) > SHORT_CELL else [text]


def _ends(column: Sequence[str]) -> list[str]:
    """Return the pieces of a column that are left when words are broken at their seams too."""
    parts = [part for text in column for part in _parts(text, text is column[0])]
    short = {text for text in column[1:] if len(text) <= SHORT_CELL}
    return [end for part in parts for end in ([part] if part in short else _SEAMS.split(part))]


def _broken(text: str, size: int) -> str:
    """Return the text in lines of at most `size`, where words are broken at their seams only."""
    if len(text) <= size:
        return text
    lines = [""]
    for word in text.split(" "):
        parts = [word] if len(word) <= size else _SEAMS.split(word)
        space = " " * bool(lines[-1])
        for part in parts:
            if len(lines[-1]) + len(space) + len(part) > size and lines[-1]:
                lines.append(part)
            else:
                lines[-1] += space + part
            space = ""
    return "\n".join(lines)


def _sayable(text: str) -> str:
    """Return the text, harmless, in characters that the output's encoding has."""
    lines = "\n".join(map(harmless, text.split("\n")))
    try:
        lines.encode(encoding())
    except UnicodeEncodeError:
        return lines.translate(PLAIN).encode(encoding(), "backslashreplace").decode(encoding())
    return lines
