"""The figure of a comparison: errors of each arm seed by seed, and the differences of pairs.

It is readable in black and white: what is counted is dark and thick, single seeds are light and
thin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from minifw.report.lettering import fitted, lay_out, new_figure
from minifw.runs.comparisons import Compared, PairRecord
from minifw.runs.studies import CellResults, StudyResults

SEEDS = 1000
"""Seeds that are drawn one by one, at most."""
PAIRS = 15
"""Rows of differences, at most: those with the smallest p."""

DARK, LIGHT, GRAY = "#1b3a6b", "#e08214", "#999999"

Floats = NDArray[np.float64]


def comparison(results: StudyResults, found: Compared) -> Figure:
    """Draw errors against arms, a line for each seed, and for each pair the differences.

    A seed that diverged is a cross above all others; in differences it has an error of 100 %.
    """
    cells = results.cells
    pairs = sorted(found.pairs, key=lambda pair: pair.p)[:PAIRS]
    pairs = [pair for pair in found.pairs if pair in pairs]
    wide = max(3.4, min(8.0, 1.1 * len(cells)))
    figure = new_figure(wide + 4.6, max(3.4, 0.34 * len(pairs) + 1.6))
    left, right = figure.subplots(1, 2, width_ratios=[wide, 4.6])
    errors = np.array([cell.test_error for cell in cells], np.float64)  # None becomes NaN
    some = np.linspace(0, errors.shape[1] - 1, min(SEEDS, errors.shape[1])).round().astype(int)
    _arms(left, cells, errors, some, wide, results.name)
    _differences(right, pairs, dict(zip((c.name for c in cells), errors, strict=True)), some, found)
    lay_out(figure)
    return figure


def _arms(
    axis: Axes,
    cells: Sequence[CellResults],
    errors: Floats,
    some: NDArray[np.int64],
    inches: float,
    name: str,
) -> None:
    """Draw the errors of each arm, those of a seed connected, and their medians."""
    figure = axis.figure
    assert isinstance(figure, Figure)
    arms, seeds = errors.shape
    left = ~np.isnan(errors)
    top = errors[left].max() if left.any() else 1.0
    shown = np.where(left, errors, 1.12 * top)  # above all others
    faint = min(0.55, max(0.04, 10 / len(some)))
    lines = np.stack([np.broadcast_to(np.arange(arms), (len(some), arms)), shown[:, some].T], -1)
    axis.add_collection(LineCollection([*lines], colors=GRAY, linewidths=0.7, alpha=faint))
    size = 4 if len(some) <= 100 else 2
    for place in range(arms):
        own = left[place][some]
        dots = np.full(own.sum(), place)
        axis.plot(dots, errors[place][some][own], "o", color=DARK, markersize=size, alpha=faint,
                  markeredgewidth=0)  # fmt: skip
        axis.plot(np.full((~own).sum(), place), shown[place][some][~own], "x", color="black",
                  markersize=5, clip_on=False)  # fmt: skip
        if left[place].any():
            low, median, high = np.percentile(errors[place][left[place]], [25, 50, 75])
            axis.plot([place, place], [low, high], color="black", linewidth=2.2)
            axis.plot([place - 0.16, place + 0.16], [median] * 2, color="black", linewidth=2.2)
    gone = int((~left).sum())
    notes = ["dots: seeds; bars: quartiles and median"]
    if len(some) < seeds:
        notes[0] = f"dots: {len(some)} of {seeds} seeds; bars: quartiles and median"
    if gone:
        notes.append(f"crosses: diverged, {gone} of {left.size}")
    axis.set_title("\n".join([fitted(figure, name, inches, 9), *notes]), fontsize=9)
    axis.set_xlim(-0.5, arms - 0.5)
    axis.set_ylim(0 if top else -1, (1.18 if gone else 1.06) * top or 1)
    slot = inches / arms
    turned = arms > 5
    names = [fitted(figure, cell.name, 1.4 if turned else 0.92 * slot, 9) for cell in cells]
    axis.set_xticks(range(arms), names, rotation=40 if turned else 0,
                    ha="right" if turned else "center", rotation_mode="anchor")  # fmt: skip
    axis.set_ylabel("test error, % of samples")
    axis.grid(axis="y", alpha=0.3, linewidth=0.5)


def _differences(
    axis: Axes,
    pairs: Sequence[PairRecord],
    errors: dict[str, Floats],
    some: NDArray[np.int64],
    found: Compared,
) -> None:
    """Draw for each pair the differences of its seeds, their mean and its interval."""
    figure = axis.figure
    assert isinstance(figure, Figure)
    if found.margin is not None:
        axis.axvspan(-found.margin, found.margin, color="#e6e6e6", linewidth=0, zorder=0)
    axis.axvline(0, color="black", linewidth=0.8, dashes=(4, 2), zorder=1)
    random = np.random.default_rng(0)  # a place beside each other, of no meaning
    for row, pair in enumerate(pairs):
        one, other = (np.where(np.isnan(errors[x]), 100.0, errors[x])[some] for x in (pair.a, pair.b))
        spread = row + random.uniform(-0.22, 0.22, len(some))
        faint = min(0.55, max(0.06, 20 / len(some)))
        axis.plot(one - other, spread, "o", color=GRAY, markersize=3, alpha=faint,
                  markeredgewidth=0, zorder=2)  # fmt: skip
        if pair.interval is not None:
            axis.plot(pair.interval, [row, row], color="black", linewidth=2.2, zorder=3)
        axis.plot([pair.difference], [row], "D", color="black", markersize=5, zorder=4)
    axis.set_ylim(len(pairs) - 0.5, -0.5)
    names = [fitted(figure, f"{pair.a} − {pair.b}", 1.9, 9) for pair in pairs]
    axis.set_yticks(range(len(pairs)), names)
    axis.set_xlabel("difference of test errors, percentage points")
    notes = ["dots: seeds; diamonds: mean and 95 % interval"]
    if len(pairs) < len(found.pairs):
        notes.append(f"the {len(pairs)} of {len(found.pairs)} pairs with the smallest p")
    if found.margin is not None:
        notes.append(f"gray band: the margin, {found.margin:g} points")
    axis.set_title("\n".join(notes), fontsize=9)
    axis.xaxis.set_major_locator(MaxNLocator(6))
    axis.grid(axis="x", alpha=0.3, linewidth=0.5)
