"""The chart of learning curves: median and quartiles over the seeds, and each seed on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from minifw.charts import Axis, Band, Chart, Column, Dots, Line, Mark, Panel, Rule, Shape
from minifw.page.arms import Side, groups
from minifw.report.bands import WORDS, Curve, Floats, falls_late, spans_decades
from minifw.report.words import listed, many, moved, sentence
from minifw.statistics.measure import Measure

DRAWN = 60
"""Points of a line, at most; between them nothing is seen in a page."""
EACH = 40
"""Points of the line of one seed, at most."""
SEEDS = 24
"""Seeds of an arm whose lines are drawn, at most."""
TWIN = 12
"""Points of the dots that stand for PyTorch's line."""
SHAPES: dict[str, Shape] = {
    "train_error": "square", "test_error": "circle", "validation_error": "diamond",
}  # fmt: skip
SHOWN = 8
"""Epochs of the table in the page."""
VALIDATION = 4
"""The colour of the samples for validation, of whatever arm."""


def learning(sides: Sequence[Side], measure: Measure, test_samples: int | None = None) -> Chart:
    """Return the chart of the errors against epochs, a panel for each group of arms.

    `test_samples` says how small an error can be that is not 0. Seeds that diverged are left out.
    """
    curves = {
        (number, kind): side.series.curve(kind, side.left)
        for number, side in enumerate(sides)
        if side.series is not None and side.left.any()
        for kind in side.series.kinds
    }
    curves = {key: curve for key, curve in curves.items() if len(curve[0])}
    bands = [curve[1] for curve in curves.values()]
    log_y = spans_decades(bands)
    floor = _floor(bands, test_samples if not measure.targets else None) if log_y else 0.0
    log_x = any(
        falls_late(curves[number, "train_error"], curves[number, "test_error"])
        for number in range(len(sides))
        if (number, "train_error") in curves and (number, "test_error") in curves
    )
    first = min((c[0][c[0] > 0].min() for c in curves.values() if (c[0] > 0).any()), default=1.0)
    x = Axis("epoch (log scale)", "log") if log_x else Axis("epoch")
    label = measure.axis("") + (" (log scale)" if log_y else "")
    y = Axis(label, "log" if log_y else "linear", limits=_limits(bands, log_y, floor))
    panels, quiet = [], 0
    for group, inside in groups(sides).items():
        marks: list[Mark] = []
        over: list[Mark] = []
        bare = _crowded(inside)
        for side in inside:
            number = list(sides).index(side)
            own = {kind: curves[number, kind] for kind in WORDS if (number, kind) in curves}
            lines = _seeds(side, log_x, first, floor) if own else []
            quiet = max(quiet, len(lines))
            marks += lines
            for kind, curve in own.items():
                band, line = _median(side, kind, curve, log_x, first, floor)
                over.append(line)
                if _spread(curve) and not side.twin and not (bare and kind == "train_error"):
                    marks.append(band)
        gone = [f"{side.name}: all seeds diverged" for side in inside if not side.left.any()]
        if not over:
            marks.append(Rule("; ".join(gone) or "nothing was measured", 0.0))
        panels.append(Panel(group, x, y, (*marks, *over)))
    return Chart(
        name="curves",
        title="Learning curves",
        caption=_caption(sides, curves, measure, quiet, floor, log_x, first),
        description=_description(sides, curves, measure),
        panels=tuple(panels),
        data=_data(sides),
        shown=_shown(sides, curves, measure),
    )


def _crowded(sides: Sequence[Side]) -> bool:
    """Return whether too many bands would lie over each other: those of training are left out."""
    return sum(not side.twin for side in sides) > 1


def _spread(curve: Curve) -> bool:
    return bool((curve[1][:, 0] < curve[1][:, 2]).any())


def _limits(bands: Sequence[Floats], log: bool, floor: float) -> tuple[float, float]:
    """Return the ends of the axis of errors, the same in all panels; a linear one begins at 0."""
    top = max((float(band.max()) for band in bands), default=0.0) or 1.0
    if not log:
        return 0.0, 1.05 * top
    return (floor or min(float(band.min()) for band in bands)) / 1.2, 1.2 * top


