"""The figure of decisions: the class that a network gives each point of the plane.

It is readable in black and white: regions are labelled with their class, classes differ by marker,
and wrongly classified points are large and black.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from minifw.report import planes
from minifw.report.lettering import fitted, legend_below, new_figure, short
from minifw.report.planes import Content, Floats
from minifw.runs.results import Results

TINTS = (
    "#f5f5f5", "#c6d4ea", "#ecd3b4", "#cfe5c9", "#dccbe2",
    "#f0e6a8", "#c2e3e3", "#efc8c8", "#d8d8c0", "#dedede",
)  # fmt: skip
MARKERS = "ox^+sv"
SMALL: dict[str, Any] = {"markersize": 3, "markeredgecolor": "#777777", "markeredgewidth": 0.6}
WRONG: dict[str, Any] = {"markersize": 5, "markeredgecolor": "black", "markeredgewidth": 1.3}
TRUE: dict[str, Any] = {"color": "#b2182b", "linestyle": "--", "linewidth": 1.6}
BORDER: dict[str, Any] = {"color": "black", "linewidth": 1.2}
MARKED = 10
"""With more classes than this, all points have the same marker."""

Ints = NDArray[np.integer]


def decision_regions(results: Results, file: bytes) -> Figure:
    """One network's decision over the plane, the test points, and the true border if known.

    `file` is the decision.npz that `decision.decision` makes.
    """
    content = planes.read(file)
    features, classes = results.data.features, list(results.data.class_balance)
    modes = [mode for mode in results.modes if f"{mode}/x" in content]
    if not modes:
        figure = Figure(figsize=(4.6, 2))
        text = "there is nothing to draw:\nall seeds diverged"
        figure.text(0.5, 0.5, text, ha="center", va="center")
        return figure
    figure = new_figure(4.6 * len(modes), 4.5)
    axes = figure.subplots(1, len(modes), squeeze=False)[0]
    for axis, mode in zip(axes, modes, strict=True):
        mine = planes.of_mode(content, mode)
        paint(axis, mine)
        _points(axis, mine, len(classes))
        _true_border(axis, content, mine)
        seed, error = int(mine["seed"]), float(mine["error"])
        axis.set_title(
            f"{results.title(mode)} – seed {seed}, test error {error:.1f} %", fontsize=10
        )
        axis.set_xlim(mine["x"][[0, -1]])
        axis.set_ylim(mine["y"][[0, -1]])
        for line, feature in zip((axis.xaxis, axis.yaxis), features, strict=True):
            line.set_major_locator(MaxNLocator(5))
            line.set_label_text(fitted(figure, feature, 2.4, 9) + _factor(line))
        if "disk" in content or "line" in content:
            axis.set_aspect("equal")
    legend_below(figure, _legend(figure, classes, content))
    for axis, mode in zip(axes, modes, strict=True):
        _name_regions(axis, content[f"{mode}/x"], content[f"{mode}/y"],
                      content[f"{mode}/decision"], classes)  # fmt: skip
    return figure


def _factor(line: Axis) -> str:
    """Return an axis's factor and offset as text for its label.

    Matplotlib would write it over the title or the other axis's label.
    """
    formatter = line.get_major_formatter()
    formatter.set_locs(line.get_majorticklocs().tolist())
    line.offsetText.set_visible(False)
    factor = formatter.get_offset()
    return f" ({'' if factor.startswith(('+', '-')) else '×'}{factor})" if factor else ""


# ------------------------------------------------------------------------------------- regions


def paint(axis: Axes, content: Content) -> None:
    """Fill the region of each class, and draw each border between two of them once.

    Classes are painted from the last to the first, each where its score is above those of all later
    classes. Regions of earlier classes cover them, with the borders there.
    """
    best, scores = content["decision"], planes.scores_over_plane(content)
    present = np.unique(best)
    axis.set_facecolor(TINTS[present[-1] % len(TINTS)])
    lead = scores[..., present[-1]]
    for layer, number in enumerate(reversed(present[:-1].tolist())):
        ahead = scores[..., number] - lead
        # With equal scores, as after rounding, the decision says to which class a point belongs.
        least = 1e-6 * (np.abs(ahead).max() or 1.0)
        ahead = np.where(best == number, np.maximum(ahead, least), ahead)
        ahead = np.where(best > number, np.minimum(ahead, -least), ahead)
        above: dict[str, Any] = {"zorder": 0.1 + 0.5 * layer / len(present)}
        plane = content["x"], content["y"], ahead
        color = TINTS[number % len(TINTS)]
        axis.contourf(*plane, levels=[0, ahead.max() + least], colors=[color], **above)
        axis.contour(
            *plane, levels=[0], colors=BORDER["color"], linewidths=BORDER["linewidth"], **above
        )
        lead = np.maximum(lead, scores[..., number])


def _name_regions(axis: Axes, x: Floats, y: Floats, decision: Ints, classes: list[str]) -> None:
    """Write the name of each class into its region, if there is room."""
    figure = axis.figure
    assert isinstance(figure, Figure)
    counts = np.bincount(decision.ravel())
    cells = np.array(axis.get_window_extent().size) / (np.array(decision.shape[::-1]) - 1)
    for number in np.argsort(-counts, kind="stable"):
        if not counts[number]:
            break
        label = axis.text(
            0, 0, short(classes[number], 18), ha="center", va="center", fontsize=8, weight="bold",
            path_effects=[withStroke(linewidth=2.5, foreground="white")], zorder=5,
        )  # fmt: skip
        extent = label.get_window_extent()
        half = np.ceil((np.array([extent.width, extent.height]) / 2 + 2) / cells).astype(int)
        place = _room(decision == number, *half)
        if place is None:
            label.remove()
        else:
            label.set_position((x[place[1]], y[place[0]]))


def _room(inside: NDArray[np.bool_], wide: int, high: int) -> tuple[int, int] | None:
    """Return row and column of a point with enough cells of the region on each side.

    It is the point with the most room; None if no point has enough.
    """
    place = None
    for more in range(100):
        size = np.array([2 * (high + more) + 1, 2 * (wide + 2 * more) + 1])
        if (size > inside.shape).any():
            break
        # The number of points of each rectangle in the region, from sums along both axes.
        sums = np.pad(inside.astype(int).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        rows, columns = size
        found = (
            sums[rows:, columns:] - sums[:-rows, columns:]
            - sums[rows:, :-columns] + sums[:-rows, :-columns]
        )  # fmt: skip
        middles = np.argwhere(found == rows * columns)
        if not len(middles):
            break
        middle = middles[len(middles) // 2]
        place = int(middle[0] + rows // 2), int(middle[1] + columns // 2)
    return place


# ---------------------------------------------------------------------------- points, borders


def _points(axis: Axes, content: Content, classes: int) -> None:
    points, labels = content["points"], content["labels"]
    wrong = content["answers"] != labels
    groups = [labels == number for number in range(classes)]
    if classes > MARKED:
        groups = [np.ones(len(labels), bool)]
    for style, chosen, above in ((SMALL, ~wrong, 3), (WRONG, wrong, 4)):
        for number, group in enumerate(groups):
            marker = MARKERS[number % len(MARKERS)]
            axis.plot(
                *points[group & chosen].T, linestyle="", marker=marker, zorder=above,
                markerfacecolor=_face(number, style), **style,
            )  # fmt: skip


def _face(number: int, style: dict[str, Any]) -> str:
    """Return the fill of a class's marker: first all empty ones, then filled ones."""
    filled = number // len(MARKERS) % 2
    return str(style["markeredgecolor"]) if filled else "none"


