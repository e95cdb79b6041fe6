"""The page of a study of variance: shares with their intervals, and the errors of the networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from minifw.charts import Axis, Bars, Chart, Dots, Line, Mark, Panel, Span
from minifw.page import methods, shared
from minifw.page.document import Document, Grid, Paragraph, Picture, Quote, Section
from minifw.report import variance
from minifw.report.bands import Floats
from minifw.report.variance import PARTS, PURPOSES, Report
from minifw.report.words import listed, many, sentence
from minifw.runs import Run, titled
from minifw.runs.studies import CELLS, results_of
from minifw.runs.variance import Part

SEEDS = 40
"""Seeds of a purpose that are drawn beside each other, at most."""
DOTS = 12
"""Networks of a seed that are drawn, at most."""
GOLDEN = 0.618034
INTERVALS = "95 % generalised confidence intervals"


def of_variance(run: Run, allow_code: bool, prefix: str) -> Document:
    """Return the page of a finished study of variance."""
    report = Report.of(results_of(run), str(run.path / CELLS))
    config, measure = shared.config_of(run, allow_code), report.outcome.measured
    said = result(report)
    tables = variance.tables(report)
    charts = [chart for chart in (shares(report), networks(report)) if chart is not None]
    return Document(
        title=f"{report.results.name}: what makes the spread of the test {measure.name}",
        lead=(sentence(f"{variance.crossed(report)} of {report.results.about}"), said[0]),
        sections=(
            Section(
                f"{prefix}summary",
                "In two paragraphs",
                (
                    Quote("Methods", _methods(run, report, allow_code)),
                    Quote("Result", " ".join(said)),
                    *map(Paragraph, map(sentence, variance.sentences(report))),
                ),
            ),
            Section(
                f"{prefix}tables", "Tables", tuple(Grid(name, t) for name, t in tables.items())
            ),
            Section(f"{prefix}charts", "Charts", tuple(map(Picture, charts))),
            *shared.endings(run, config, prefix),
        ),
    )


def result(report: Report) -> list[str]:
    """Return what was found, a sentence each: spread, shares with intervals, seeds needed."""
    outcome = report.outcome
    measure = outcome.measured
    if outcome.total_sd is None:
        return [f"All {outcome.networks:,} networks diverged, so there is no spread to explain."]
    first = (
        f"the mean test {measure.name} of {many(outcome.networks, 'network')} was "
        f"{measure.figure(outcome.mean)}, and its standard deviation, all seeds new, "
        f"{measure.difference(outcome.total_sd)}"
    )
    if outcome.total_sd == 0:
        return [sentence(first)]
    shown = []
    for part, name in PARTS.items():
        share, interval = outcome.shares[part], outcome.intervals[part]
        if share is None or report.is_fixed(part):
            continue
        ends = ""
        if interval is not None:
            ends = f" (95 % interval {100 * interval[0]:.0f} to {100 * interval[1]:.0f} %)"
        shown.append(f"{name} {100 * share:.0f} %{ends}")
    said = [sentence(first)]
    if shown:
        said.append(sentence(f"shares of its variance: {listed(shown)}"))
    if outcome.diverged:
        worst = "the largest RMSE of all" if measure.targets else "an error of 100 %"
        gone = f"{outcome.diverged:,} of {outcome.networks:,} networks diverged"
        said.append(f"{gone}, and count as {worst}.")
    return said


def _methods(run: Run, report: Report, allow_code: bool) -> str:
    results, outcome = report.results, report.outcome
    said = methods.of_config(results.about, shared.config_of_cell(run, 0, allow_code))
    counts = [
        f"{many(len(seeds), 'seed')} of the {PARTS[part]}"
        for part in PURPOSES
        for seeds in [outcome.seeds[part]]
    ]
    said += [
        f"each of {listed(counts)} was combined with each other, which gives "
        f"{many(outcome.networks, 'network')}",
        "shares of the variance are those of a crossed analysis of variance with random effects; "
        f"their intervals are {INTERVALS} (Weerahandi 1993; Hannig, Iyer and Patterson 2006)",
        methods.framework(shared.versions(run), results.dtype),
    ]
    return " ".join(sentence(each) for each in said if each)


# ------------------------------------------------------------------------------------ charts


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
                "",
                Axis(f"seed of the {name}", "category", tuple(map(str, shown))),
                Axis(measure.axis(), limits=(0.0, 1.06 * float(np.nanmax(errors)) or 1.0)),
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
