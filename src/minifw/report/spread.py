"""The charts of a study of variance: shares with their intervals, and the errors themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from minifw.charts import Axis, Bars, Chart, Dots, Line, Mark, Panel, Span
from minifw.report import variance
from minifw.report.bands import Floats
from minifw.report.variance import PARTS, PURPOSES, Report
from minifw.report.words import listed, many, sentence
from minifw.runs import titled
from minifw.runs.variance import Part

SEEDS = 40
"""Seeds of a purpose that are drawn beside each other, at most."""
DOTS = 12
"""Networks of a seed that are drawn, at most."""
GOLDEN = 0.618034
INTERVALS = "95 % generalised confidence intervals"


def both(report: Report) -> Chart:
    """Return all there is to see of a study as one chart, for a figure."""
    outcome = report.outcome
    parts = [chart for chart in (shares(report), networks(report)) if chart is not None]
    axis = Axis(outcome.measured.axis())
    empty = Panel(titled(outcome.mode, outcome.optimizer), Axis("seed"), axis, ())
    return Chart(
        name="variance",
        title=report.results.name,
        caption=" ".join(part.caption for part in parts)
        or f"All {many(outcome.networks, 'network')} diverged.",
        description=" ".join(part.description for part in parts),
        panels=tuple(panel for part in parts for panel in part.panels) or (empty,),
        data=_columns(report),
    )


def shares(report: Report) -> Chart | None:
    """Return the bars of the shares with their intervals; None without a spread."""
    outcome = report.outcome
    if not outcome.total_sd:
        return None
    parts = [part for part in PARTS if outcome.shares[part] is not None]
    measured = [part for part in parts if not report.is_fixed(part)]
    places = [parts.index(part) for part in measured]
    length = [100 * (outcome.shares[part] or 0.0) for part in measured]
    ends = [outcome.intervals[part] for part in measured]
    low, high = ([np.nan if pair is None else 100 * pair[end] for pair in ends] for end in (0, 1))
    marks: tuple[Mark, ...] = (
        Bars("share", places, length, 0, horizontal=True),
        Span("95 % interval", places, low, high, 7, horizontal=True),
    )
    names = tuple(PARTS[part] for part in parts)
    fixed = [PARTS[part] for part in parts if report.is_fixed(part)]
    largest = max(measured, key=lambda part: outcome.shares[part] or 0.0)
    spread = outcome.measured.difference(outcome.total_sd)
    caption = (
        f"shares of the variance of the test {outcome.measured.name}, in percent, with "
        f"{INTERVALS}, of {variance.crossed(report)}; the standard "
        f"deviation is {spread}"
    )
    if fixed:
        caption += f"; there is one seed of the {listed(fixed)}, whose share is not measured"
    said = listed(
        [f"{PARTS[part]} {100 * (outcome.shares[part] or 0.0):.1f} %" for part in measured]
    )
    return Chart(
        name="shares",
        title="What makes the spread",
        caption=sentence(caption),
        description=sentence(f"the largest share is that of the {PARTS[largest]}: {said}"),
        panels=(
            Panel(
                titled(outcome.mode, outcome.optimizer),
                Axis("share of the variance, %", limits=(0.0, 100.0)),
                Axis("", "category", names),
                marks,
            ),
        ),
        data={
            "source": [PARTS[part] for part in measured],
            "share, %": length,
            "95 %, from": [None if pair is None else 100 * pair[0] for pair in ends],
            "95 %, to": [None if pair is None else 100 * pair[1] for pair in ends],
        },
    )


def networks(report: Report) -> Chart | None:
    """Return the errors of the networks by the seed that matters most; None if all diverged."""
    outcome, measure = report.outcome, report.outcome.measured
    seeds = outcome.seeds
    part: Part = max(PURPOSES, key=lambda each: (outcome.shares[each] or 0.0, len(seeds[each])))
    errors = np.moveaxis(report.errors, PURPOSES.index(part), 0).reshape(len(seeds[part]), -1)
    if not np.isfinite(errors).any():
        return None
    shown = seeds[part][:SEEDS]
    x, y, labels, means = [], [], [], []
    for place, (seed, own) in enumerate(zip(shown, errors, strict=False)):
        known = own[np.isfinite(own)]
        means.append(float(known.mean()) if len(known) else np.nan)
        some = known if len(known) <= DOTS else _some(known)
        x += (place + 0.6 * ((np.arange(len(some)) * GOLDEN) % 1 - 0.5)).tolist()
        y += some.tolist()
        labels += [f"seed {seed}"] * len(some)
    where = np.array([v for s in range(len(shown)) for v in (s - 0.4, s + 0.4, np.nan)])
    line = np.array([v for mean in means for v in (mean, mean, np.nan)])
    name = PARTS[part]
    parts = [f"test {measure.name} {measure.what} of the networks of each seed of the {name}",
             "each dot is a network, each line the mean of a seed"]  # fmt: skip
    if errors.shape[1] > DOTS:
        parts.append(f"{DOTS} of the {errors.shape[1]:,} networks of a seed are drawn")
    if len(shown) < len(seeds[part]):
        parts.append(f"the first {len(shown)} of {len(seeds[part]):,} such seeds are drawn")
    if outcome.diverged:
        parts.append(f"{outcome.diverged:,} networks diverged, and are not drawn")
    known_means = [(mean, seed) for seed, mean in zip(shown, means, strict=True) if mean == mean]
    return Chart(
        name="networks",
        title="The networks",
        caption=" ".join(map(sentence, parts)),
        description=sentence(
            f"the mean of a seed of the {name} goes from {measure.figure(min(known_means)[0])} "
            f"(seed {min(known_means)[1]}) to {measure.figure(max(known_means)[0])} "
            f"(seed {max(known_means)[1]})"
        ),
        panels=(
            Panel(
                f"The networks of each seed of the {name}",
                Axis(f"seed of the {name}", "category", tuple(map(str, shown))),
                Axis(measure.axis()),
                (
                    Dots("a network", x, y, 0, labels=tuple(labels)),
                    Line("mean of a seed", where, line, 7),
                ),
            ),
        ),
        data=_columns(report),
        shown={
            f"seed of the {name}": list(shown),
            "networks": [int(np.isfinite(own).sum()) for own in errors[: len(shown)]],
            f"mean{measure.head}": [None if m != m else float(f"{m:.6g}") for m in means],
        },
    )


def _some(known: Floats) -> Floats:
    """Return some of many errors, evenly from the smallest to the largest."""
    some = np.linspace(0, len(known) - 1, DOTS).round().astype(int)
    return np.asarray(np.sort(known)[some])


def _columns(report: Report) -> dict[str, list[Any]]:
    """Return the error of each network, with its seeds."""
    seeds = report.outcome.seeds
    grid = np.meshgrid(*(seeds[part] for part in PURPOSES), indexing="ij")
    columns: dict[str, list[Any]] = {
        f"seed of the {PARTS[part]}": axis.ravel().tolist()
        for part, axis in zip(PURPOSES, grid, strict=True)
    }
    flat = report.errors.ravel().tolist()
    columns["test error"] = [None if error != error else error for error in flat]
    return columns
