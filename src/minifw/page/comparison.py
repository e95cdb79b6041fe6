"""The page of a comparison of configs, or of finished runs: the arms, their pairs, each seed."""

from __future__ import annotations

import numpy as np

from minifw.charts import Axis, Chart, Dots, Mark, Panel, Rule, Span
from minifw.page import arms, curves, findings, methods, series, shared, spread
from minifw.page.arms import Side
from minifw.page.document import Document, Grid, Paragraph, Picture, Piece, Quote, Section
from minifw.report import comparison
from minifw.report.words import listed, many, seed_range, sentence
from minifw.runs import Run, records
from minifw.runs.comparisons import Compared
from minifw.runs.results import PairRecord
from minifw.runs.studies import CELLS, StudyResults, results_of

PAIRS = 12
"""Rows of the chart of differences, at most: those with the smallest p."""
DESCRIBED = 4
"""Arms that the methods describe, at most."""
SCATTERED = 4
"""Pairs that are drawn seed by seed, at most."""


def of_comparison(run: Run, allow_code: bool, prefix: str) -> Document:
    """Return the page of a finished comparison."""
    results = results_of(run)
    found = records.checked(Compared, results.outcome, f"{run.path / CELLS}: outcome")
    sides = arms.of_study(results, series.of_cells(run, len(results.cells[0].seeds)))
    names = listed(list(found.arms))
    tables = comparison.of_comparison(results.name, found)
    said = result(sides, found)
    return Document(
        title=f"{names}, compared" if len(names) <= 80 else f"{len(sides)} arms, compared",
        lead=(sentence(f"{many(len(sides), 'arm')} over {_seeds(results)}"), *said[: len(sides)]),
        sections=(
            Section(
                f"{prefix}summary",
                "In two paragraphs",
                (
                    Quote("Methods", _methods(run, results, found, sides, allow_code)),
                    Quote("Result", " ".join(said)),
                    *(Paragraph(sentence(note, named=True)) for note in found.notes),
                ),
            ),
            Section(
                f"{prefix}tables", "Tables", tuple(Grid(name, t) for name, t in tables.items())
            ),
            Section(f"{prefix}charts", "Charts", tuple(_charts(sides, found))),
            *shared.endings(run, shared.config_of(run, allow_code), prefix),
        ),
    )


def result(sides: list[Side], found: Compared) -> list[str]:
    """Return the errors of each arm, and what each pair shows, a sentence each."""
    said = [findings.described(side, found.measured, len(sides) > 1) for side in sides]
    return said + [sentence(line, named=True) for line in comparison.sentences(found)]


def _seeds(results: StudyResults) -> str:
    seeds = results.cells[0].seeds
    return f"{many(len(seeds), 'seed')} ({seed_range(seeds)})"


def _methods(
    run: Run, results: StudyResults, found: Compared, sides: list[Side], allow_code: bool
) -> str:
    names = [side.name for side in sides]
    configs = [shared.config_of_cell(run, number, allow_code) for number in range(len(sides))]
    told = [
        methods.of_config(f"'{name}'", config, layers=config is not None)
        for name, config in zip(names, configs, strict=True)
    ]
    said = [
        f"{many(len(sides), 'configuration')} were compared: {listed(names)}",
        f"each was trained with the same {_seeds(results)}",
    ]
    done = [*map(sentence, said), *together(dict(zip(names, told, strict=True)))]
    overlap = next((side.overlap for side in sides if side.overlap is not None), None)
    said = [methods.statistics(overlap, max(int(side.left.sum()) for side in sides), pairs=True)]
    if len(sides) > DESCRIBED:
        said.insert(0, "the others are in study.json")
    if len(found.pairs) > 1:
        said.append(f"the p values are corrected for {len(found.pairs)} pairs by Holm's method")
    said.append(methods.framework(shared.versions(run), results.dtype))
    return " ".join([*done, *(sentence(each) for each in said if each)])


