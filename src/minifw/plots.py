"""Figures of a run, SVG and PNG, readable in black and white. They read the run directory."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch
from matplotlib.ticker import LogLocator, NullFormatter

from minifw.places import short_word
from minifw.runs import Run
from minifw.tables import ARMS, MODES

# Frameworks differ by gray value and by line against marker, train and test by dashes.
_CIRCLES = {
    "color": "#e08214",
    "linewidth": 0,
    "marker": "o",
    "markersize": 5,
    "markerfacecolor": "none",
}
STYLES: dict[str, dict[str, Any]] = {
    "minifw": {"color": "#1b3a6b", "linewidth": 1.4},
    "pytorch": _CIRCLES,
    "vmap": _CIRCLES,
}
DASHES = {"train_error": (4, 2), "test_error": (1, 0)}
WORDS = {"train_error": "training", "test_error": "test"}
REGIONS = ("#f2f2f2", "#c6d4ea", "#e3c9a8", "#c9e0c4", "#dcc8e0")
MARKERS = "ox^+sv"  # every second one may be a marker without a face


@contextmanager
def _settings() -> Iterator[None]:
    """Within this block, figures look as all of ours do."""
    settings: Any = {
        "svg.hashsalt": "minifw",
        "text.parse_math": False,  # a $ in a user's name of a class is just that
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A sign of a user's name that the font lacks becomes a box, which says enough.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def write_plots(run: Run) -> None:
    """Draw and write all figures of a run."""
    with _settings():
        _save(run, "plots/errors", error_curves(run))
        if (run.path / "decision.npz").exists():
            _save(run, "plots/decision", decision_regions(run))


def write_scaling(files: Run, name: str) -> None:
    """Draw and write how time and memory grow, from the benchmark's `name`.json."""
    with _settings():
        _save(files, name, scaling(files.read_json(f"{name}.json")))


LINES: dict[str, dict[str, Any]] = {
    "minifw": {"color": "#1b3a6b", "linewidth": 1.8, "marker": "o"},
    "minifw, plain": {"color": "#1b3a6b", "linewidth": 1, "dashes": (4, 2), "marker": "s"},
    "PyTorch vmap": {"color": "#e08214", "linewidth": 1, "dashes": (1, 1), "marker": "^"},
    "JAX": {"color": "#555555", "linewidth": 1, "dashes": (6, 2, 1, 2), "marker": "x"},
}


def scaling(results: dict[str, Any]) -> Figure:
    """Microseconds a step against each size, seconds against epochs, memory against seeds."""
    growth = results["growth"]
    figure = Figure(figsize=(9.6, 6), layout="constrained")
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
        "seeds, full batch of 1000", "MB beside the samples",
    )  # fmt: skip
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def _growth(
    axis: Axes, sizes: list[int], lines: dict[str, list[float]], what: str, unit: str
) -> None:
    for arm, values in lines.items():
        axis.plot(sizes, values, label=arm, markersize=4, markerfacecolor="none", **LINES[arm])
    axis.set(xscale="log", yscale="log", xlabel=what, ylabel=unit)
    times = np.array([*lines.values()])
    for line, numbers in ((axis.xaxis, np.array(sizes)), (axis.yaxis, times)):
        # Few numbers, written in full; within two decades 2 and 5 too.
        digits = (1.0,) if numbers.max() >= 100 * numbers.min() else (1.0, 2.0, 5.0)
        line.set_major_locator(LogLocator(subs=digits))
        line.set_major_formatter("{x:g}")
        line.set_minor_formatter(NullFormatter())
    axis.grid(color="#dddddd", linewidth=0.5)


def error_curves(run: Run) -> Figure:
    """Training and test error against epochs: median over seeds, band between the quartiles."""
    lines = [json.loads(line) for line in run.read("metrics.jsonl").splitlines()]
    results = run.read_json("results.json")
    modes = list(results["modes"])
    figure = Figure(figsize=(4.6 * len(modes) + 0.4, 3.8), layout="constrained")
    axes = figure.subplots(1, len(modes), squeeze=False, sharey=True)[0]
    for axis, mode in zip(axes, modes, strict=True):
        for arm in results["modes"][mode]:
            mine = [line for line in lines if line["mode"] == mode and line["arm"] == arm]
            for kind in ("train_error", "test_error"):
                _curve(axis, mine, arm, kind)
        axis.set_title(f"{MODES[mode]} – {results['name']}")
        axis.set_xlabel("epoch")
        axis.set_xlim(0, results["epochs"])
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3, linewidth=0.5)
    axes[0].set_ylabel("error, % of samples")
    seeds = len(results["seeds"])
    axes[-1].legend(
        title=f"median and quartiles of {seeds} seeds" if seeds > 1 else None, frameon=False
    )
    return figure


