"""The figure of samples as points of a plane: two features, or two principal components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from minifw.data import Floats, Integers
from minifw.data.facts import Plane
from minifw.report.lettering import fitted, lay_out, legend_below, new_figure, short

COLORS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9",
    "#d55e00", "#000000", "#999999", "#6a3d9a", "#b15928",
)  # fmt: skip
"""Told apart by most people who see fewer colours: those of Okabe and Ito first."""
MARKERS = "os^Dv<>PXd"
SMALL: dict[str, Any] = {"s": 14, "alpha": 0.7, "linewidths": 0}


def figure(
    title: str,
    plane: Plane,
    labels: Integers | Floats,
    classes: Sequence[str],
    target: str,
    rows: int,
) -> Figure:
    """Draw some of so many samples, `rows`.

    They are coloured by their class, `(points,)`, or number, of which `target` is the name.
    """
    points = plane.points
    chosen = np.flatnonzero(~np.isnan(points).any(1))
    lines = [title]
    some = "" if len(chosen) == rows else f"{len(chosen):,} of "
    lines.append(f"{some}{rows:,} samples")
    if plane.share is not None:
        lines[-1] += f", {100 * plane.share:.0f} % of the variance of all features"
    drawn = new_figure(5.2, 4.4)
    axis = drawn.subplots()
    handles = []
    if classes and len(classes) <= len(COLORS):
        handles = _by_class(drawn, axis, points[chosen], labels[chosen], classes)
    else:
        shown = axis.scatter(
            points[chosen, 0], points[chosen, 1], c=labels[chosen], cmap="viridis", **SMALL
        )
        bar = drawn.colorbar(shown, ax=axis)
        if bar.solids is not None:
            bar.solids.set_alpha(1)
        bar.set_label(fitted(drawn, target + (", number of the class" if classes else ""), 3.0, 9))
    for axle, name in zip((axis.xaxis, axis.yaxis), plane.names, strict=True):
        axle.set_major_locator(MaxNLocator(5))
        axle.set_label_text(fitted(drawn, name, 3.2, 9))
    if not plane.names[1]:
        axis.set_yticks([])
    axis.set_title("\n".join(fitted(drawn, line, 4.8, 9) for line in lines), fontsize=9)
    axis.grid(alpha=0.3, linewidth=0.5)
    axis.set_axisbelow(True)
    if handles:
        legend_below(drawn, handles, title=short(target, 40))
    else:
        lay_out(drawn)
    return drawn


def _by_class(
    drawn: Figure, axis: Axes, points: Floats, labels: Any, classes: Sequence[str]
) -> list[Line2D]:
    """Draw the points of each class, and return what the legend shows."""
    numbers = labels.astype(np.int64)
    handles = []
    for number, name in enumerate(classes):
        color, marker = COLORS[number], MARKERS[number]
        axis.scatter(*points[numbers == number].T, color=color, marker=marker, **SMALL)
        label = fitted(drawn, name, 1.4, 9)
        handles.append(
            Line2D([], [], linestyle="", color=color, marker=marker, markersize=4, label=label)
        )
    return handles
