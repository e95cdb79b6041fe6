"""Text in figures: names and legends that fit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from minifw.errors import harmless


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of this size in inches, whose parts `lay_out` will place.

    Its canvas keeps the renderer that measures text; otherwise each measurement makes one.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def short(text: object, length: int) -> str:
    """Return a user's text on one line, of at most `length` characters."""
    shown = harmless(str(text)[: length + 1])
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"


def fitted(figure: Figure, text: object, inches: float, size: float) -> str:
    """Return a user's text, cut to at most this many inches in this font size."""
    for length in range(60, 1, -3):
        shown = short(text, length)
        if width(figure, shown, size) <= inches:
            return shown
    return "…"


def width(figure: Figure, text: str, size: float) -> float:
    """Return the width in inches of a text in this font size."""
    label = Text(0, 0, text, fontsize=size, figure=figure)
    return float(label.get_window_extent().width / figure.dpi)


def legend_below(figure: Figure, handles: Sequence[Any], title: str | None = None) -> None:
    """Put a legend below all axes, in as many columns as fit; the figure grows by its height.

    This also lays out the rest of the figure, which does not move afterwards.
    """
    inches = figure.get_figwidth() - 0.2
    for columns in range(min(len(handles), 5), 0, -1):
        legend = figure.legend(
            handles=handles, title=title, loc="outside lower center", ncols=columns, frameon=False
        )
        extent = legend.get_window_extent()
        if extent.width / figure.dpi <= inches or columns == 1:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi + 0.1)
    lay_out(figure)


def lay_out(figure: Figure) -> None:
    """Lay out a figure, once for all formats."""
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(w_pad=0.08, h_pad=0.08)  # inches
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # nothing moves if nothing fits
        engine.execute(figure)
        # Axes of equal scales shrink when drawn; a second layout accounts for that.
        if any(axes.get_aspect() != "auto" for axes in figure.axes):
            engine.execute(figure)
    figure.set_layout_engine("none")
