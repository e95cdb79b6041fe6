"""The charts of the errors over the seeds: each seed a dot, and two arms seed by seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minifw.charts import Axis, Chart, Dots, Line, Mark, Note, Panel, Span
from minifw.page.arms import Side, groups
from minifw.page.findings import described
from minifw.page.series import Mask
from minifw.report.bands import Floats
from minifw.report.words import listed, many, seeds_named, sentence
from minifw.statistics.measure import Measure

DOTS = 150
"""Seeds of an arm that are drawn one by one, at most."""
ROWS = 30
"""Rows of the table in the page, at most."""
WIDE = 0.34
"""How far dots lie from the middle of their arm, at most."""
FREE = 0.14
"""The part of that which stays free beside the middle, where the interval is."""
NEAR = 12
"""Dots are near each other within such a part of the range of all."""
GOLDEN = 0.618034


def spread(sides: Sequence[Side], measure: Measure) -> Chart:
    """Return the chart of the test errors of all seeds, an arm beside the other."""
    panels, drawn = [], 0
    for group, inside in groups(sides).items():
        marks: list[Mark] = []
        known = [float(error) for side in inside for error in side.errors[side.left]]
        known += [end for side in inside for end in _middle(side)[1] or ()]
        top = max(known, default=1.0) or 1.0
        # A dot at 0 is whole above the axis.
        least = min(known, default=top)
        low = min(least, 0.0) - 0.03 * top if least < 0.02 * top else 0.0
        for place, side in enumerate(inside):
            marks += _of_arm(place, side, top)
            drawn = max(drawn, min(DOTS, int(side.left.sum())))
        names = tuple(side.name for side in inside)
        gone = any(not side.left.all() for side in inside)
        limits = (low, top * (1.16 if gone else 1.06))
        x = Axis("arm", "category", names) if len(names) > 1 else Axis("", "category", names)
        panels.append(Panel(group, x, Axis(measure.axis(), limits=limits), tuple(marks)))
    return Chart(
        name="spread",
        title=f"Test {measure.errors} over the seeds",
        caption=_caption(sides, measure, drawn),
        description=" ".join(described(side, measure, len(sides) > 1) for side in sides),
        panels=tuple(panels),
        data=_columns(sides, None),
        shown=_columns(sides, ROWS),
    )


def _of_arm(place: int, side: Side, top: float) -> list[Mark]:
    """Return the marks of an arm: its seeds, those that diverged above all, median and interval."""
    marks: list[Mark] = []
    order = some_of(side.errors)
    x = place + WIDE * sideways(side.errors[order])
    marks.append(
        Dots(
            "a seed", x, side.errors[order], side.color,
            labels=tuple(f"seed {side.seeds[k]}" for k in order),
        )
    )  # fmt: skip
    gone = [seed for seed, left in zip(side.seeds, side.left, strict=True) if not left]
    if gone:
        some = gone[:DOTS]
        spots = place + WIDE * (np.linspace(-1, 1, len(some)) if len(some) > 1 else np.zeros(1))
        labels = tuple(f"seed {seed}, diverged" for seed in some)
        at = np.full(len(some), 1.08 * top)
        marks.append(Dots("diverged", spots, at, side.color, "cross", labels))
    middle, ends = _middle(side)
    if middle is not None and len(order) > 1:
        word = "median" if side.overlap is None else "mean"
        if ends is not None:
            name = f"95 % interval of the {word}"
            marks.append(Span(name, [place], [ends[0]], [ends[1]], side.color))
        marks.append(Dots(word, [place], [middle], side.color, "diamond"))
    return marks


def _middle(side: Side) -> tuple[float | None, tuple[float, float] | None]:
    """Return the median of an arm and its interval, or the mean where training sets overlap."""
    summary = side.summary
    if side.overlap is None:
        return summary.median, summary.median_interval
    return summary.mean, summary.mean_interval


def sideways(values: Floats) -> Floats:
    """Return how far to the side of their middle dots lie, -1 to 1: farther where many are near."""
    if len(values) < 2:
        return np.zeros(len(values))
    near = float(np.ptp(values)) / NEAR or 1.0
    dense = np.exp(-(((values[:, None] - values) / near) ** 2) / 2).sum(1)
    places = 2 * ((np.arange(len(values)) * GOLDEN) % 1) - 1
    side: Floats = np.where(places < 0, -1.0, 1.0)
    far: Floats = FREE + (1 - FREE) * np.abs(places) * dense / dense.max()
    return side * far


def some_of(errors: Floats) -> list[int]:
    """Return the places of the known errors from the smallest on, or of some evenly among them."""
    order = [int(k) for k in np.argsort(errors, kind="stable") if not np.isnan(errors[k])]
    if len(order) <= DOTS:
        return order
    return [order[k] for k in np.linspace(0, len(order) - 1, DOTS).round().astype(int)]


def _caption(sides: Sequence[Side], measure: Measure, drawn: int) -> str:
    most = max(len(side.seeds) for side in sides)
    parts = [
        f"test {measure.name} {measure.what} at the end of training, over {many(most, 'seed')}"
    ]
    some = "each dot is a seed"
    if most > DOTS and drawn == DOTS:
        some = f"dots are {DOTS} of the seeds of an arm, evenly chosen from the smallest error on"
    if drawn:
        parts.append(some + ", farther to the side where there are many" * (drawn > 1))
    if drawn < 2:
        pass
    elif any(side.overlap is not None for side in sides):
        corrected = "corrected for training sets that overlap"
        parts.append(f"diamond and bar: mean and its 95 % interval, {corrected}")
    else:
        parts.append("diamond and bar: median and its 95 % bootstrap interval")
    if any(not side.left.all() for side in sides):
        parts.append("crosses above all others: seeds that diverged, which have no error")
    return " ".join(sentence(part) for part in parts)


def _columns(sides: Sequence[Side], most: int | None) -> dict[str, list[float | int | None]]:
    """Return the error of each seed, a column for each arm; the first of them with `most`."""
    seeds = list(dict.fromkeys(seed for side in sides for seed in side.seeds))[:most]
    columns: dict[str, list[float | int | None]] = {"seed": list(seeds)}
    for side in sides:
        pairs = zip(side.seeds, side.errors.tolist(), strict=True)
        errors = {seed: None if error != error else float(error) for seed, error in pairs}
        columns[side.full_name] = [errors.get(seed) for seed in seeds]
    return columns


# ----------------------------------------------------------------------------- seed by seed

Two = tuple[Side, Side]


def paired(pairs: Sequence[Two], measure: Measure, said: Sequence[str] = ()) -> Chart | None:
    """Return the chart that puts the errors of two arms beside each other, a panel for each pair.

    `said` is what the pairs show, a sentence each. None if no seed has an error in both arms.
    """
    panels = []
    columns: dict[str, list[float | int | str | None]] = {
        name: [] for name in ("pair", "seed", "first", "second", "difference")
    }
    shown = 0
    for one, other in pairs:
        both = one.left & other.left
        if not both.any():
            continue
        name = f"{one.name} and {other.name}"
        columns["pair"] += [f"{one.group}: {name}" if one.group else name] * len(both)
        columns["seed"] += [int(seed) for seed in one.seeds]
        for column, values in (
            ("first", one.errors), ("second", other.errors),
            ("difference", one.errors - other.errors),
        ):  # fmt: skip
            columns[column] += [None if v != v else float(v) for v in values.tolist()]
        some = some_of(np.where(both, one.errors, np.nan))
        shown = max(shown, len(some))
        panels.append(_panel(one, other, some, both, measure))
    if not panels:
        return None
    most = max(len(one.seeds) for one, _ in pairs)
    unit = f", {measure.what}"
    parts = [
        f"test {measure.name} of both arms{unit}, over {many(most, 'seed')}: each dot is a seed, "
        "which has the same samples and initial weights in both where these are drawn alike; "
        "below the line the arm of the vertical axis is better"
    ]
    if shown < most and most > DOTS:
        parts.append(f"{shown} of {many(most, 'seed')} are drawn, from the smallest error on")
    lost = {
        seed
        for one, other in pairs
        for seed, both in zip(one.seeds, one.left & other.left, strict=True)
        if not both
    }
    if lost:
        parts.append(f"not drawn, since an arm diverged: {seeds_named(sorted(lost))}")
    count = len(columns["seed"])
    return Chart(
        name="paired",
        title="Seed by seed",
        caption=" ".join(sentence(part) for part in parts),
        description=" ".join(sentence(each, named=True) for each in said)
        or _counted(pairs, measure),
        panels=tuple(panels),
        data=columns,
        shown={k: v[:ROWS] for k, v in columns.items()} if count > ROWS else None,
    )


def _panel(one: Side, other: Side, some: list[int], both: Mask, measure: Measure) -> Panel:
    known = np.concatenate([one.errors[both], other.errors[both]])
    top = float(known.max()) or 1.0
    low = float(known.min())
    low = 0.0 if low < top / 2 else low - 0.1 * (top - low or low)
    limits = (low, top + 0.06 * (top - low))
    marks: tuple[Mark, ...] = (
        Line("the same in both", limits, limits, 7, dashed=True),
        Dots(
            "a seed", one.errors[some], other.errors[some], other.color,
            labels=tuple(f"seed {one.seeds[k]}" for k in some),
        ),
    )  # fmt: skip
    if (one.errors[both] == other.errors[both]).all():
        marks += (Note("all on the line", low + 0.3 * (top - low), low + 0.85 * (top - low)),)
    unit = measure.head
    return Panel(
        one.group,
        Axis(f"{one.name}: test {measure.name}{unit}", limits=limits),
        Axis(f"{other.name}: test {measure.name}{unit}", limits=limits),
        marks,
    )


def _counted(pairs: Sequence[Two], measure: Measure) -> str:
    """Return in how many seeds the first arm is better, for each pair."""
    said = []
    for one, other in pairs:
        both = one.left & other.left
        a, b = one.errors[both], other.errors[both]
        counts = [(int((a < b).sum()), one.name), (int((a > b).sum()), other.name)]
        better = listed([f"{name} is better in {count}" for count, name in counts])
        where = f"{one.group}: " if one.group else ""
        said.append(
            f"{where}of {many(int(both.sum()), 'seed')} {better}, "
            f"{int((a == b).sum())} are the same"
        )
    return " ".join(map(sentence, said))
