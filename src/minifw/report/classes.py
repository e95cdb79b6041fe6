"""The figures of classifiers: which class is taken for which, and how far probabilities are true.

Both are over the test samples of all seeds that did not diverge, by the networks of minifw. Every
training of classes draws them, so their parts have fixed places, which are found at once.
"""

from __future__ import annotations

import textwrap
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from minifw.charts.palette import LIGHT
from minifw.config.mode import Mode
from minifw.report.lettering import fitted, width
from minifw.runs.results import Results
from minifw.runs.scores import CalibrationRecord
from minifw.statistics.intervals import known

NUMBERED = 20
"""Classes up to which the cells of a confusion matrix have numbers, and all classes a name."""

FEW = 20
"""Answers in a bin below which its share of right ones says little."""

DARK = 55.0
"""Percent from which a cell is so dark that its number is white."""

CAPTION = 0.62
"""Inches below a figure for its caption."""


def confusion_matrix(results: Results) -> Figure:
    """For each class of the test samples, in percent, the classes that they were taken for."""
    names = list(results.data.class_balance)
    counts = {
        mode: np.array(arms["minifw"].scores.confusion, np.float64)
        for mode, arms in results.modes.items()
        if arms["minifw"].scores is not None and arms["minifw"].scores.confusion is not None
    }
    numbered = len(names) <= NUMBERED
    side = float(np.clip(0.38 * len(names), 2.0, 5.6)) if numbered else 4.6
    step = 1 if numbered else -(-len(names) // NUMBERED)
    measured = _figure(4, 4)
    shown = [fitted(measured, name, 1.1, 8) for name in names[::step]]
    longest = max(width(measured, name, 8) for name in shown)
    upright = longest > 0.8 * side * step / len(names)
    left, below = longest + 0.5, (longest if upright else 0.15) + 0.45 + CAPTION
    bar = 0.0 if numbered else 0.9
    panel = side + left + 0.15
    figure = _figure(max(panel * len(counts) + bar, 3.6), side + below + 0.35)
    for place, (mode, of_mode) in enumerate(counts.items()):
        axis = _axes(figure, place * panel + left, below, side, side)
        of_class = of_mode.sum(1, keepdims=True)
        empty = np.full_like(of_mode, np.nan)
        shares = np.divide(100 * of_mode, of_class, empty, where=of_class > 0)
        image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        if numbered:
            _write_numbers(axis, shares)
        _say_if_empty(axis, of_mode)
        places = range(0, len(names), step)
        axis.set_xticks(places, shown, fontsize=8, rotation=90 if upright else 0)
        axis.set_yticks(places, shown, fontsize=8)
        axis.set_title(fitted(figure, results.title(mode), side, 9), fontsize=9)
        axis.set_xlabel("taken for")
        axis.set_ylabel("class of the test samples" if side > 2.4 else "class")
        axis.spines[["top", "right"]].set_visible(True)
    if bar:
        beside = _axes(figure, panel * len(counts) + 0.1, below, 0.15, side)
        figure.colorbar(image, cax=beside).set_label("% of the samples of a class")
    what = "A row has the test samples of a class, in percent by the class that they were taken for"
    _add_caption(figure, f"{what}; {_over(results)}.")
    return figure


def _write_numbers(axis: Axes, shares: NDArray[np.float64]) -> None:
    """Write the percentage into each cell that is not empty, small where there are many."""
    few = len(shares) <= 10
    for row, column in np.argwhere(shares > 0):
        share = shares[row, column]
        text = f"{share:.1f}" if few and share < 99.95 else f"{share:.0f}"
        if float(text) == 0:
            text = "<0.1" if few else "<1"
        color = "white" if share > DARK else "black"
        size = 7 if few else 5.5
        axis.text(column, row, text, ha="center", va="center", fontsize=size, color=color)


def reliability(results: Results) -> Figure:
    """How often networks are right, against the probability that they give their answer.

    Below is how many of the answers have such a probability.
    """
    found = {
        mode: arms["minifw"].scores.calibration
        for mode, arms in results.modes.items()
        if arms["minifw"].scores is not None
    }
    bins = {mode: record for mode, record in found.items() if record is not None}
    side, left, panel = 2.8, 0.65, 3.7
    figure = _figure(panel * len(bins) + 0.1, side + 1.1 + 0.6 + CAPTION + 0.3)
    for place, (mode, record) in enumerate(bins.items()):
        above = _axes(figure, place * panel + left, CAPTION + 1.6, side, side)
        below = _axes(figure, place * panel + left, CAPTION + 0.6, side, 0.8)
        _draw_bins(above, below, record)
        above.set_title(fitted(figure, _headline(results, mode), panel, 9), fontsize=9)
        above.set_ylabel("right, % of these answers")
        below.set_ylabel("answers, %")
        below.set_xlabel("probability of the class that is chosen, %")
        if not place:
            above.legend(loc=free_corner(record), frameon=False, fontsize=8)
    count = len(next(iter(bins.values())).count)
    what = (
        f"Answers to the test samples in {count} bins of probability: on the line it is true, "
        f"below it is too large. Hollow: fewer than {FEW} answers"
    )
    _add_caption(figure, f"{what}; {_over(results)}.")
    return figure


def free_corner(record: CalibrationRecord) -> Literal["lower right", "upper left"]:
    """Return the corner for the legend. Networks that are less sure than right fill the usual one.

    The legend takes half of the width, and a seventh of the height.
    """
    rows = zip(record.count, record.right, record.confidence, strict=True)
    hidden = any(
        n and mean is not None and mean < 0.6 and right > 0.8 * n for n, right, mean in rows
    )
    return "lower right" if hidden else "upper left"


def _draw_bins(above: Axes, below: Axes, record: CalibrationRecord) -> None:
    count = np.array(record.count, np.float64)
    some = count > 0
    means = 100 * np.array(record.confidence, np.float64)[some]
    right = 100 * np.array(record.right)[some] / count[some]
    above.plot((0, 100), (0, 100), color="#999999", linewidth=0.8, label="right as often as said")
    color = LIGHT.series[0]
    above.plot(means, right, color=color, linewidth=1.2, marker="o", markersize=4, label="networks")
    few = count[some] < FEW
    above.plot(
        means[few], right[few], color=color, linewidth=0, marker="o", markersize=4,
        markerfacecolor="white",
    )  # fmt: skip
    above.set_ylim(-3, 103)
    above.tick_params(labelbottom=False)
    _say_if_empty(above, record.count)
    edges = np.linspace(0, 100, len(count) + 1)
    shares = 100 * count / max(count.sum(), 1)
    below.bar(
        edges[:-1], shares, np.diff(edges), align="edge", color=LIGHT.steps[4], edgecolor="white"
    )
    for axis in (above, below):
        axis.set_xlim(0, 100)
        axis.grid(alpha=0.3, linewidth=0.5)
        axis.set_axisbelow(True)


def _say_if_empty(axis: Axes, counts: ArrayLike) -> None:
    if not np.any(counts):
        words = "all seeds diverged"
        axis.text(0.5, 0.5, words, ha="center", va="center", transform=axis.transAxes)


def _headline(results: Results, mode: Mode) -> str:
    scores = results.modes[mode]["minifw"].scores
    errors = known((scores.calibration_error if scores else None) or [])
    error = f"{np.median(errors):.2f} %" if len(errors) else "–"
    return f"{results.title(mode)} – calibration error {error}"


def _over(results: Results) -> str:
    seeds = len(results.seeds)
    return "one seed" if seeds == 1 else f"all {seeds} seeds together"


def _figure(wide: float, high: float) -> Figure:
    figure = Figure(figsize=(wide, high))
    FigureCanvasAgg(figure)  # which keeps the renderer that measures text
    return figure


def _axes(figure: Figure, left: float, bottom: float, wide: float, high: float) -> Axes:
    """Return axes at this place, in inches."""
    whole = figure.get_figwidth(), figure.get_figheight()
    return figure.add_axes((left / whole[0], bottom / whole[1], wide / whole[0], high / whole[1]))


def _add_caption(figure: Figure, text: str) -> None:
    """Write a caption below a figure, in lines that fit."""
    lines = textwrap.fill(text, int(figure.get_figwidth() * 15.5))
    figure.text(0.5, 0.06 / figure.get_figheight(), lines, ha="center", va="bottom", fontsize=8)
