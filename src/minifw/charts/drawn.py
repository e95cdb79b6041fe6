"""A chart as a figure of matplotlib, in the same places as in a page, for a paper.

Its letters have the size that the style says; its width is that of one or of two columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minifw.charts import legend
from minifw.charts.canvas import defaults
from minifw.charts.layout import NORMAL, SMALL, Box, lay_out
from minifw.charts.legend import Named
from minifw.charts.lettering import broken, fitted, width
from minifw.charts.model import (
    Areas,
    Band,
    Bars,
    Cells,
    Chart,
    Dots,
    Line,
    Mark,
    Note,
    Rule,
    Span,
)
from minifw.charts.palette import LIGHT, tint
from minifw.charts.places import middle, named_within
from minifw.charts.reach import MANY, SHAPES, along, beside, counts
from minifw.charts.scales import floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = {1: 3.4, 2: 7.0}
"""The width of a figure by the columns of a page that it goes over."""

CAPTION = 12
"""Lines of a caption below a figure, at most."""

MARKERS = {"circle": "o", "square": "s", "diamond": "D", "cross": "x"}


def figure(
    chart: Chart, columns: int = 2, style: Path | None = None, *, captioned: bool = False
) -> Figure:
    """Return a chart as a figure over one or two columns, in minifw's style or that of a file.

    Lines of single seeds are left out. With `captioned` the caption stands below, for a picture
    that has no text around it. `canvas` makes files of it.

    Raises:
        UsageError: the file is no style of matplotlib's.

    """
    with defaults(style):
        return _Drawing(chart, INCHES[columns], captioned).figure


class _Drawing:
    """A figure while it is drawn. Units are those of `layout`, of which a letter has 12."""

    def __init__(self, chart: Chart, inches: float, captioned: bool) -> None:
        import matplotlib as mpl
        from matplotlib.figure import Figure

        self.unit = mpl.rcParams["font.size"] / NORMAL  # points
        self.colors = mpl.rcParams["axes.prop_cycle"].by_key().get("color", ["black"])
        self.wide = 72 * inches / self.unit
        boxes, end = lay_out(chart, self.wide)
        entries, end = legend.lay_out(legend.named(chart), end + 4, self.wide)
        caption = broken(chart.caption, self.wide - 4, SMALL, CAPTION) if captioned else []
        self.high = end + 4 + (len(caption) + 0.5 * bool(caption)) * (SMALL + 3)
        self.figure = Figure(figsize=(inches, self.high * self.unit / 72))
        self.marked = counts(mark for panel in chart.panels for mark in panel.marks)
        for box in boxes:
            self.panel(box)
        if entries:
            self.legend(entries)
        if caption:
            place = 2 / self.wide, 1 - (end + 8) / self.high
            text = "\n".join(caption)
            self.figure.text(*place, text, va="top", fontsize=self.size(SMALL), linespacing=1.2)

    def color(self, number: int) -> Any:
        return self.colors[number % len(self.colors)]

    def tint(self, number: int) -> str:
        from matplotlib.colors import to_hex

        return tint(to_hex(self.color(number)), LIGHT.paper)

    def size(self, letters: float) -> float:
        """Return a size of letters in points."""
        return float(letters * self.unit)

    # ----------------------------------------------------------------------------- around a panel

    def panel(self, box: Box) -> None:
        bottom = 1 - (box.top + box.high) / self.high
        axes = self.figure.add_axes(
            (box.left / self.wide, bottom, box.wide / self.wide, box.high / self.high)
        )
        for side, extent in (("x", box.x), ("y", box.y)):
            ends = (extent.high, extent.low) if extent.flipped else (extent.low, extent.high)
            axes.set(**{f"{side}scale": "log" if extent.scale == "log" else "linear"})
            axes.set(**{f"{side}lim": ends})
        self._ticks(axes, box)
        title = -(box.before - 2) / box.wide
        above = box.above / box.high
        axes.text(
            title, 1 + above, "\n".join(box.title), transform=axes.transAxes, fontweight="bold",
            fontsize=self.size(NORMAL), va="baseline", ha="left", linespacing=1.1,
        )  # fmt: skip
        filled = any(isinstance(mark, Cells | Areas) for mark in box.panel.marks)
        if not filled:
            axes.grid(axis="y")
        axes.set_axisbelow(True)
        drawn = [self.mark(axes, mark, box) for mark in box.panel.marks]
        if not any(drawn):
            axes.text(
                0.5, 0.5, "nothing to draw", transform=axes.transAxes, ha="center", va="center"
            )

    def _ticks(self, axes: Axes, box: Box) -> None:
        small = self.size(SMALL)
        for axis, ticks in ((axes.xaxis, box.x_ticks), (axes.yaxis, box.y_ticks)):
            axis.set_ticks([tick.at for tick in ticks], [tick.text for tick in ticks])
            axis.set_ticks([], minor=True)
        axes.tick_params(labelsize=small, pad=2.5 * self.unit)
        axes.tick_params(axis="x", pad=(4 if box.turned else 10) * self.unit)
        for text in axes.get_xticklabels():
            if box.turned:
                text.set(rotation=box.turned, ha="right", va="center", rotation_mode="anchor")
            else:
                text.set(va="baseline")
        label = fitted(box.panel.x.label, box.wide + box.before, NORMAL)
        center = box.left + box.wide / 2
        half = width(label, NORMAL) / 2 + 2
        place = min(max(center, half), max(self.wide - half, half))
        axes.text(
            (place - box.left) / box.wide, -(box.below - 4) / box.high, label,
            transform=axes.transAxes, fontsize=self.size(NORMAL), ha="center", va="baseline",
        )  # fmt: skip
        axes.text(
            -(box.before - 3) / box.wide, 0.5, "\n".join(box.y_label), transform=axes.transAxes,
            fontsize=self.size(NORMAL), rotation=90, ha="left", va="center", linespacing=1.1,
            multialignment="center",
        )  # fmt: skip

    # ----------------------------------------------------------------------------- in a panel

    def mark(self, axes: Axes, mark: Mark, box: Box) -> bool:
        """Draw a mark; return whether there was anything to draw."""
        match mark:
            case Line():
                return self._line(axes, mark, box)
            case Band():
                x, low, high = map(floats, (mark.x, mark.low, mark.high))
                color = self.color(mark.color)
                axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
                return bool(np.isfinite(x + low + high).any())
            case Dots():
                return self._dots(axes, mark)
            case Span():
                at, low, high = map(floats, (mark.at, mark.low, mark.high))
                draw = axes.hlines if mark.horizontal else axes.vlines
                draw(at, low, high, colors=self.color(mark.color), linewidth=3 * self.unit)
                return bool(np.isfinite(at + low + high).any())
            case Bars():
                offset, thick = beside(mark, box.panel.marks)
                at, length = floats(mark.at) + offset, floats(mark.length)
                draw_bars: Any = axes.barh if mark.horizontal else axes.bar
                draw_bars(at, np.nan_to_num(length), thick, **self._filled(mark))
                return bool(len(at))
            case Cells():
                return self._cells(axes, mark, box)
            case Areas():
                return self._areas(axes, mark, box)
            case Rule():
                self._rule(axes, mark, box)
                return True
            case Note():
                self._note(axes, mark, box)
                return True

    def _line(self, axes: Axes, mark: Line, box: Box) -> bool:
        x, y = np.broadcast_arrays(floats(mark.x), floats(mark.y))
        if not mark.quiet:
            axes.plot(x, y, **self._looks(mark))
            known = np.isfinite(x) & np.isfinite(y)
            shares = box.x.shares(x)
            some = np.flatnonzero(known & np.isfinite(shares))
            if self.marked and len(some):
                near = along(shares[some], mark.color)
                axes.plot(x[some][near], y[some][near], **self._points(mark))
            # A point without neighbours makes no visible line.
            before, after = np.roll(known, 1), np.roll(known, -1)
            before[:1], after[-1:] = False, False
            alone = known & ~before & ~after
            if alone.any():
                color = self.color(mark.color)
                axes.plot(x[alone], y[alone], "o", color=color, markersize=6 * self.unit)
        return bool((np.isfinite(x) & np.isfinite(y)).any())

    def _looks(self, mark: Line) -> dict[str, Any]:
        looks: dict[str, Any] = {"color": self.color(mark.color)}
        return looks | {"dashes": (4, 2.5)} if mark.dashed else looks

    def _points(self, mark: Line) -> dict[str, Any]:
        shape = SHAPES[mark.color % len(SHAPES)]
        return self._marker(shape, mark.color)

    def _marker(self, shape: str, color: int) -> dict[str, Any]:
        size = 4.8 if shape == "diamond" else 5.4
        return {
            "linestyle": "", "marker": MARKERS[shape], "markersize": size * self.unit,
            "color": self.color(color), "markeredgewidth": 1.5 * self.unit * (shape == "cross"),
        }  # fmt: skip

    def _dots(self, axes: Axes, mark: Dots) -> bool:
        x, y = np.broadcast_arrays(floats(mark.x), floats(mark.y))
        looks = self._marker(mark.shape, mark.color)
        if x.size >= MANY:
            looks["markersize"] *= 0.55
        if mark.shape == "diamond":
            looks |= {"markeredgecolor": "white", "markeredgewidth": 0.8 * self.unit, "zorder": 2.4}
        ends = axes.get_xlim(), axes.get_ylim()
        inside = all(
            bool(((v >= min(end)) & (v <= max(end)) | ~np.isfinite(v)).all())
            for v, end in zip((x, y), ends, strict=True)
        )  # then a dot at the edge is whole
        axes.plot(x, y, alpha=0.85, clip_on=not inside, **looks)
        return bool((np.isfinite(x) & np.isfinite(y)).any())

    def _filled(self, mark: Bars) -> dict[str, Any]:
        from matplotlib.colors import to_rgba

        color = self.color(mark.color)
        face = to_rgba(color, 0.2 if mark.color % 2 else 0.85)
        return {"facecolor": face, "edgecolor": color, "linewidth": 0.6}

    def _cells(self, axes: Axes, mark: Cells, box: Box) -> bool:
        values = floats(mark.values)
        known = np.isfinite(values)
        if not known.any():
            return False
        rows, columns = values.shape
        low, high = values[known].min(), values[known].max()
        if low == high:  # neither the lightest nor the darkest
            low, high = low - 0.3 * (abs(low) or 1), high + 0.7 * (abs(high) or 1)
        mesh = axes.pcolormesh(
            np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5,
            np.ma.masked_invalid(values), vmin=low, vmax=high, edgecolors="white", linewidth=0.4,
        )  # fmt: skip
        slot = box.wide / max(columns, 1) - 3
        longest = max((width(text, SMALL) for row in mark.texts for text in row), default=0.0)
        letters = min(SMALL, SMALL * slot / longest) if longest else SMALL
        if letters < 0.6 * SMALL or box.high / max(rows, 1) < 10:
            return True
        shades = floats(mesh.cmap(mesh.norm(np.ma.masked_invalid(values))))
        dark = known & (shades @ [0.3, 0.59, 0.11, 0.0] < 0.55)
        for row, column in np.ndindex(values.shape):
            if row < len(mark.texts) and column < len(mark.texts[row]):
                axes.text(
                    column, row, mark.texts[row][column], ha="center", va="center",
                    fontsize=self.size(letters), color="white" if dark[row, column] else "black",
                )  # fmt: skip
        return True

    def _areas(self, axes: Axes, mark: Areas, box: Box) -> bool:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path as Outline

        rings = [floats(polygon).reshape(-1, 2) for polygon in mark.polygons]
        rings = [np.concatenate([ring, ring[:1]]) for ring in rings if len(ring) > 2]
        if not rings:
            return False
        outline = Outline.make_compound_path(*(Outline(ring, closed=True) for ring in rings))
        color = self.tint(mark.color)
        axes.add_patch(PathPatch(outline, facecolor=color, edgecolor=color, linewidth=0.4))
        found = middle(mark, box.x, box.y)
        if found is not None and found[2] * box.high >= SMALL / 2:
            room = 2 * min(found[0], 1 - found[0]) * box.wide
            self._text(
                axes, found[0], found[1], named_within(mark.name, room), NORMAL,
                ha="center", va="center", weight="bold",
            )  # fmt: skip
        return True

    def _text(
        self, axes: Axes, x: float, y: float, text: str, letters: float, **looks: Any
    ) -> None:
        """Write a text over marks, with a rim of paper; the place is in shares of the axes."""
        from matplotlib.patheffects import withStroke

        rim = [withStroke(linewidth=2, foreground="white")]
        axes.text(
            x, y, text, transform=axes.transAxes, fontsize=self.size(letters), path_effects=rim,
            zorder=5, **looks,
        )  # fmt: skip

    def _rule(self, axes: Axes, mark: Rule, box: Box) -> None:
        text = fitted(mark.text, box.wide, SMALL)
        draw = axes.axhline if mark.horizontal else axes.axvline
        draw(mark.at, color="black", linewidth=0.8, dashes=(5, 3), zorder=2.2)
        if mark.horizontal:
            (share,) = box.y.shares([mark.at])
            up = 4 / box.high if share + (SMALL + 5) / box.high < 1 else -(SMALL + 2) / box.high
            self._text(axes, 1, share + up, text, SMALL, ha="right")
        else:
            (share,) = box.x.shares([mark.at])
            half = width(text, SMALL) / 2 / box.wide
            place = min(max(share, half), max(1 - half, half))
            self._text(axes, place, 1 + 4 / box.high, text, SMALL, ha="center")

    def _note(self, axes: Axes, mark: Note, box: Box) -> None:
        (x,), (y,) = box.x.shares([mark.x]), box.y.shares([mark.y])
        if np.isfinite(x + y):
            left = x < 0.5
            shift = 4 / box.wide if left else -4 / box.wide
            text = fitted(mark.text, box.wide / 2, SMALL)
            up = min(y + 3 / box.high, 1 - SMALL / box.high)
            self._text(axes, x + shift, up, text, SMALL, ha="left" if left else "right")

    # ----------------------------------------------------------------------------- below

    def legend(self, entries: list[legend.Entry]) -> None:
        """Draw the names and their marks on axes of their own, in the units of the layout."""
        axes = self.figure.add_axes((0, 0, 1, 1), zorder=-1)
        axes.set(xlim=(0, self.wide), ylim=(self.high, 0))
        axes.set_axis_off()
        for entry in entries:
            left, middle = entry.left + 2, entry.top + 8
            for n, mark in enumerate(entry.marks):
                if n and mark.color != entry.marks[n - 1].color:
                    left += legend.GLYPH
                self._glyph(axes, mark, left, middle)
            axes.text(
                entry.left + entry.wide + 4, middle, entry.text, va="center_baseline",
                fontsize=self.size(NORMAL),
            )  # fmt: skip

    def _glyph(self, axes: Axes, mark: Named, left: float, middle: float) -> None:
        from matplotlib.patches import Rectangle

        ends, center = ([left, left + 20], [middle] * 2), ([left + 10], [middle])
        color = self.color(mark.color)
        match mark:
            case Line():
                axes.plot(*ends, **self._looks(mark))
                if self.marked:
                    axes.plot(*center, **self._points(mark))
            case Dots():
                axes.plot(*center, alpha=0.85, **self._marker(mark.shape, mark.color))
            case Span():
                axes.plot(*ends, color=color, linewidth=3 * self.unit)
            case Band() | Areas() | Bars():
                looks: dict[str, Any] = {"facecolor": color, "alpha": 0.22, "linewidth": 0}
                if isinstance(mark, Bars):
                    looks = self._filled(mark)
                if isinstance(mark, Areas):
                    looks = {"facecolor": self.tint(mark.color)}
                axes.add_patch(Rectangle((left, middle - 6), 20, 12, **looks))
            case Cells():
                ends_of_scale = (left, left + legend.SCALE - 6, middle - 6, middle + 6)
                axes.imshow(np.linspace(0, 1, 10)[None], extent=ends_of_scale, aspect="auto")
