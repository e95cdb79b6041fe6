"""The page of a study of variance: shares with their intervals, and the errors of the networks."""

from __future__ import annotations

from minifw.page import methods, shared
from minifw.page.document import Document, Grid, Paragraph, Picture, Quote, Section
from minifw.report import variance
from minifw.report.spread import INTERVALS, networks, shares
from minifw.report.variance import PARTS, PURPOSES, Report
from minifw.report.words import listed, many, sentence
from minifw.runs import Run
from minifw.runs.studies import CELLS, results_of


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
        f"{measure.figure(outcome.mean)}; with all seeds new its standard deviation was "
        f"{measure.difference(outcome.total_sd)}"
    )
    if outcome.total_sd == 0:
        return [sentence(first)]
    shown: list[str] = []
    for part, name in PARTS.items():
        share, interval = outcome.shares[part], outcome.intervals[part]
        if share is None or report.is_fixed(part):
            continue
        ends = ""
        if interval is not None:
            ends = f" (95 % interval {100 * interval[0]:.0f} to {100 * interval[1]:.0f} %)"
        due = "" if shown else " is due"
        shown.append(f"{100 * share:.0f} %{due} to the {name}{ends}")
    said = [sentence(first)]
    if shown:
        said.append(sentence(f"of its variance {listed(shown)}"))
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
        f"{listed(counts)} were combined in all ways, which gives "
        f"{many(outcome.networks, 'network')}",
        "shares of the variance are those of a crossed analysis of variance with random effects; "
        f"their intervals are {INTERVALS} (Weerahandi 1993; Hannig, Iyer and Patterson 2006)",
        methods.framework(shared.versions(run), results.dtype),
    ]
    return " ".join(sentence(each) for each in said if each)
