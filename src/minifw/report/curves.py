"""Line figures: errors against epochs, and the time of a step against each size.

They are readable in black and white: lines differ by gray value, dashes and markers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from minifw.charts.palette import LIGHT
from minifw.config.mode import Mode
from minifw.report.bands import WORDS, Curve, Floats, falls_late, quartiles, spans_decades
from minifw.report.lettering import fitted, lay_out, legend_below, new_figure
from minifw.runs import ARMS, Arm
from minifw.runs.results import ArmResults, Results

# Frameworks differ by gray value and by line or marker, train and test by dashes.
_CIRCLES = {
    "color": LIGHT.series[1],
    "linewidth": 0,
    "marker": "o",
    "markersize": 5,
    "markerfacecolor": "none",
}
STYLES: dict[str, dict[str, Any]] = {
    "minifw": {"color": LIGHT.series[0], "linewidth": 1.4},
    "pytorch": _CIRCLES,
    "vmap": _CIRCLES,
}
DASHES = {"train_error": (4, 2), "test_error": (1, 0), "validation_error": (1, 1.5)}
MARKERS = {"train_error": "s", "test_error": "o", "validation_error": "D"}  # of the other arm
ALONE = {"train_error": "v", "test_error": "^", "validation_error": "d"}  # of a single point


# ------------------------------------------------------------------------------------- errors


def error_curves(results: Results, lines: Sequence[str]) -> Figure:
    """Training and test error against epochs: median over seeds, band between the quartiles.

    And the error on samples for validation, where there are any. `lines` is metrics.jsonl. Seeds
    that diverged are left out, as in the tables; their number is written above the curves. After
    it has stopped early, marked on the axis, a seed has the errors of the weights that it keeps.
    """
    measured = [json.loads(line) for line in lines]
    modes = list(results.modes)
    figure = new_figure(4.6 * len(modes) + 0.4, 3.4)
    axes = figure.subplots(1, len(modes), squeeze=False, sharey=True)[0]
    handles: dict[str, Any] = {}
    shown: list[Floats] = []
    late = False
    for axis, mode in zip(axes, modes, strict=True):
        for arm, outcome in results.modes[mode].items():
            left = np.array([epoch is None for epoch in outcome.diverged_epoch])
            mine = [line for line in measured if line["mode"] == mode and line["arm"] == arm]
            if not left.any() or not mine:
                continue
            curves = {
                kind: _curve(mine, kind, left)
                for kind in DASHES
                if kind != "validation_error" or results.data.validation is not None
            }
            late = late or falls_late(curves["train_error"], curves["test_error"])
            for kind, (epochs, bands) in curves.items():
                line = _draw(axis, epochs, bands, arm, kind)
                handles[line.get_label()] = line
                shown.append(bands)
            if mark := _mark_stops(axis, outcome, arm):
                handles[mark.get_label()] = mark
        _name(axis, results, mode)
        if results.early_stopping is not None:  # else an empty part where all have stopped
            ends = [line["epoch"] for line in measured if line["mode"] == mode]
            axis.set_xlim(0, max(1, *ends))
    if late:
        for axis in axes:
            _logarithmic(axis, results.epochs)
    measure = results.measured
    one = None if measure.targets else 100 / results.data.test
    axes[0].set_ylabel(measure.axis("") + _scale(axes, shown, one))
    if handles:
        legend_below(figure, [*handles.values()])
    else:
        lay_out(figure)
    return figure


def _curve(lines: list[dict[str, Any]], kind: str, left: NDArray[np.bool_]) -> Curve:
    """Return the quartiles of an error over the seeds that have not diverged, `left`."""
    epochs = np.array([line["epoch"] for line in lines], dtype=float)
    errors = np.array([line[kind] for line in lines], dtype=float)[:, left]  # None becomes NaN
    return quartiles(epochs, errors)


def _logarithmic(axis: Axes, epochs: int) -> None:
    """Make the axis of epochs logarithmic, and linear up to the first measurement after epoch 0."""
    known = {float(epoch) for line in axis.lines for epoch in np.asarray(line.get_xdata())}
    first = min(epoch for epoch in known if epoch > 0)
    axis.set_xscale("symlog", linthresh=first, linscale=0.3)
    axis.set_xlim(0, epochs)
    powers = 10.0 ** np.arange(10)
    axis.set_xticks([0, *powers[(powers >= first) & (powers <= epochs)]])
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel(f"epoch (log scale, linear below {first:g})")


def _draw(axis: Axes, epochs: Floats, bands: Floats, arm: Arm, kind: str) -> Any:
    low, median, high = bands.T
    style = dict(STYLES[arm])
    if "marker" in style:
        # Equal curves would hide each other, so this arm shows every tenth point only.
        every = max(1, len(epochs) // 12)
        start = {"train_error": every // 2, "validation_error": every // 4}.get(kind, 0)
        style |= {"markevery": (start, every), "marker": MARKERS[kind]}
        axis.fill_between(
            epochs, low, high, facecolor="none", edgecolor=style["color"], alpha=0.5, linewidth=0.6,
            linestyle=":",
        )  # fmt: skip
    else:
        axis.fill_between(epochs, low, high, color=style["color"], alpha=0.18, linewidth=0)
        style["dashes"] = DASHES[kind]
        if len(epochs) == 1:  # one point makes no visible line
            style |= {"marker": ALONE[kind], "markersize": 5}
    (line,) = axis.plot(epochs, median, label=f"{ARMS[arm]}, {WORDS[kind]}", **style)
    return line


def _mark_stops(axis: Axes, outcome: ArmResults, arm: Arm) -> Any:
    """Mark on the axis where each seed stopped early; return the marks, None if none did."""
    stops = [epoch for epoch in outcome.stopped_epoch or () if epoch is not None]
    if not stops:
        return None
    place = 0.02 if arm == "minifw" else 0.06
    (marks,) = axis.plot(
        stops, [place] * len(stops), transform=axis.get_xaxis_transform(), linewidth=0, marker="|",
        markersize=7, color=STYLES[arm]["color"], label=f"{ARMS[arm]}, a seed stops",
    )  # fmt: skip
    return marks


def _name(axis: Axes, results: Results, mode: Mode) -> None:
    """Write above and below the curves what they are, and over which seeds."""
    seeds = len(results.seeds)
    gone = {
        ARMS[arm]: sum(epoch is not None for epoch in outcome.diverged_epoch)
        for arm, outcome in results.modes[mode].items()
    }
    notes = [] if seeds == 1 else [f"median and quartiles of {seeds} seeds"]
    counts = set(gone.values())
    if counts == {seeds}:
        epochs = [e for x in results.modes[mode].values() for e in x.diverged_epoch]
        notes, first = [], min(e for e in epochs if e is not None)
        words = (
            "the seed diverged in" if seeds == 1 else f"all {seeds} seeds diverged, the first in"
        )
        axis.text(
            0.5, 0.5, f"there is nothing to draw:\n{words} epoch {first}",
            transform=axis.transAxes, ha="center", va="center",
        )  # fmt: skip
    elif len(counts) == 1 and any(counts):
        (count,) = counts
        notes = [f"median and quartiles of {seeds - count} seeds; {count} of {seeds} diverged"]
    else:
        notes += [f"{arm}: {count} of {seeds} diverged" for arm, count in gone.items() if count]
    figure = axis.figure
    assert isinstance(figure, Figure)
    title = fitted(figure, f"{results.title(mode)} – {results.name}", 4.0, 9)
    axis.set_title("\n".join([title, *notes]), fontsize=9)
    axis.set_xlabel("epoch")
    axis.set_xlim(0, max(1, results.epochs))
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axis.grid(alpha=0.3, linewidth=0.5)


def _scale(axes: Sequence[Axes], bands: Sequence[Floats], one: float | None) -> str:
    """Choose the scale of the errors; return its description for the axis's label.

    If errors end at less than a fifth of the largest, they would be a flat line for most of
    training, so the scale is logarithmic. To show zeros, it is linear below `one`, the error of a
    single wrong sample, where there is such an error.
    """
    values = np.concatenate([*(band.ravel() for band in bands), np.zeros(0)])
    if not spans_decades(bands):
        axes[0].set_ylim(0, 1.05 * values.max(initial=0) or 100)
        return ""
    top = values.max()
    positive = values[values > 0].min()
    if values.min() == 0:
        least = positive if one is None else min(one, positive)
        axes[0].set_yscale("symlog", linthresh=least, linscale=0.4)
        axes[0].set_ylim(0, 1.2 * top)
        words = f" (log scale, linear below {least:.2g})"
    else:
        least = positive
        axes[0].set_yscale("log")
        axes[0].set_ylim(least / 1.2, 1.2 * top)
        words = " (log scale)"
    powers = [10.0**power for power in range(-9, 4 if one is not None else 16)]
    steps = (1, 2, 5) if top < 200 * least else (1,)
    ticks = [step * power for power in powers for step in steps]
    axes[0].set_yticks([0.0] * (not values.min()) + [t for t in ticks if least <= t <= 1.2 * top])
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[0].yaxis.set_minor_locator(NullLocator())
    return words


# ------------------------------------------------------------------------------------- scaling

LINES: dict[str, dict[str, Any]] = {
    "minifw": {"color": LIGHT.series[0], "linewidth": 1.8, "marker": "o"},
    "minifw, plain": {"color": LIGHT.series[0], "linewidth": 1, "dashes": (4, 2), "marker": "s"},
    "PyTorch vmap": {"color": LIGHT.series[1], "linewidth": 1, "dashes": (1, 1), "marker": "^"},
    "JAX": {"color": LIGHT.series[4], "linewidth": 1, "dashes": (6, 2, 1, 2), "marker": "x"},
}


def scaling(results: dict[str, Any]) -> Figure:
    """Draw microseconds a step against each size, seconds against epochs, memory against seeds."""
    growth = results["growth"]
    figure = new_figure(9.6, 5.6)
    axes = figure.subplots(2, 3).ravel()
    for axis, (size, group) in zip(axes, growth.items(), strict=False):
        key = {"seeds": "seeds", "batch": "batch", "width": "width", "depth": "depth"}[size]
        _growth(
            axis, [point[key] for point in group],
            {arm: [p["microseconds"][arm]["median"] for p in group] for arm in results["arms"]},
            {"depth": "hidden layers", "batch": "samples in a batch"}.get(size, size),
            "µs a step",
        )  # fmt: skip
    ways = list(results["epochs"][0]["seconds"])
    _growth(
        axes[4], [point["epochs"] for point in results["epochs"]],
        {way: [point["seconds"][way] for point in results["epochs"]] for way in ways},
        "epochs", "seconds, evaluation included",
    )  # fmt: skip
    _growth(
        axes[5], [point["seeds"] for point in results["memory"]],
        {way: [point["megabytes"][way] for point in results["memory"]] for way in ways},
        "seeds, full batch of 1000", "MB besides the samples",
    )  # fmt: skip
    legend_below(figure, axes[0].get_legend_handles_labels()[0])
    return figure


def _growth(
    axis: Axes, sizes: list[int], lines: dict[str, list[float]], what: str, unit: str
) -> None:
    for arm, values in lines.items():
        axis.plot(sizes, values, label=arm, markersize=4, markerfacecolor="none", **LINES[arm])
    axis.set(xscale="log", yscale="log", xlabel=what, ylabel=unit)
    times = np.array([*lines.values()])
    for line, numbers in ((axis.xaxis, np.array(sizes)), (axis.yaxis, times)):
        # Few tick labels, written in full; within two decades also at 2 and 5.
        digits = (1.0,) if numbers.max() >= 100 * numbers.min() else (1.0, 2.0, 5.0)
        line.set_major_locator(LogLocator(subs=digits))
        line.set_major_formatter("{x:g}")
        line.set_minor_formatter(NullFormatter())
    axis.grid(color="#dddddd", linewidth=0.5)
