"""Text with a sample in each line, read by pyarrow as columns of cells."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minifw.data.decimals import with_points
from minifw.data.dialect import Dialect
from minifw.data.encoded import as_utf8
from minifw.data.formats import check_text
from minifw.data.frame import Frame
from minifw.data.generated import Integers
from minifw.data.kinds import is_empty
from minifw.data.layout import Layout, layout_of
from minifw.data.reading import check_memory, unreadable
from minifw.data.rows import COMMENTS, Scanner, comment_line, line_at
from minifw.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[float], None]
"""Is told the share that is done, from 0 to 1."""

BLOCK = 1 << 22
"""Bytes that pyarrow reads at a time; a row must fit into one block."""
SPACES = (b" ", b"\t", b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x1f")
"""What `str.strip` takes away, beside line ends."""
LARGEST_BLOCK = (1 << 31) - 1


def frame_of_text(
    path: Path,
    content: bytes,
    checksum: str,
    dialect: Dialect,
    progress: Progress | None = None,
) -> Frame:
    """Return the columns of a text as cells; `checksum` is that of the file it is from.

    Raises:
        DataError: it cannot be read so; in one line with the place, and the key that mends it.

    """
    check_text(path, content)
    text = as_utf8(path, content, dialect.encoding)
    layout = layout_of(path, text, dialect)
    return frame_of_layout(path, text, checksum, layout, dialect.decimal, progress)


def frame_of_layout(
    path: Path,
    text: bytes,
    checksum: str,
    layout: Layout,
    decimal: str | None = None,
    progress: Progress | None = None,
) -> Frame:
    """Return the columns of a text whose layout is known."""
    from pyarrow import compute

    _check_quotes(path, text, layout)
    count = text.count(layout.delimiter.encode()) + text.count(b"\n")
    # Each cell ends with one of these characters and has a place of 4 bytes, and then is a float64.
    check_memory(f"{path}: parsing this file", len(text) + 12 * count)
    columns = _parsed(path, text, layout, progress)
    # Line ends are in cells only in quotes. Most large files have nothing of this.
    if not text.isascii() or any(mark in text for mark in (*SPACES, layout.quote.encode())):
        columns = [compute.utf8_trim_whitespace(column) for column in columns]
    notes = [*layout.notes]
    kept, columns = _without_empty(columns, notes)
    names, columns = _without_unnamed(layout, columns)
    if not len(columns[0]):
        raise DataError(f"{path}: expects samples, got lines without any value")
    if decimal is not None or layout.delimiter != ",":
        columns = with_points(path, names, columns, decimal, notes)
    place = Places(path, text, layout, kept, len(columns[0]))
    return Frame(path, names, tuple(columns), checksum, place, layout.named, tuple(notes))


def _check_quotes(path: Path, text: bytes, layout: Layout) -> None:
    """Raise a DataError if a cell begins with a quote that is never closed, and takes the rest."""
    if text.count(layout.quote.encode(), layout.start) % 2:
        scanner = Scanner(layout.delimiter, layout.quote)
        for start, end in layout.spans(text):
            if scanner.unclosed(text, start, end):
                raise DataError(
                    f"{path}:{line_at(text, start)}: a cell begins with a quote, which is never "
                    "closed"
                )


def _parsed(path: Path, text: bytes, layout: Layout, progress: Progress | None) -> list[pa.Array]:
    """Return the columns, each in one piece."""
    import pyarrow as pa

    source, marks = _plain(text, layout)
    block = BLOCK
    while True:
        try:
            table, faults = _table(source, marks, layout.width, block, progress)
            break
        except pa.ArrowInvalid as fault:
            # A row that is longer than a block is the only thing that pyarrow stops at.
            if "straddling" not in str(fault) or block >= len(source):
                raise unreadable(path, fault) from None
            block = min(8 * block, LARGEST_BLOCK)
    if faults:  # again, as only one thread can tell which rows these are
        _, faults = _table(source, marks, layout.width, block, threads=False)
        raise _uneven(path, text, layout, faults)
    columns: list[Any] = table.columns
    del table  # so that each column is free as soon as it is in one piece
    for number in range(layout.width):
        columns[number] = _whole(columns[number])
    return columns


def _table(
    source: memoryview,
    marks: tuple[str, str],
    width: int,
    block: int,
    progress: Progress | None = None,
    *,
    threads: bool = True,
) -> tuple[pa.Table, list[Any]]:
    """Return the cells of a text, and its rows with another number of cells.

    `marks` are the delimiter and the quote.
    """
    import pyarrow as pa
    from pyarrow import csv

    faults = []
    delimiter, quote = marks

    def fault(row: Any) -> str:
        if row.text.strip(" " if delimiter == "\t" else None):  # else of spaces only
            faults.append(row)
        return "skip"

    names = [str(number) for number in range(width)]
    table = csv.read_csv(
        _Watched(source, progress) if progress else pa.BufferReader(pa.py_buffer(source)),
        read_options=csv.ReadOptions(column_names=names, block_size=block, use_threads=threads),
        parse_options=csv.ParseOptions(
            delimiter=delimiter,
            quote_char=quote,
            newlines_in_values=True,
            invalid_row_handler=fault,
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )
    return table, faults


class _Watched(io.RawIOBase):
    """Bytes as a file that tells how much of it has been read."""

    def __init__(self, source: memoryview, progress: Progress) -> None:
        self._source, self._place, self._progress = source, 0, progress

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        end = len(self._source) if size < 0 else self._place + size
        part = bytes(self._source[self._place : end])
        self._place += len(part)
        self._progress(self._place / max(1, len(self._source)))
        return part


def _plain(text: bytes, layout: Layout) -> tuple[memoryview, tuple[str, str]]:
    """Return the samples as pyarrow takes them, and delimiter and quote; no copy if they are so.

    Comments are left out, runs of spaces are one, and quotes follow the delimiter at once.
    """
    mark, quote = layout.delimiter.encode(), layout.quote.encode()
    quotes, spaces = quote in text, layout.delimiter == " "
    remark = comment_line(layout.comment) if layout.comment else None
    if remark is not None and remark.search(text, layout.start) is None:
        remark = None
    late = re.compile(rb"(?:^|%b)[ \t]+%b" % (re.escape(mark), quote), re.M)
    if quotes and (spaces or remark is not None or late.search(text, layout.start)):
        return _rewritten(text, layout), (",", '"')
    if not spaces and remark is None:
        return memoryview(text)[layout.start :], (layout.delimiter, layout.quote)
    plain = text[layout.start :]
    if remark is not None:
        plain = remark.sub(b"", plain)
    if spaces:
        plain = re.sub(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)", b"", plain)
        plain = re.sub(rb"[ \t]+", b" ", plain)
    return memoryview(plain), (layout.delimiter, layout.quote)


def _rewritten(text: bytes, layout: Layout) -> memoryview:
    """Return the text with commas between its cells, by the slow way of reading."""
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows(row.cells for row in layout.rows(text))
    return memoryview(written.getvalue().encode())


def _whole(column: Any) -> pa.Array:
    """Return a column in one piece."""
    import pyarrow as pa

    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())


def _without_empty(
    columns: list[pa.Array], notes: list[str]
) -> tuple[Integers | None, list[pa.Array]]:
    """Return the rows that hold any value, None for all, and the columns of these.

    Spreadsheets write rows of nothing but delimiters below a table.
    """
    import pyarrow as pa

    empty = np.ones(len(columns[0]), bool)
    for column in columns:
        empty &= is_empty(column)
        if not empty.any():
            return None, columns
    kept = np.flatnonzero(~empty)
    if (count := int(empty.sum())) and len(columns) > 1:
        notes.append(f"{count} row{'s' if count > 1 else ''} without any value left out")
    return kept, [column.take(pa.array(kept)) for column in columns]


def _without_unnamed(
    layout: Layout, columns: list[pa.Array]
) -> tuple[tuple[str, ...], list[pa.Array]]:
    """Leave out last columns without a name or value: rows end with delimiters.

    Without a line of names it is one such column at most: another may be one of gaps.
    """
    names = layout.names
    count, most = len(names), len(names) - 1 if layout.named else 1
    for number in range(len(names), len(names) - most, -1):
        if number == 1 or names[number - 1] != f"column {number}":
            break
        if not is_empty(columns[number - 1]).all():
            break
        count = number - 1
    return names[:count], columns[:count]


class Places:
    """Tells the line of a row. Lines are looked for only when a message needs one."""

    def __init__(
        self, path: Path, text: bytes, layout: Layout, kept: Integers | None, rows: int
    ) -> None:
        self._path, self._layout, self._kept = path, layout, kept
        self._first = line_at(text, layout.start)
        rest = text.count(b"\n", layout.start) + (not text.endswith(b"\n"))
        # As many lines as rows: each row is a line, and the text is not needed any more.
        self._text = None if kept is None and rest == rows else text
        self._lines: Integers | None = None

    def __call__(self, row: int) -> str:
        if self._text is None:
            return f"{self._path}:{self._first + row}"
        if self._lines is None:
            self._lines = _lines(self._text, self._layout)
        return f"{self._path}:{self._lines[row if self._kept is None else self._kept[row]]}"


def _lines(text: bytes, layout: Layout) -> Integers:
    """Return the line of each row."""
    starts = [start for start, end in layout.spans(text) if not layout.is_blank(text[start:end])]
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    return np.searchsorted(ends, starts) + 1


def _uneven(path: Path, text: bytes, layout: Layout, faults: list[Any]) -> DataError:
    """Return the error for rows with too many or too few cells."""
    first = faults[0]
    start, _ = next(islice(layout.spans(text), first.number - 1, None), (len(text), 0))
    line = line_at(text, start)
    more = f", the first of {len(faults)} such rows" if len(faults) > 1 else ""
    return DataError(
        f"{path}:{line}: expects {layout.width} values, as in line {layout.line}, "
        f"got {first.actual_columns}{more}{_why_uneven(first.text, text, layout)}"
    )


def _why_uneven(row: str, text: bytes, layout: Layout) -> str:
    """Return what may be the reason of another number of cells in a row, and what mends it."""
    mark = row.lstrip()[:1]
    if mark in COMMENTS and mark != layout.comment:
        return f'; data.comment: "{mark}" leaves such lines out'
    if f"\\{layout.quote}".encode() in text:
        return f"; a quote within quotes must be doubled, {layout.quote * 2}, not \\{layout.quote}"
    return ""
