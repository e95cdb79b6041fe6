"""A page as a description: sections with pieces, which `html` makes a page of and others files.

Pieces hold text, never markup: what comes from a user's file is escaped where the page is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from minifw.charts import Chart
from minifw.explain import Sketch
from minifw.report.tables import Table


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: str


@dataclass(frozen=True)
class Quote:
    """A text that is ready to be pasted elsewhere, such as the sentence of a result."""

    title: str
    text: str


@dataclass(frozen=True)
class Grid:
    """A table; `name` is that of its files, without an ending."""

    name: str
    table: Table


@dataclass(frozen=True)
class Picture:
    """A chart with its caption and its numbers."""

    chart: Chart


@dataclass(frozen=True)
class Slides:
    """Charts of which a slider shows one at a time; `labels` names each, such as "epoch 10"."""

    name: str
    title: str
    caption: str
    charts: tuple[Chart, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """Text in a fixed pitch: a config, a command; `marked` lines, from 0, are set off."""

    title: str
    text: str
    marked: tuple[int, ...] = ()


@dataclass(frozen=True)
class Facts:
    """Names and what they are, such as versions or checksums."""

    title: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class State:
    """Where a reader of a step stands: the line of code, what it says, and the numbers it makes."""

    line: int
    text: str
    numbers: Table | None = None


@dataclass(frozen=True)
class Steps:
    """A step through lines of code, forward and backward; each state sets off one line."""

    name: str
    title: str
    caption: str
    lines: tuple[str, ...]
    states: tuple[State, ...]


@dataclass(frozen=True)
class Diagram:
    """A network as boxes with arrows; `sketch` says where each stands."""

    name: str
    title: str
    caption: str
    sketch: Sketch


Piece = Paragraph | Quote | Grid | Picture | Slides | Listing | Facts | Steps | Diagram


@dataclass(frozen=True)
class Section:
    """A part of a page; `identifier` is its place in the page's address."""

    identifier: str
    title: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Document:
    """A page; `lead` says in a few sentences what was asked and what came out."""

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
    language: str = "en"
