"""A document to HTML: one file that needs nothing else, from any machine, without a network.

Markup comes from the templates and from `charts.svg` alone. Whatever else is written is text: it is
escaped by Jinja2, and what cannot be printed, such as marks that turn the direction of the text, is
spelled out. If something slipped through all the same, the page's own policy forbids scripts and
styles other than these, and all requests.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from minifw.charts import Chart, Column, Line
from minifw.charts.style import STYLE
from minifw.charts.svg import inline
from minifw.errors import harmless
from minifw.page import diagram
from minifw.page.document import Diagram, Document, Piece
from minifw.report.tables import Cell, Interval, Table
from minifw.system.environment import own_version

TEMPLATE = "page.html.j2"


def html(document: Document) -> str:
    """Return the page of a document; the same document gives the same bytes."""
    templates = _templates()
    style = _source(templates, "page.css") + STYLE
    script = _source(templates, "page.js")
    return templates.get_template(TEMPLATE).render(
        document=document,
        sections=_sections(document),
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        once=_Labels(),
        version=own_version(),
    )


# ------------------------------------------------------------------------- what templates are given


@dataclass(frozen=True)
class Placed:
    """A piece with its place in the page; `kind` is the macro that writes it."""

    identifier: str
    kind: str
    piece: Piece


@dataclass(frozen=True)
class Part:
    """A section with its place in the page."""

    identifier: str
    title: str
    pieces: tuple[Placed, ...]


def _sections(document: Document) -> list[Part]:
    """Return the sections with identifiers that no other element of the page has."""
    taken: set[str] = set()
    parts = []
    for section in document.sections:
        name = _free(_slug(section.identifier), taken)
        pieces = tuple(
            Placed(f"{name}--{number}", type(piece).__name__.lower(), piece)
            for number, piece in enumerate(section.pieces, 1)
        )
        parts.append(Part(name, section.title, pieces))
    return parts


OWN = frozenset({"top", "contents", "content", "said"})
"""The identifiers of the page's own elements."""


def _free(name: str, taken: set[str]) -> str:
    """Return the name, with a number if it is taken, and take it."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    free = next(each for each in names if each not in taken | OWN)
    taken.add(free)
    return free


def _slug(text: str) -> str:
    """Return the letters and digits of a text as an identifier.

    It has no two dashes in a row: those are between a section, its pieces, and what is in them.
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"


class _Labels:
    """Labels of regions, of which a page has each once; a long one is shortened."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def __call__(self, text: str) -> str:
        short = text if len(text) <= 80 else f"{text[:79].rstrip()}…"
        labels = (short if number == 1 else f"{short} ({number})" for number in count(1))
        free = next(each for each in labels if each not in self.taken)
        self.taken.add(free)
        return free


@dataclass(frozen=True)
class Numbers:
    """A table as the page writes it: `rows` has the texts, each with its exact figure or None."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str | None], ...], ...]


def _of_table(table: Table) -> Numbers:
    """Return a table of results, with the exact figures beside those that people read."""
    rows = [
        ((name, None), *((table.shown(cell), _exact(cell)) for cell in cells))
        for name, cells in table.rows
    ]
    return Numbers(table.titled(table.caption), tuple(table.head), tuple(rows))


def _exact(cell: Cell) -> str | None:
    if isinstance(cell, Interval):
        return f"{float(cell.low)!r} {float(cell.high)!r}"
    return repr(float(cell)) if isinstance(cell, float) else None


def _of_chart(chart: Chart) -> Numbers:
    """Return the numbers of a chart as a table."""
    columns: Mapping[str, Column] = chart.data if chart.shown is None else chart.shown
    rows = zip(*columns.values(), strict=True)
    texts = tuple(tuple((_number(value), None) for value in row) for row in rows)
    return Numbers(f"{chart.title}: the numbers", tuple(columns), texts)


def _number(value: Any) -> str:
    """Return a value of a chart's column as text, numbers with six digits."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    number = float(value)
    return "–" if math.isnan(number) else f"{number:.6g}"


def _has_quiet(chart: Chart) -> bool:
    """Return whether a chart has lines that are shown on demand."""
    marks = (mark for panel in chart.panels for mark in panel.marks)
    return any(isinstance(mark, Line) and mark.quiet for mark in marks)


def _drawn(chart: Chart, identifier: str) -> Markup:
    return Markup(inline(chart, identifier))


def _drawn_network(piece: Diagram, identifier: str) -> Markup:
    return Markup(diagram.inline(piece, identifier))


# -------------------------------------------------------------------------------------- templates


@cache
def _templates() -> Environment:
    """Return the templates of the package; a name that they do not know is an error."""
    made = Environment(
        loader=PackageLoader("minifw.page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["joined"] = _joined
    made.globals.update(
        drawn=_drawn,
        drawn_network=_drawn_network,
        has_quiet=_has_quiet,
        of_chart=_of_chart,
        of_table=_of_table,
    )
    return made


def _joined(text: str) -> str:
    """Return a text in which no line ends between a number and its unit."""
    return re.sub(r"(?<=\d) (?=%|points?\b|seeds?\b)", "\u00a0", text)


_SPACES = "\n\t\u00a0\u2009\u202f"
"""Not printable for Python, but harmless: line ends, tabs, narrow and fixed spaces."""


def _printable(value: Any) -> Any:
    """Return what a template writes, with all that is not printable spelled out, as `\\x00`."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return value
    return "".join(sign if sign in _SPACES else harmless(sign) for sign in value)


def _source(templates: Environment, name: str) -> str:
    assert templates.loader is not None
    return templates.loader.get_source(templates, name)[0]


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: this style, this script, and nothing from elsewhere."""
    return "; ".join(_rules(style, script))


def _rules(style: str, script: str) -> Iterator[str]:
    yield "default-src 'none'"
    for what, text in (("style", style), ("script", script)):
        digest = hashlib.sha256(text.encode()).digest()
        yield f"{what}-src 'sha256-{base64.b64encode(digest).decode()}'"
    yield "img-src data:"  # the empty icon, or a browser would ask for one
    yield "base-uri 'none'"
    yield "form-action 'none'"
