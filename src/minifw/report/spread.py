"""The figure of a study of variance: shares with their intervals, beside the errors themselves.

It is readable in black and white: bars differ by their names, networks are open circles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from minifw.charts.palette import LIGHT
from minifw.report import variance
from minifw.report.lettering import fitted, lay_out, new_figure
from minifw.report.variance import Report
from minifw.runs import titled

BARS: dict[str, Any] = {"color": LIGHT.steps[2], "edgecolor": LIGHT.series[0], "linewidth": 0.8}
INTERVALS: dict[str, Any] = {
    "color": LIGHT.series[0],
    "linewidth": 1.4,
    "capsize": 3,
    "fmt": "none",
}
NETWORKS: dict[str, Any] = {
    "color": LIGHT.series[0], "linewidth": 0, "marker": "o", "markersize": 3,
    "markerfacecolor": "none", "markeredgewidth": 0.6,
}  # fmt: skip
MOST_SEEDS = 40
"""Seeds that are drawn one beside the other."""


def figure(report: Report) -> Figure:
    """Draw the shares of the variance, and the test error of each network."""
    drawn = new_figure(8.6, 3.2)
    left, right = drawn.subplots(1, 2, width_ratios=(1, 1.25))
    _draw_shares(left, report)
    _draw_errors(right, report)
    lay_out(drawn)
    return drawn


def _draw_shares(axis: Axes, report: Report) -> None:
    outcome = report.outcome
    names = list(variance.PARTS)
    for place, part in enumerate(names):
        share, interval = outcome.shares[part], outcome.intervals[part]
        if report.is_fixed(part):
            axis.text(1, place, "one level", va="center", color=LIGHT.series[4])
        elif share is not None:
            axis.barh(place, 100 * share, height=0.6, **BARS)
            if interval is not None:
                low, high = 100 * np.array(interval)
                middle, half = (low + high) / 2, (high - low) / 2
                axis.errorbar(middle, place, xerr=half, **INTERVALS)
    axis.set_yticks(range(len(names)), [variance.PARTS[part] for part in names])
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlim(0, 100)
    axis.set_xlabel("share of the variance, %, with 95 % interval")
    axis.grid(axis="x", alpha=0.3, linewidth=0.5)
    axis.set_axisbelow(True)
    total = outcome.total_sd
    spread = ""
    if total is not None:
        unit = outcome.measured.points
        spread = f"\nstandard deviation {total:.2g} {unit}".rstrip()
    title = fitted(
        _of(axis), f"{titled(outcome.mode, outcome.optimizer)} – {report.results.name}", 3.0, 9
    )
    axis.set_title(f"{title}{spread}", fontsize=9)


def _draw_errors(axis: Axes, report: Report) -> None:
    """Draw a column of circles for each seed of a purpose, and a line at its mean.

    It is the purpose with the largest share.
    """
    outcome = report.outcome
    seeds = outcome.seeds
    part = max(variance.PURPOSES, key=lambda each: (outcome.shares[each] or 0, len(seeds[each])))
    errors = np.moveaxis(report.errors, variance.PURPOSES.index(part), 0)
    shown = seeds[part][:MOST_SEEDS]
    rng = np.random.default_rng(0)  # circles side by side, the same in each drawing
    for seed, of_seed in zip(shown, errors, strict=False):
        known = of_seed[np.isfinite(of_seed)]
        if len(known):
            axis.plot(seed + rng.uniform(-0.3, 0.3, len(known)), known, **NETWORKS)
            axis.hlines(known.mean(), seed - 0.4, seed + 0.4, color="black", linewidth=1.8)
    name = f"seed of the {variance.PARTS[part]}"
    notes = [f"each circle is a network, each line\nthe mean of a {name}"]
    if len(shown) < len(seeds[part]):
        notes.append(f"the first {len(shown)} of {len(seeds[part])} such seeds")
    if outcome.diverged == outcome.networks:
        axis.text(
            0.5, 0.5, f"there is nothing to draw:\nall {outcome.networks} networks diverged",
            transform=axis.transAxes, ha="center", va="center",
        )  # fmt: skip
    elif outcome.diverged:
        count = f"{outcome.diverged} of {outcome.networks}"
        worst = "the largest error" if outcome.measured.targets else "100 %"
        notes.append(f"{count} diverged: not drawn here, {worst} in the shares")
    axis.set_title("\n".join(notes), fontsize=9)
    axis.set_xlim(shown[0] - 0.6, shown[-1] + 0.6)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel(name)
    axis.set_ylabel(outcome.measured.axis())
    if axis.get_ylim()[0] < 0:
        axis.set_ylim(bottom=0)
    axis.grid(axis="y", alpha=0.3, linewidth=0.5)


def _of(axis: Axes) -> Figure:
    figure = axis.figure
    assert isinstance(figure, Figure)
    return figure