def _curve(axis: Axes, lines: list[dict[str, Any]], arm: str, kind: str) -> None:
    epochs = np.array([line["epoch"] for line in lines])
    errors = np.array([line[kind] for line in lines], dtype=float)  # None becomes NaN
    left = ~np.isnan(errors).all(1)
    epochs, errors = epochs[left], errors[left]
    if not len(epochs):
        return
    low, median, high = np.nanpercentile(errors, [25, 50, 75], axis=1)
    style = dict(STYLES[arm])
    if "marker" in style:
        # Two curves that agree would hide one another: this arm shows as every tenth point.
        every = max(1, len(epochs) // 12)
        start = every // 2 if kind == "train_error" else 0
        style |= {"markevery": (start, every), "marker": "s" if kind == "train_error" else "o"}
    else:
        axis.fill_between(epochs, low, high, color=style["color"], alpha=0.18, linewidth=0)
        style["dashes"] = DASHES[kind]
    axis.plot(epochs, median, label=f"{ARMS[arm]}, {WORDS[kind]}", **style)
    if "marker" in style:
        axis.fill_between(
            epochs, low, high, facecolor="none", edgecolor=style["color"], alpha=0.5, linewidth=0.6,
            linestyle=":",
        )  # fmt: skip


def decision_regions(run: Run) -> Figure:
    """One network's decision over the plane, the test points, and the true border if known."""
    with np.load(io.BytesIO(run.read("decision.npz")), allow_pickle=False) as arrays:
        content = {name: arrays[name] for name in arrays.files}
    results = run.read_json("results.json")
    features, classes = results["data"]["features"], list(results["data"]["class_balance"])
    modes = [mode for mode in results["modes"] if f"{mode}/x" in content]
    figure = Figure(figsize=(4.6 * max(1, len(modes)), 4.9), layout="constrained")
    if not modes:
        figure.text(0.5, 0.5, "all seeds diverged: there is no network to draw", ha="center")
        return figure
    axes = figure.subplots(1, len(modes), squeeze=False)[0]
    for axis, mode in zip(axes, modes, strict=True):
        x, y, decision, points, labels, seed, error = (
            content[f"{mode}/{name}"]
            for name in ("x", "y", "decision", "points", "labels", "seed", "error")
        )
        count = len(classes)
        colors = [REGIONS[number % len(REGIONS)] for number in range(count)]
        axis.contourf(x, y, decision, levels=np.arange(count + 1) - 0.5, colors=colors)
        for number in range(count):
            chosen = points[labels == number]
            filled = number % 2 == 0
            axis.scatter(
                *chosen.T, s=7, marker=MARKERS[number % len(MARKERS)], linewidths=0.6,
                facecolors="none" if filled else "black",
                edgecolors="#555555" if filled else None,
            )  # fmt: skip
        axis.contour(
            x, y, decision, levels=np.arange(count - 1) + 0.5, colors="black", linewidths=1.2
        )
        _true_border(axis, content)
        axis.set_title(f"{MODES[mode]} – seed {int(seed)}, test error {float(error):.1f} %")
        axis.set_xlabel(short_word(features[0]))
        axis.set_ylabel(short_word(features[1]))
        if "disk" in content or "line" in content:
            axis.set_aspect("equal")
    figure.legend(
        handles=_legend(classes, content), loc="outside lower center", ncols=5, frameon=False
    )
    return figure


def _true_border(axis: Axes, content: dict[str, Any]) -> None:
    style: dict[str, Any] = {"color": "#b2182b", "linestyle": "--", "linewidth": 1.6}
    if "disk" in content:
        *center, radius = content["disk"]
        axis.add_patch(Circle(tuple(center), radius, fill=False, **style))
    if "line" in content:
        axis.plot(*content["line"].T, **style)


def _legend(classes: list[str], content: dict[str, Any]) -> list[Any]:
    handles: list[Any] = []
    for number, name in enumerate(classes[:8]):
        filled = number % 2 == 0
        handles.append(
            Line2D([], [], linestyle="", marker=MARKERS[number % len(MARKERS)], markersize=4,
                   markerfacecolor="none" if filled else "black",
                   markeredgecolor="#555555" if filled else "black", label=f"class {name[:24]}")
        )  # fmt: skip
    handles.append(Patch(facecolor=REGIONS[1], edgecolor="black", label="decision"))
    if "disk" in content or "line" in content:
        handles.append(Line2D([], [], color="#b2182b", linestyle="--", label="true border"))
    return handles


def _save(run: Run, name: str, figure: Figure) -> None:
    if figure.axes and (engine := figure.get_layout_engine()):
        engine.execute(figure)
        figure.set_layout_engine("none")  # it is laid out: not again, and differently, each time
    for ending, extra in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 150})):
        file = io.BytesIO()
        figure.savefig(file, format=ending, **extra)
        run.write(f"{name}.{ending}", file.getvalue())