def together(told: dict[str, list[str]]) -> list[str]:
    """Return what is said of each name as sentences: what all share once, then what is their own.

    Only the first few are described.
    """
    first = next(iter(told.values()))
    common = [line for line in first if all(line in lines for lines in told.values())]
    said = [sentence(line) for line in common]
    if said:
        said[0] = f"In {'both' if len(told) == 2 else 'all'}, {sentence(common[0], named=True)}"
    for name, lines in [*told.items()][:DESCRIBED]:
        if own := [line for line in lines if line not in common]:
            said += [sentence(f"{name}: {own[0]}", named=True), *map(sentence, own[1:])]
    return said


def _charts(sides: list[Side], found: Compared) -> list[Piece]:
    measure = found.measured
    charts: list[Chart | None] = []
    if any(side.series is not None for side in sides):
        charts.append(curves.learning(sides, measure))
    charts.append(spread.spread(sides, measure))
    by_name = {side.name: side for side in sides}
    pairs = sorted(found.pairs, key=lambda pair: pair.p)
    charts.append(differences(pairs[:PAIRS], by_name, found))
    some = pairs[:SCATTERED]
    two = [(by_name[pair.a], by_name[pair.b]) for pair in some]
    charts.append(spread.paired(two, measure, [pair.sentence for pair in some]))
    return [Picture(chart) for chart in charts if chart is not None]


def _interval(sides: dict[str, Side]) -> str:
    corrected = any(side.overlap is not None for side in sides.values())
    return "corrected for training sets that overlap" if corrected else "bootstrap"


def differences(pairs: list[PairRecord], sides: dict[str, Side], found: Compared) -> Chart | None:
    """Return the chart of the differences: each seed, their mean and interval, a row a pair."""
    if not pairs:
        return None
    measure = found.measured
    names = tuple(f"{pair.a} − {pair.b}" for pair in pairs)
    marks: list[Mark] = [Rule("no difference", 0.0, horizontal=False)]
    for row, pair in enumerate(pairs):
        one, other = (
            np.nan_to_num(sides[name].errors, nan=pair.worst) for name in (pair.a, pair.b)
        )
        some = spread.some_of(one - other)
        y = row + 0.3 * spread.sideways((one - other)[some])
        labels = tuple(f"seed {sides[pair.a].seeds[k]}" for k in some)
        marks.append(Dots("a seed", (one - other)[some], y, 0, labels=labels))
    known = [(row, pair) for row, pair in enumerate(pairs) if pair.interval is not None]
    low, high = (
        [pair.interval[end] for _, pair in known if pair.interval is not None] for end in (0, 1)
    )
    rows = [row for row, _ in known]
    marks.append(Span("95 % interval of the mean", rows, low, high, 1, horizontal=True))
    means = [pair.difference for pair in pairs]
    marks.append(Dots("mean", means, range(len(pairs)), 1, "diamond"))
    parts = [
        f"differences of test {measure.errors} {measure.in_points}, seed by seed: below 0 the "
        "first arm is better",
        f"dots: seeds; diamonds: their mean, with its 95 % interval ({_interval(sides)}), over "
        f"{many(pairs[0].n, 'seed')}",
    ]
    if any(sum(pair.diverged) for pair in pairs):
        worst = measure.figure(pairs[0].worst) if measure.targets else "100 %"
        parts.append(f"a seed that diverged counts as an error of {worst}")
    if len(pairs) < len(found.pairs):
        parts.append(f"the {len(pairs)} of {len(found.pairs)} pairs with the smallest p")
    if max(pair.n for pair in pairs) > spread.DOTS:
        parts.append(
            f"{spread.DOTS} of the seeds are drawn, evenly from the smallest difference on"
        )
    unit = f", {measure.points}" if measure.points else ""
    ends = [pair.interval or (None, None) for pair in pairs]
    return Chart(
        name="differences",
        title="Differences of pairs",
        caption=" ".join(map(sentence, parts)),
        description=" ".join(sentence(pair.sentence, named=True) for pair in pairs[:3]),
        panels=(
            Panel(
                "",
                Axis(f"difference of test {measure.errors}{unit}"),
                Axis("", "category", names),
                tuple(marks),
            ),
        ),
        data={
            "pair": list(names),
            "seeds": [pair.n for pair in pairs],
            "difference": means,
            "95 %, from": [end[0] for end in ends],
            "95 %, to": [end[1] for end in ends],
            "p": [pair.p for pair in pairs],
            "p (Holm)": [pair.p_holm for pair in pairs],
        },
    )
