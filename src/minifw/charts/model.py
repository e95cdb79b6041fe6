"""A chart as a description: panels with axes, and marks in them; `svg` and `drawn` draw it.

One description serves the page, where it becomes inline SVG, and the files, which matplotlib draws.
Numbers are any sequences or NumPy arrays; NaN breaks a line and leaves out a dot. Colours are
numbers of the palette. Nothing may be said by colour alone: marks differ in shape or dashes too, or
have their text beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

Scale = Literal["linear", "log", "category"]
Shape = Literal["circle", "square", "diamond", "cross"]
Column = Sequence[float | int | str | bool | None]
"""The values of a column of a chart's data; None where there is none."""


@dataclass(frozen=True)
class Axis:
    """One side of a panel; `categories` are the names at 0, 1, 2, … of a `category` axis."""

    label: str
    scale: Scale = "linear"
    categories: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Line:
    """A line through points; a `quiet` one is one of many, shown when a reader asks for each."""

    name: str
    x: ArrayLike
    y: ArrayLike
    color: int = 0
    dashed: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Band:
    """The area between `low` and `high` over x."""

    name: str
    x: ArrayLike
    low: ArrayLike
    high: ArrayLike
    color: int = 0


@dataclass(frozen=True)
class Dots:
    """Points; `labels` says of each what it is, such as its seed."""

    name: str
    x: ArrayLike
    y: ArrayLike
    color: int = 0
    shape: Shape = "circle"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Span:
    """Intervals from `low` to `high` along an axis, at places `at` of the other one.

    A horizontal one goes along x, at places of y.
    """

    name: str
    at: ArrayLike
    low: ArrayLike
    high: ArrayLike
    color: int = 0
    horizontal: bool = False


@dataclass(frozen=True)
class Bars:
    """Bars from zero of these lengths, at places `at` of the other axis."""

    name: str
    at: ArrayLike
    length: ArrayLike
    color: int = 0
    horizontal: bool = False


@dataclass(frozen=True)
class Rule:
    """A line across the panel at a value that others are compared with."""

    text: str
    at: float
    horizontal: bool = True


@dataclass(frozen=True)
class Cells:
    """A heat map `(rows, columns)`: row r is at r of the y axis, column c at c of the x axis.

    `texts` stands in the cells, `(rows, columns)`. The first row is on top.
    """

    name: str
    values: ArrayLike
    texts: tuple[tuple[str, ...], ...] = ()
    color: int = 0


@dataclass(frozen=True)
class Areas:
    """Filled polygons, each a sequence of (x, y), such as the regions of a class.

    A polygon within another one is a hole.
    """

    name: str
    polygons: Sequence[ArrayLike]
    color: int = 0


@dataclass(frozen=True)
class Note:
    """A text at a point."""

    text: str
    x: float
    y: float


Mark = Line | Band | Dots | Span | Bars | Rule | Cells | Areas | Note


@dataclass(frozen=True)
class Panel:
    """A pair of axes with its marks: areas below lines, else the first one at the bottom.

    A `square` one is as high as wide, and so is one whose axes have the same limits, or areas.
    """

    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    square: bool = False


@dataclass(frozen=True)
class Chart:
    """Panels side by side.

    Attributes:
        name: of its files, without an ending.
        title: a few words.
        caption: what is shown: of how many, in which unit, how intervals were made.
        description: what there is to see, in one or two sentences, for who cannot see it.
        panels: from left to right, in rows where they do not fit.
        data: all numbers that are drawn, as columns of equal length, by name.
        shown: a shorter table of them, for a page; `data` if None.

    """

    name: str
    title: str
    caption: str
    description: str
    panels: tuple[Panel, ...]
    data: Mapping[str, Column]
    shown: Mapping[str, Column] | None = None
