"""The figure of a regression: what one network predicts against what is true."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from minifw.charts.palette import LIGHT
from minifw.report.lettering import fitted, lay_out, legend_below, new_figure
from minifw.runs.results import Results

MARKERS = "os^Dv<>Pd*"
COLORS = LIGHT.series


def against_true(results: Results, file: bytes) -> Figure:
    """One network's predictions of the test samples against the true targets, and the diagonal.

    `file` is the predicted.npz that `experiment.predicted` makes.
    """
    with np.load(io.BytesIO(file), allow_pickle=False) as arrays:
        content = {name: arrays[name] for name in arrays.files}
    measure = results.measured
    modes = [mode for mode in results.modes if f"{mode}/true" in content]
    if not modes:
        figure = Figure(figsize=(4.6, 2))
        text = "there is nothing to draw:\nall seeds diverged"
        figure.text(0.5, 0.5, text, ha="center", va="center")
        return figure
    figure = new_figure(4.2 * len(modes) + 0.4, 4.2)
    axes = figure.subplots(1, len(modes), squeeze=False)[0]
    unit = f", {measure.unit}" if measure.unit else ""
    several = len(measure.targets) > 1
    what = "target" if several else fitted(figure, measure.targets[0], 2.0, 9)
    for axis, mode in zip(axes, modes, strict=True):
        true, found = (content[f"{mode}/{name}"] for name in ("true", "predicted"))
        low, high = (end([end(true), end(found)]) for end in (np.min, np.max))
        margin = 0.04 * ((high - low) or 1.0)
        ends = low - margin, high + margin
        axis.plot(ends, ends, color="#999999", linewidth=0.8, label="predicted = true")
        for column, name in enumerate(measure.targets):
            label = fitted(figure, name, 2.0, 9) if several else "a sample"
            axis.plot(
                true[:, column], found[:, column], linestyle="", markersize=3.5, alpha=0.7,
                marker=MARKERS[column % len(MARKERS)], markerfacecolor="none",
                color=COLORS[column % len(COLORS)], label=label,
            )  # fmt: skip
        seed, error = int(content[f"{mode}/seed"]), float(content[f"{mode}/error"])
        title = f"{results.title(mode)} – seed {seed}, test {measure.name} {measure.figure(error)}"
        axis.set_title(fitted(figure, title, 4.0, 9), fontsize=9)
        axis.set_xlim(ends)
        axis.set_ylim(ends)
        for line in (axis.xaxis, axis.yaxis):
            line.set_major_locator(MaxNLocator(5))
        axis.set_xlabel(f"true {what}{unit}")
        axis.set_aspect("equal")
        axis.grid(alpha=0.3, linewidth=0.5)
    axes[0].set_ylabel(f"predicted {what}{unit}")
    handles = axes[0].get_legend_handles_labels()[0]
    if len(handles) <= 12:
        legend_below(figure, handles)
    else:
        lay_out(figure)
    return figure