def _floor(bands: Sequence[Floats], samples: int | None) -> float:
    """Return where an error of 0 is drawn on a logarithmic axis: below all others; 0 if none is."""
    values = np.concatenate([band.ravel() for band in bands])
    if values.min() > 0:
        return 0.0
    least = float(values[values > 0].min())
    return min(least, 100 / samples if samples else least) / 2


def thinned(epochs: Floats, most: int, log: bool) -> np.ndarray:
    """Return the places of so many epochs at most, the first and the last among them."""
    count = len(epochs)
    if count <= most:
        return np.arange(count)
    some = np.geomspace(1, count, most) - 1 if log else np.linspace(0, count - 1, most)
    return np.unique(some.round().astype(int))


def _places(epochs: Floats, log: bool, first: float) -> Floats:
    """Return where epochs are drawn; on a logarithmic axis 0 stands before the first one."""
    return np.where(epochs > 0, epochs, first / 2) if log else epochs


def _median(
    side: Side, kind: str, curve: Curve, log: bool, first: float, floor: float
) -> tuple[Band, Line | Dots]:
    """Return the band between the quartiles, and the line of the median."""
    epochs, bands = curve
    some = thinned(epochs, DRAWN, log)
    low, median, high = np.maximum(bands[some].T, floor)
    x = _places(epochs[some], log, first)
    shape = SHAPES[kind]
    color = VALIDATION if kind == "validation_error" else side.color
    name = f"{side.name}, {WORDS[kind]}"
    if side.twin:  # where it learns the same, lines would hide each other
        few = thinned(epochs, TWIN, log)
        x = _places(epochs[few], log, first)
        return Band(name, x, x, x), Dots(name, x, np.maximum(bands[few, 1], floor), color, shape)
    dashed = kind != "test_error"
    return Band(name, x, low, high, color), Line(name, x, median, color, dashed)


def _seeds(side: Side, log: bool, first: float, floor: float) -> list[Line]:
    """Return the test error of single seeds: all, or some from the best to the worst."""
    if side.series is None or side.twin or "test_error" not in side.series.of:
        return []
    order = [int(k) for k in np.argsort(side.errors, kind="stable") if side.left[k]]
    if len(order) < 2:
        return []
    if len(order) > SEEDS:
        order = [order[k] for k in np.linspace(0, len(order) - 1, SEEDS).round().astype(int)]
    some = thinned(side.series.epochs, EACH, log)
    x = _places(side.series.epochs[some], log, first)
    errors = np.maximum(side.series.of["test_error"][some], floor)
    return [
        Line(f"{side.name}, seed {side.seeds[k]}", x, errors[:, k], side.color, quiet=True)
        for k in sorted(order)
    ]


def _caption(
    sides: Sequence[Side],
    curves: dict[tuple[int, str], Curve],
    measure: Measure,
    quiet: int,
    floor: float,
    log: bool,
    first: float,
) -> str:
    if not curves:
        return "No seed was left to be measured."
    most = max(len(side.seeds) for side in sides)
    kinds = listed([WORDS[k] for k in WORDS if any(kind == k for _, kind in curves)])
    what = f"{kinds} {measure.name} {measure.what} against epochs"
    if any(side.twin for side in sides):
        what += " (lines: minifw, dots: the other framework)"
    parts = [f"{what}, {'' if most == 1 else 'median '}of {many(most, 'seed')}"]
    if most > 1:
        crowded = any(map(_crowded, groups(sides).values()))
        which = " (of training there is none)" if crowded else ""
        parts[0] += f", and the band between its quartiles{which}"
    if quiet:
        some = "each seed" if quiet == most else f"{quiet} of the seeds, from the best to the worst"
        parts.append(f"thin lines, on demand: test {measure.name} of {some}")
        if any(side.twin for side in sides):
            parts[-1] += ", as minifw trains it"
    if any(side.stopped for side in sides):
        parts.append("a seed that has stopped keeps its errors")
    gone = [
        f"{side.full_name} {int((~side.left).sum())} of {many(len(side.seeds), 'seed')}"
        for side in sides
        if not side.left.all()
    ]
    if gone:
        parts.append(f"left out since they diverged: {listed(gone)}")
    if floor:
        parts.append(f"an error of 0 is drawn at {floor:.2g} of the logarithmic scale")
    if log:
        parts.append(f"epoch 0 is drawn at {first / 2:g} of the logarithmic scale")
    longest = max(len(curve[0]) for curve in curves.values())
    if longest > DRAWN:
        parts.append(f"{DRAWN} of {longest} measured epochs are drawn")
    return " ".join(sentence(part) for part in parts)


