"""Figures of a sweep: the test error of its cells against the values of its keys.

One key: a line with a band, or points where the values are no numbers. Two keys: a heat map with
the numbers in it. More, or draws of several keys: a panel for each key. All are readable in black
and white.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

from minifw.charts.palette import LIGHT
from minifw.report.lettering import fitted, lay_out, new_figure, short
from minifw.report.sides import Errors, Side, is_grid
from minifw.report.sweeps import Report, in_order, keys_of, short_names
from minifw.report.tables import counted

BLUE, GRAY = LIGHT.series[0], "#777777"
_STAR: dict[str, Any] = {
    "marker": "*",
    "markersize": 11,
    "color": LIGHT.series[1],
    "markeredgecolor": "black",
}
_CROSS: dict[str, Any] = {"marker": "x", "markersize": 6, "color": "black", "linewidth": 0}
_MOST = 40
"""Categories of a figure, at most."""
_DOTS = 1000
"""Seeds that are drawn one by one, at most."""


def cells(report: Report) -> Figure:
    """Draw the test errors of all cells: `report.middle`, and its intervals where there is room."""
    keys = keys_of(report)
    names = dict(zip(keys, short_names(keys), strict=True))
    sides = [Side.of(keys, names, report) for keys in report.outcome.axes]
    errors = Errors.of(report)
    if all(map(errors.gone, range(len(errors.n)))):
        return _nothing(report)
    if len(sides) == 1 and sides[0].numeric:
        return _line(report, sides[0], errors)
    if len(sides) == 1:
        return _points(report, sides[0], errors)
    if len(sides) == 2 and is_grid(sides):
        return _heat(report, sides[0], sides[1], errors)
    return _panels(report, sides, errors)


def _title(
    report: Report, errors: Errors, figure: Figure, shown: str, dots: str | None = None
) -> str:
    """Return the lines above a figure: what it shows, and over which seeds."""
    inches = figure.get_figwidth() - 0.4
    seeds = counted(errors.n[0], "seed") if len(set(errors.n)) == 1 else "the seeds"
    notes = [f"{shown} of {seeds}", *([] if dots is None else [dots])]
    some = sum(0 < gone < n for gone, n in zip(errors.diverged, errors.n, strict=True))
    none = sum(map(errors.gone, range(len(errors.n))))
    if some:
        notes.append(f"seeds diverged in {some} of {len(errors.n)} cells")
    if none:
        notes.append(f"× all seeds diverged: {counted(none, 'cell')}")
    if any(errors.stopped):
        look = "italic" if shown == _middle_word(report) else "gray"
        notes.append(f"{look}: stopped early, {sum(errors.stopped)} cells")
    if errors.best is not None:
        notes.append(f"★ best by validation {report.results.measured.name}")
    lines, line = [], ""
    for note in notes:
        if line and len(line) + len(note) > inches * 15:
            lines.append(line)
            line = ""
        line = f"{line}; {note}" if line else note
    title = fitted(
        figure, f"test {report.results.measured.name} – {report.results.name}", inches, 9
    )
    return "\n".join([title, *lines, line])


def _nothing(report: Report) -> Figure:
    figure = new_figure(5.0, 2.0)
    axis = figure.subplots()
    axis.set_axis_off()
    count = len(report.results.cells)
    axis.text(
        0.5, 0.5, f"there is nothing to draw:\nall seeds of all {count} cells diverged",
        transform=axis.transAxes, ha="center", va="center",
    )  # fmt: skip
    lay_out(figure)
    return figure


# --------------------------------------------------------------------------------- one key


def _line(report: Report, side: Side, errors: Errors) -> Figure:
    """Draw a line with a band against a number."""
    figure = new_figure(5.0, 3.6)
    axis = figure.subplots()
    order = [int(k) for k in np.argsort(side.places, kind="stable")]
    x = np.array(side.places)[order]
    low, median, high = (np.array(each)[order] for each in (errors.low, errors.middle, errors.high))
    axis.fill_between(x, low, high, color=BLUE, alpha=0.18, linewidth=0)
    lonely = len(order) <= 30
    axis.plot(x, median, color=BLUE, linewidth=1.4, marker="o" if lonely else "", markersize=4)
    if lonely:  # a band is not seen beside a cell without a value
        axis.vlines(x, low, high, color=BLUE, linewidth=0.8)
    single = [] if len(order) > 30 else _seeds(report)
    for place, own in zip(side.places, single, strict=False):
        axis.plot([place] * len(own), own, "o", color=GRAY, markersize=2.2, alpha=0.45,
                  markeredgewidth=0, zorder=1.5)  # fmt: skip
    _mark(axis, side.places, errors)
    _scale_errors(axis, errors, [error for own in single for error in own])
    _scale_side(axis, side)
    axis.set_xlabel(side.name)
    axis.set_ylabel(report.results.measured.axis())
    dots = "dots: seeds" if single else None
    shown = f"{report.middle} and its 95 % interval"
    axis.set_title(_title(report, errors, figure, shown, dots), fontsize=9)
    lay_out(figure)
    return figure


def _seeds(report: Report) -> list[list[float]]:
    """Return the test errors of all seeds of each cell that have one; nothing if they are many."""
    cells = [[e for e in cell.test_error if e is not None] for cell in report.results.cells]
    return cells if sum(map(len, cells)) <= _DOTS else []


def _points(report: Report, side: Side, errors: Errors) -> Figure:
    """Draw a point with its interval for each category, from the top down."""
    count = len(side.labels)
    shown = sorted(in_order(report)[:_MOST])
    figure = new_figure(5.4, 1.3 + 0.24 * len(shown))
    axis = figure.subplots()
    for row, cell in enumerate(shown):
        gray = GRAY if errors.stopped[cell] else BLUE
        axis.hlines(row, errors.low[cell], errors.high[cell], color=gray, linewidth=1)
        axis.plot(errors.middle[cell], row, "o", color=gray, markersize=5)
        if errors.gone(cell):
            axis.plot(0, row, transform=axis.get_yaxis_transform(), clip_on=False, **_CROSS)
        elif errors.diverged[cell]:
            text = f" {errors.diverged[cell]} of {errors.n[cell]} diverged"
            axis.text(errors.high[cell], row, text, va="center", fontsize=7)
        if cell == errors.best:
            axis.plot(errors.middle[cell], row, **_STAR)
    labels = [short(side.labels[int(side.places[cell])], 40) for cell in shown]
    axis.set_yticks(range(len(shown)), labels)
    axis.set_ylim(len(shown) - 0.5, -0.5)
    axis.set_xlim(left=0)
    axis.grid(axis="x", alpha=0.3, linewidth=0.5)
    axis.set_xlabel(report.results.measured.axis())
    axis.set_ylabel(side.name)
    title = _title(report, errors, figure, f"{report.middle} and its 95 % interval")
    if len(shown) < count:
        title += f"\nthe {'first' if errors.best is None else 'best'} {len(shown)} of {count}"
    figure.suptitle(title, fontsize=9)
    lay_out(figure)
    return figure


def _mark(axis: Axes, places: Sequence[float], errors: Errors) -> None:
    """Mark the best cell, those stopped early, and those in which seeds diverged."""
    for cell, place in enumerate(places):
        if errors.gone(cell):
            axis.plot(place, 1, transform=axis.get_xaxis_transform(), clip_on=False, **_CROSS)
        elif errors.stopped[cell]:
            axis.plot(place, errors.middle[cell], "o", color=GRAY, markersize=4)
        if 0 < errors.diverged[cell] < errors.n[cell] and len(places) <= 30:
            text = f"{errors.diverged[cell]}/{errors.n[cell]}\ndiv."
            axis.annotate(
                text, (place, errors.high[cell]), (0, 3), textcoords="offset points",
                ha="center", fontsize=6.5,
            )  # fmt: skip
        if cell == errors.best:
            axis.plot(place, errors.middle[cell], **_STAR)


def _scale_errors(axis: Axes, errors: Errors, single: Sequence[float] = ()) -> None:
    """Let the errors begin at 0, or make their scale logarithmic if they differ much.

    `single` are those of seeds, which must be seen too; an error of 0 has no logarithm.
    """
    known = [value for value in [*errors.low, *errors.high] if not np.isnan(value)]
    if min(known) > 0 and max(known) >= 20 * min(known):
        known += [error for error in single if error > 0]
        axis.set_yscale("log")
        axis.set_ylim(min(known) / 1.4, max(known) * 1.4)
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
    else:
        axis.set_ylim(0, 1.12 * max([*known, *single]) or 1)
    axis.grid(alpha=0.3, linewidth=0.5)


def _scale_side(axis: Axes, side: Side, room: int = 40) -> None:
    """Put ticks at the values if they are few; aslant if more than `room` characters."""
    if side.log:
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.xaxis.set_major_formatter("{x:g}")
    different = sorted(set(side.places))
    if len(different) <= 8:
        axis.xaxis.set_major_locator(FixedLocator(different))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticks(different, side.labels)
        if sum(map(len, side.labels)) > room:
            axis.tick_params(axis="x", labelrotation=30)


# --------------------------------------------------------------------------------- two keys


def _heat(report: Report, down: Side, across: Side, errors: Errors) -> Figure:
    """Draw a heat map; the lower the error, the lighter."""
    if len(set(down.places)) > len(set(across.places)):
        down, across = across, down
    rows, columns = len(set(down.places)), len(set(across.places))
    values = np.full((rows, columns), np.nan)
    for cell, (row, column) in enumerate(zip(down.positions, across.positions, strict=True)):
        values[row, column] = errors.middle[cell]
    figure = new_figure(max(4.2, 1.6 + 0.62 * columns), 1.5 + 0.44 * rows)
    axis = figure.subplots()
    known = values[~np.isnan(values)]
    low, high = float(known.min()), float(known.max())
    axis.imshow(values, cmap="Greys", vmin=low, vmax=high + 0.35 * (high - low) + 1e-9,
                aspect="auto")  # fmt: skip
    for cell, (row, column) in enumerate(zip(down.positions, across.positions, strict=True)):
        _number(axis, row, column, cell, errors, (low, high))
    axis.set_xticks(range(columns), [short(label, 16) for label in across.labels])
    axis.set_yticks(range(rows), [short(label, 24) for label in down.labels])
    if down.numeric:
        axis.invert_yaxis()
    if sum(map(len, across.labels)) > 7 * columns:
        axis.tick_params(axis="x", labelrotation=30)
    axis.set_xlabel(across.name)
    axis.set_ylabel(down.name)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.suptitle(_title(report, errors, figure, _middle_word(report)), fontsize=9)
    lay_out(figure)
    return figure


def _number(
    axis: Axes, row: int, column: int, cell: int, errors: Errors, bounds: tuple[float, float]
) -> None:
    """Write the middle of a cell into a field of a heat map, and what else there is to say."""
    low, high = bounds
    median, corner = errors.middle[cell], (column - 0.5, row - 0.5)
    if errors.gone(cell):
        field = Rectangle(corner, 1, 1, facecolor="none", hatch="///", edgecolor="#bbbbbb")
        axis.add_patch(field)
        axis.text(column, row, "×", ha="center", va="center", fontsize=11)
        return
    dark = high > low and (median - low) / (high - low) > 0.8
    text = f"{median:.1f}" if median >= 10 else f"{median:.2f}"
    if errors.is_regression:
        text = f"{median:#.3g}".rstrip(".")
    if errors.diverged[cell]:
        text += f"\n{errors.diverged[cell]}/{errors.n[cell]} div."
    weight = "normal"
    if cell == errors.best:
        text, weight = f"★ {text}", "bold"
        inner = (column - 0.47, row - 0.47)
        axis.add_patch(Rectangle(inner, 0.94, 0.94, fill=False, linewidth=1.6, edgecolor="black"))
    colour = "white" if dark else "black"
    axis.text(
        column, row, text, ha="center", va="center", color=colour, weight=weight,
        fontsize=8 if "\n" not in text else 7,
        fontstyle="italic" if errors.stopped[cell] else "normal",
    )  # fmt: skip


# -------------------------------------------------------------------------------- more keys


def _middle_word(report: Report) -> str:
    unit = report.results.measured.head
    return f"{report.middle}{unit}," if unit else report.middle


def _panels(report: Report, sides: Sequence[Side], errors: Errors) -> Figure:
    """Draw a panel for each key: all cells as points, and for each value the median of these."""
    columns = min(3, len(sides))
    rows = -(-len(sides) // columns)
    figure = new_figure(2.9 * columns + 0.5, 2.6 * rows + 0.7)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    rng = np.random.default_rng(0)
    for number, axis in enumerate(grid.flat):
        if number >= len(sides):
            axis.set_axis_off()
            continue
        side = sides[number]
        places = np.array(side.places)
        if not side.numeric:  # points of a category stand beside each other
            places = places + rng.uniform(-0.15, 0.15, len(places))
        axis.plot(places, errors.middle, "o", color=GRAY, markersize=3, alpha=0.6)
        for cell, place in enumerate(places):
            if errors.gone(cell):
                axis.plot(place, 1, transform=axis.get_xaxis_transform(), clip_on=False, **_CROSS)
            elif cell == errors.best:
                axis.plot(place, errors.middle[cell], **_STAR)
        _middle(axis, side, errors)
        _scale_errors(axis, errors)
        if side.numeric:
            _scale_side(axis, side, 20)
        else:
            labels = [short(label, 14) for label in side.labels]
            axis.set_xticks(range(len(labels)), labels)
            if sum(map(len, labels)) > 24:
                axis.tick_params(axis="x", labelrotation=40)
        axis.set_xlabel(side.name)
    for line in grid:
        line[0].set_ylabel(f"test {report.results.measured.name}{report.results.measured.head}")
    shown = f"cells ({report.middle}s), and the line through their median,"
    figure.suptitle(_title(report, errors, figure, shown), fontsize=9)
    lay_out(figure)
    return figure


def _middle(axis: Axes, side: Side, errors: Errors) -> None:
    """Draw the median of the cells with the same value, where several have it."""
    by_value: dict[float, list[float]] = {}
    for place, median in zip(side.places, errors.middle, strict=True):
        if not np.isnan(median):
            by_value.setdefault(place, []).append(median)
    if len(by_value) > len(side.places) / 2 or not by_value:
        return  # draws of a number: hardly two are equal
    x = sorted(by_value)
    style = "-" if side.numeric else ""
    axis.plot(x, [np.median(by_value[v]) for v in x], color=BLUE, linestyle=style, marker="_",
              markersize=12, linewidth=1.4)  # fmt: skip
