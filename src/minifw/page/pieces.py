"""The pieces of a document as files: tables, charts, and all of it as Markdown."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from minifw.charts import Chart, files
from minifw.charts.files import FORMATS
from minifw.charts.notation import tex
from minifw.page.document import Document, Grid, Picture, Piece, Quote, Slides
from minifw.page.markdown import markdown
from minifw.report.tables import Table
from minifw.system.files import write_output

WHOLE = "report"
"""The name of the file that has the whole document, as Markdown."""


def write_pieces(
    document: Document,
    folder: Path,
    formats: Sequence[str] = FORMATS,
    columns: int = 2,
    style: Path | None = None,
) -> list[Path]:
    """Write all pieces of a document into a folder, which is made, and return the files.

    Args:
        document: the document.
        folder: the folder; files of the same names are replaced.
        formats: of FORMATS. Tables have no pictures; texts to be quoted are written as LaTeX, and
            the whole document as Markdown.
        columns: 1 or 2, the width of figures: 3.4 or 7 inches.
        style: a style file of matplotlib's for the figures.

    Raises:
        UsageError: there is no such format, or the style file is none.
        StorageError: something could not be written.

    """
    free = _Names({WHOLE})
    named = _with_file_names(document, free)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []

    def write(name: str, ending: str, content: str | bytes) -> None:
        data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
        written.append(folder / f"{name}.{ending}")
        write_output(written[-1], data)

    for piece in _pieces(named):
        for name, table in _tables(piece):
            for ending in formats:
                if (content := _content(table, ending)) is not None:
                    write(name, ending, content)
        for chart in _charts(piece):
            written += files.write(chart, folder, formats, columns, style)
        if isinstance(piece, Quote) and "tex" in formats:
            write(free(piece.title.lower()), "tex", f"{tex(piece.text)}\n")
    if "md" in formats:
        picture = next((ending for ending in ("svg", "png", "pdf") if ending in formats), None)
        write(WHOLE, "md", markdown(named, picture))
    return written


def _pieces(document: Document) -> Iterator[Piece]:
    for section in document.sections:
        yield from section.pieces


def _tables(piece: Piece) -> Iterator[tuple[str, Table]]:
    """Yield the tables of a piece with the names of their files; of steps, the whole has them."""
    if isinstance(piece, Grid):
        yield piece.name, piece.table


def _charts(piece: Piece) -> tuple[Chart, ...]:
    if isinstance(piece, Picture):
        return (piece.chart,)
    return piece.charts if isinstance(piece, Slides) else ()


def _content(table: Table, ending: str) -> str | bytes | None:
    """Return a table in a format; None for those that are pictures."""
    made = {"md": table.markdown, "csv": table.csv, "tex": table.latex}
    if ending in made:
        return made[ending]()
    return _parquet(table) if ending == "parquet" else None


def _parquet(table: Table) -> bytes:
    """Return the columns of the CSV file, those of numbers alone as numbers."""
    from pyarrow import csv, parquet

    read = csv.read_csv(io.BytesIO(table.csv().encode(errors="backslashreplace")))
    data = io.BytesIO()
    parquet.write_table(read, data)
    return data.getvalue()


# ------------------------------------------------------------------------------ names of files


class _Names:
    """Names of files that one folder may have, each given once."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken

    def __call__(self, name: str) -> str:
        name = re.sub(r"[^\w.-]+", "-", name).strip(".-")[:80] or "piece"
        names = (name if number == 1 else f"{name}-{number}" for number in count(1))
        # Some file systems do not tell capitals from others.
        found = next(each for each in names if each.lower() not in self.taken)
        self.taken.add(found.lower())
        return found


def _with_file_names(document: Document, free: _Names) -> Document:
    """Return the document with names of tables and charts that may be files in one folder."""

    def renamed(chart: Chart) -> Chart:
        return replace(chart, name=free(chart.name))

    def named(piece: Piece) -> Piece:
        if isinstance(piece, Grid):
            return replace(piece, name=free(piece.name))
        if isinstance(piece, Picture):
            return Picture(renamed(piece.chart))
        if isinstance(piece, Slides):
            return replace(piece, charts=tuple(map(renamed, piece.charts)))
        return piece

    sections = (
        replace(section, pieces=tuple(map(named, section.pieces))) for section in document.sections
    )
    return replace(document, sections=tuple(sections))