def _true_border(axis: Axes, content: Content, plane: Content) -> None:
    """Draw the part of the true border between classes that is within the plane."""
    if "disk" in content:
        *center, radius = content["disk"]
        # Matplotlib would draw a whole circle of any size, dash by dash, far beyond the plane.
        distance = np.hypot(plane["x"] - center[0], plane["y"][:, None] - center[1]) - radius
        if distance.min() < 0 < distance.max():
            dashed = {"colors": TRUE["color"], "linestyles": "--", "linewidths": TRUE["linewidth"]}
            axis.contour(plane["x"], plane["y"], distance, levels=[0], zorder=2.5, **dashed)
    if "line" in content:
        axis.plot(*content["line"].T, zorder=2.5, **TRUE)


def _legend(figure: Figure, classes: list[str], content: Content) -> list[Any]:
    handles: list[Any] = []
    if len(classes) > MARKED:
        style = {"marker": MARKERS[0], "markerfacecolor": "none", **SMALL}
        handles.append(Line2D([], [], linestyle="", label="test point", **style))
    else:
        style = SMALL | {"markersize": 4, "markeredgecolor": "#555555"}
        for number, name in enumerate(classes):
            mark = style | {"marker": MARKERS[number % len(MARKERS)]}
            mark["markerfacecolor"] = _face(number, style)
            text = fitted(figure, f"class {name}", 2.8, 9)
            handles.append(Line2D([], [], linestyle="", label=text, **mark))
    handles += [
        Line2D([], [], linestyle="", marker="o", markerfacecolor="none",
               label="wrong answer: large, black", **WRONG),
        Line2D([], [], label="decision's border", **BORDER),
    ]  # fmt: skip
    if "disk" in content or "line" in content:
        handles.append(Line2D([], [], label="true border", **TRUE))
    return handles
