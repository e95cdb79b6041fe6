"""A document to Markdown, for wikis and notes: the same words, tables, and links to its figures."""

from __future__ import annotations

import re
from collections.abc import Iterator

from minifw.charts import Chart
from minifw.charts.notation import markdown as escaped
from minifw.errors import harmless
from minifw.explain import drawing
from minifw.page.document import (
    Diagram,
    Document,
    Facts,
    Grid,
    Listing,
    Paragraph,
    Picture,
    Piece,
    Quote,
    Slides,
    Steps,
)


def markdown(document: Document, picture: str | None) -> str:
    """Return a document as Markdown; `picture` is the ending of its figures' files, if any."""
    return "\n\n".join(_blocks(document, picture)) + "\n"


def _blocks(document: Document, picture: str | None) -> Iterator[str]:
    yield f"# {escaped(document.title)}"
    yield from map(_paragraph, document.lead)
    for section in document.sections:
        yield f"## {escaped(section.title)}"
        for piece in section.pieces:
            yield from _of_piece(piece, picture)


def _of_piece(piece: Piece, picture: str | None) -> Iterator[str]:
    match piece:
        case Paragraph(text):
            yield _paragraph(text)
        case Quote(title, text):
            yield f"### {escaped(title)}"
            yield f"> {_paragraph(text)}"
        case Grid(_, table):
            yield table.markdown().rstrip("\n")
        case Picture(chart):
            yield f"### {escaped(chart.title)}"
            yield from _chart(chart, picture)
            yield _paragraph(chart.caption)
        case Slides():
            yield f"### {escaped(piece.title)}"
            yield _paragraph(piece.caption)
            for label, chart in zip(piece.labels, piece.charts, strict=True):
                yield f"#### {escaped(label)}"
                yield from _chart(chart, picture)
        case Listing():
            yield f"### {escaped(piece.title)}"
            yield _fenced(piece.text)
        case Facts(title, pairs):
            yield f"### {escaped(title)}"
            yield "\n".join(f"- {escaped(name)}: {escaped(value)}" for name, value in pairs)
        case Diagram():
            yield f"### {escaped(piece.title)}"
            yield _fenced(drawing.text(piece.sketch))
            yield _paragraph(piece.caption)
        case Steps():
            yield f"### {escaped(piece.title)}"
            yield _paragraph(piece.caption)
            yield _fenced("\n".join(piece.lines))
            for state in piece.states:
                yield _paragraph(f"Line {state.line + 1}: {state.text}")
                if state.numbers is not None:
                    yield state.numbers.markdown().rstrip("\n")


def _chart(chart: Chart, picture: str | None) -> Iterator[str]:
    """Yield the figure, with what there is to see for who cannot see it."""
    text = escaped(chart.description)
    yield text if picture is None else f"![{text}]({chart.name}.{picture})"


_BEGINS = re.compile(r"^( *)(?:([#+=>-])|(\d+)([.)]))")
"""What would make a heading, a list or a quotation of a line."""


def _paragraph(text: str) -> str:
    return _BEGINS.sub(r"\1\3\\\2\4", escaped(text))


def _fenced(text: str) -> str:
    """Return a text of fixed pitch, between fences that are not in it."""
    lines = [harmless(line) for line in text.rstrip("\n").split("\n")]
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence, *lines, fence])
