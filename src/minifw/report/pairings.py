"""The figure of a comparison: errors of each arm seed by seed, and the differences of pairs.

It is readable in black and white: what is counted is dark and thick, single seeds are light and
thin.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from minifw.charts.palette import LIGHT
from minifw.report.lettering import lay_out, new_figure, short, width
from minifw.report.tables import counted
from minifw.runs.comparisons import Compared
from minifw.runs.results import PairRecord
from minifw.runs.studies import StudyResults

SEEDS = 1000
"""Seeds that are drawn one by one, at most."""
PAIRS = 15
"""Rows of differences, at most: those with the smallest p."""

RIGHT = 3.5
"""Inches of the axis of differences."""

DARK, GRAY = LIGHT.series[0], "#999999"

Floats = NDArray[np.float64]


def comparison(results: StudyResults, found: Compared) -> Figure:
    """Draw errors against arms, a line for each seed, and for each pair the differences.

    A seed that diverged is a cross above all others; in differences it has the worst error.
    """
    cells = results.cells
    pairs = sorted(found.pairs, key=lambda pair: pair.p)[:PAIRS]
    pairs = [pair for pair in found.pairs if pair in pairs]
    wide = max(2.8, min(8.0, 1.1 * len(cells)))
    labels = dict(zip(found.arms, _labels([*found.arms]), strict=True))
    figure = new_figure(wide, max(3.4, 0.34 * len(pairs) + 1.6))
    cut = {name: _fitted(figure, label, 1.2) for name, label in labels.items()}
    rows = [f"{cut[pair.a]} − {cut[pair.b]}" for pair in pairs]
    beside = max(width(figure, row, 9) for row in rows) + 1.4  # names, ticks and space
    figure.set_figwidth(wide + RIGHT + beside)
    left, right = figure.subplots(1, 2, width_ratios=[wide, RIGHT])
    errors = np.array([cell.test_error for cell in cells], np.float64)  # None becomes NaN
    some = np.linspace(0, errors.shape[1] - 1, min(SEEDS, errors.shape[1])).round().astype(int)
    by_name = dict(zip((cell.name for cell in cells), errors, strict=True))
    _arms(left, [labels[cell.name] for cell in cells], errors, some, wide)
    left.set_ylabel(found.measured.axis())
    _differences(right, pairs, by_name, rows, some, found)
    lay_out(figure)
    return figure


def _labels(names: Sequence[str]) -> list[str]:
    """Return the names without what all begin with, where that is long."""
    same = takewhile(lambda signs: len({*signs}) == 1, zip(*names, strict=False))
    begin = re.sub(r"[\w.]*$", "", names[0][: len([*same])])  # numbers and words stay whole
    return [f"…{name[len(begin) :]}" for name in names] if len(begin) >= 8 else [*names]


def _fitted(figure: Figure, label: str, inches: float) -> str:
    """Return a name cut in its middle, where long names are most alike, to so many inches."""
    for half in range(30, 1, -1):
        cut = label if len(label) <= 2 * half + 1 else f"{label[:half]}…{label[-half:]}"
        if width(figure, shown := short(cut, 80), 9) <= inches:
            return shown
    return "…"


def _arms(
    axis: Axes, labels: Sequence[str], errors: Floats, some: NDArray[np.int64], inches: float
) -> None:
    """Draw the errors of each arm, those of a seed connected, and their medians."""
    figure = axis.figure
    assert isinstance(figure, Figure)
    arms, seeds = errors.shape
    left = ~np.isnan(errors)
    low, high = (errors[left].min(), errors[left].max()) if left.any() else (0.0, 0.0)
    bottom = 0.0 if low <= high / 2 else low - 0.15 * (high - low)
    span = high - bottom or 5.0
    top = high + 0.12 * span
    shown = np.where(left, errors, top)  # above all others
    faint = min(0.55, max(0.06, 10 / len(some)))
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
            first, median, third = np.percentile(errors[place][left[place]], [25, 50, 75])
            axis.plot([place, place], [first, third], color="black", linewidth=2.2)
            axis.plot([place - 0.16, place + 0.16], [median] * 2, color="black", linewidth=2.2)
    gone = int((~left).sum())
    notes = ["dots: seeds; bars: quartiles and median"]
    if len(some) < seeds:
        notes[0] = f"dots: {len(some)} of the seeds; bars: quartiles and median of all"
    if gone:
        notes.append(f"crosses: diverged, {gone} of {left.size} networks")
    axis.set_title("\n".join([f"{arms} arms over {counted(seeds, 'seed')}", *notes]), fontsize=9)
    axis.set_xlim(-0.5, arms - 0.5)
    axis.set_ylim(bottom, top if gone else high + 0.06 * span)
    slot, turned = inches / arms, arms > 5
    names = [_fitted(figure, label, 1.4 if turned else slot - 0.1) for label in labels]
    axis.set_xticks(range(arms), names, rotation=40 if turned else 0,
                    ha="right" if turned else "center", rotation_mode="anchor")  # fmt: skip
    axis.grid(axis="y", alpha=0.3, linewidth=0.5)


def _differences(
    axis: Axes,
    pairs: Sequence[PairRecord],
    errors: dict[str, Floats],
    names: Sequence[str],
    some: NDArray[np.int64],
    found: Compared,
) -> None:
    """Draw for each pair the differences of its seeds, their mean and its interval."""
    if found.margin is not None:
        axis.axvspan(-found.margin, found.margin, color="#e6e6e6", linewidth=0, zorder=0)
    axis.axvline(0, color="black", linewidth=0.8, dashes=(4, 2), zorder=1)
    random = np.random.default_rng(0)  # a place beside each other, of no meaning
    for row, pair in enumerate(pairs):
        one, other = (np.nan_to_num(errors[arm], nan=pair.worst)[some] for arm in (pair.a, pair.b))
        spread = row + random.uniform(-0.22, 0.22, len(some))
        faint = min(0.7, max(0.2, 20 / len(some)))
        axis.plot(one - other, spread, "o", color=GRAY, markersize=3, alpha=faint,
                  markeredgewidth=0, zorder=2)  # fmt: skip
        if pair.interval is not None:
            thin = found.margin is not None
            axis.plot(pair.interval, [row, row], color="black", linewidth=1 if thin else 2.2)
        if found.margin is not None and pair.equivalence_interval is not None:
            axis.plot(pair.equivalence_interval, [row, row], color="black", linewidth=3)
        axis.plot([pair.difference], [row], "D", color="black", markersize=5, zorder=4)
    axis.set_ylim(len(pairs) - 0.5, -0.5)
    axis.set_yticks(range(len(pairs)), names)
    measure = found.measured
    unit = "percentage points" if not measure.targets else measure.unit or f"unit of {measure.of}"
    axis.set_xlabel(f"difference of test {measure.errors}, {unit}")
    notes = ["dots: seeds; diamonds: mean and 95 % interval"]
    if len(pairs) < len(found.pairs):
        notes.append(f"the {len(pairs)} of {len(found.pairs)} pairs with the smallest p")
    if found.margin is not None:
        notes.append(f"gray band: ±{measure.size(found.margin)}")
        notes.append("the same if the thick line, 90 %, lies in it")
    worst = measure.figure(found.pairs[0].worst) if measure.targets else "100 %"
    if any(sum(pair.diverged) for pair in found.pairs):
        notes.append(f"a seed that diverged counts as an error of {worst}")
    axis.set_title("\n".join(notes), fontsize=9)
    axis.xaxis.set_major_locator(MaxNLocator(6))
    axis.grid(axis="x", alpha=0.3, linewidth=0.5)