def _description(
    sides: Sequence[Side], curves: dict[tuple[int, str], Curve], measure: Measure
) -> str:
    said = []
    for number, side in enumerate(sides):
        who = f"{side.full_name}: " if len(sides) > 1 else ""
        if (number, "test_error") not in curves:
            said.append(
                sentence(f"{who}there is no curve, since all seeds diverged", named=bool(who))
            )
            continue
        median = "median " if side.left.sum() > 1 else ""
        words = []
        for kind in ("test_error", "train_error"):
            if (number, kind) in curves:
                of = curves[number, kind][1][:, 1]
                name = f"the {median}{WORDS[kind]} {measure.name}"
                words.append(f"{name} {moved(measure, of[0], of[-1])}")
        said.append(sentence(f"{who}{', '.join(words)}", named=bool(who)))
    return " ".join(said)


def _data(sides: Sequence[Side]) -> Mapping[str, Column]:
    """Return all measurements: a row for each arm, kind of error and epoch; a column a seed."""
    columns: dict[str, list[float | int | str | bool | None]] = {"arm": [], "of": [], "epoch": []}
    quartile = ("lower quartile", "median", "upper quartile")
    seeds = list(dict.fromkeys(seed for side in sides for seed in side.seeds))
    columns |= {name: [] for name in (*quartile, *(f"seed {seed}" for seed in seeds))}
    for side in sides:
        for kind in side.series.kinds if side.series is not None else ():
            assert side.series is not None
            values = side.series.of[kind]
            left = values[:, side.left]
            known = bool(left.shape[1])
            bands = np.percentile(left, [25, 50, 75], axis=1) if known else None
            of_seed = dict(zip(side.seeds, values.T.tolist(), strict=True))
            count = len(side.series.epochs)
            columns["arm"] += [side.full_name] * count
            columns["of"] += [WORDS[kind]] * count
            columns["epoch"] += [int(epoch) for epoch in side.series.epochs]
            for place, name in enumerate(quartile):
                columns[name] += [None] * count if bands is None else plain(bands[place].tolist())
            for seed in seeds:
                columns[f"seed {seed}"] += plain(of_seed.get(seed, [None] * count))
    return columns


def plain(values: Sequence[float | None]) -> list[float | None]:
    """Return numbers with None for NaN."""
    return [None if value is None or value != value else float(value) for value in values]


def _shown(
    sides: Sequence[Side], curves: dict[tuple[int, str], Curve], measure: Measure
) -> dict[str, Column]:
    """Return the medians at some epochs, a column for each line."""
    epochs = sorted({float(epoch) for curve in curves.values() for epoch in curve[0]})
    some = [epochs[k] for k in thinned(np.array(epochs), SHOWN, log=False)]
    columns: dict[str, Column] = {"epoch": [int(epoch) for epoch in some]}
    for (number, kind), (own, bands) in curves.items():
        at = dict(zip(own.tolist(), bands[:, 1].tolist(), strict=True))
        name = f"{sides[number].full_name}, {WORDS[kind]}"
        columns[f"{name}{measure.head}"] = [
            float(f"{at[epoch]:.4g}") if epoch in at else None for epoch in some
        ]
    return columns
