"""The colours of charts: eight that differ for people who see fewer, and a scale of one hue.

Lines and dots have a contrast of 3:1 with the paper, text has 4.5:1, in light and in dark.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """The colours of one scheme.

    Attributes:
        paper: behind everything.
        ink: text and what is measured.
        soft: text of less weight, such as at ticks.
        grid: lines across a panel, which may be faint.
        quiet: lines of single seeds.
        series: by the `color` of a mark.
        steps: from the lowest to the highest values of a heat map.
        text_low, text_high: of the numbers in cells, before the step HIGH and from it on.

    """

    paper: str
    ink: str
    soft: str
    grid: str
    quiet: str
    series: tuple[str, ...]
    steps: tuple[str, ...]
    text_low: str
    text_high: str


LIGHT = Palette(
    paper="#ffffff", ink="#1a2330", soft="#4a5563", grid="#dfe3e8", quiet="#8a94a0",
    series=("#0a5aa8", "#b85a00", "#00806a", "#b03a80", "#4d5866", "#8a6a00", "#5a48c0", "#b3261e"),
    steps=("#f1f6fb", "#dbe8f5", "#c2d9ee", "#a5c7e6", "#84b2db",
           "#2f74b5", "#1f64a6", "#165592", "#0f467c", "#0a3663"),
    text_low="#10202f", text_high="#ffffff",
)  # fmt: skip
DARK = Palette(
    paper="#14181d", ink="#e8ecf1", soft="#b4bdc8", grid="#303843", quiet="#76818e",
    series=("#6cb2f0", "#f2a14a", "#45c9a5", "#ea8fc4", "#b9c2cc", "#d8bf4a", "#b3a6f7", "#f58a80"),
    steps=("#1a222b", "#1d2d3d", "#20384f", "#234362", "#264f76",
           "#6aa5dc", "#82b5e4", "#9bc5ec", "#b4d4f3", "#cee4fa"),
    text_low="#f2f6fa", text_high="#0c151e",
)  # fmt: skip
HIGH = 5
"""The first step whose text has the colour `text_high`."""


TINT = 0.22
"""The share of a colour in the areas that have it, which hide what is below them."""


def tint(color: str, paper: str) -> str:
    """Return a colour of an area: so light that marks of the same colour stand out from it."""
    parts = zip(_channels(color), _channels(paper), strict=True)
    return "#" + "".join(f"{round(TINT * one + (1 - TINT) * other):02x}" for one, other in parts)


def _channels(color: str) -> list[int]:
    return [int(color[n : n + 2], 16) for n in (1, 3, 5)]


def step_of(share: float) -> int:
    """Return the step of the scale for a share, from 0 to 1, of the way to the highest value."""
    return min(len(LIGHT.steps) - 1, max(0, int(share * len(LIGHT.steps))))
