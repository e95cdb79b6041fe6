"""The page of a sweep: its best cell with a caution, all cells, and maps of the test error."""

from __future__ import annotations

import numpy as np

from minifw.config.axes import in_one_line
from minifw.config.model import Config
from minifw.errors import short_word
from minifw.page import maps, methods, shared
from minifw.page.document import Document, Grid, Picture, Quote, Section
from minifw.report import sweeps
from minifw.report.sweeps import Report
from minifw.report.words import listed, many, seed_range, sentence
from minifw.runs import Run
from minifw.runs.studies import CELLS, results_of

VALUES = 8
"""Values of a key that the methods name, at most."""


def of_sweep(run: Run, allow_code: bool, prefix: str) -> Document:
    """Return the page of a finished sweep."""
    report = Report.of(results_of(run), str(run.path / CELLS))
    config = shared.config_of(run, allow_code)
    keys = listed(sweeps.keys_of(report))
    cells = many(len(report.outcome.cells), "cell")
    said = result(report)
    return Document(
        title=f"{report.results.name}: a sweep over {keys}",
        lead=(sentence(f"{cells} of {sweeps.what(report)}, over {keys}"), *said[:1]),
        sections=(
            Section(
                f"{prefix}summary",
                "In two paragraphs",
                (
                    Quote("Methods", _methods(run, report, allow_code)),
                    Quote("Result", " ".join(said)),
                ),
            ),
            Section(
                f"{prefix}tables",
                "Tables",
                (
                    Grid("cells", sweeps.table(report)),
                    Grid("summaries", sweeps.summaries(report)),
                ),
            ),
            Section(f"{prefix}charts", "Charts", tuple(map(Picture, maps.charts(report)))),
            *shared.endings(run, config, prefix),
        ),
    )


def result(report: Report) -> list[str]:
    """Return what the sweep found, a sentence each: the best cell, what it is worth, the rest."""
    results, outcome = report.results, report.outcome
    measure = results.measured
    said = [sentence(line) for line in sweeps.verdict(report)]
    figures = {
        number: middle
        for number, cell in enumerate(outcome.cells)
        if (middle := report.of_test(cell)[0]) is not None
    }
    if not figures:
        count = sum(cell.n for cell in outcome.cells)
        return [f"All {count:,} networks of {many(len(outcome.cells), 'cell')} diverged."]
    low, high = min(figures, key=figures.__getitem__), max(figures, key=figures.__getitem__)
    if outcome.best is None:
        said.append("No cell is the best, since there are no samples for validation.")
    if low != high:
        said.append(
            sentence(
                f"over the cells the {report.middle} test {measure.name} goes from "
                f"{measure.figure(figures[low])} ({results.cells[low].name}) to "
                f"{measure.figure(figures[high])} ({results.cells[high].name}); the smallest of "
                "many is smaller by chance too, so it is no estimate of what this cell would do "
                "anew"
            )
        )
    gone = [number for number in range(len(outcome.cells)) if number not in figures]
    some = sum(cell.diverged for cell in outcome.cells)
    if some:
        whole = f", all of {many(len(gone), 'cell')} among them" if gone else ""
        count = sum(cell.n for cell in outcome.cells)
        said.append(f"Of {many(count, 'network')} {some:,} diverged{whole}.")
    return said


def _methods(run: Run, report: Report, allow_code: bool) -> str:
    results = report.results
    config = shared.config_of(run, allow_code)
    said = methods.of_config(results.about, config)
    keys = listed([_values(report, key) for key in sweeps.keys_of(report)])
    cells = many(len(results.cells), "cell")
    said.append(f"in place of these, the sweep tried {keys}: {cells}, one for each setting")
    seeds = max((cell.seeds for cell in results.cells), key=len)
    each = many(len(seeds), "seed")
    said.append(f"each cell was trained with {each} ({seed_range(seeds)}), the same in all cells")
    if report.outcome.stopped is not None:
        said.append(f"successive halving stopped {report.outcome.stopped} of the cells early")
    if report.outcome.best is not None:
        said.append(
            f"cells are ranked by the median validation {results.measured.name}{_drawn(config)}, "
            "and reported by their test samples"
        )
    overlap = next((c.overlap for c in results.cells if c.overlap is not None), None)
    left = max(int(np.isfinite(np.array(c.test_error, np.float64)).sum()) for c in results.cells)
    said.append(methods.statistics(overlap, left, pairs=False))
    said.append(methods.framework(shared.versions(run), results.dtype))
    return " ".join(sentence(each) for each in said if each)


def _drawn(config: Config | None) -> str:
    """Return what validates where the config keeps nothing for it: generated samples."""
    if config is None or config.data.validation is not None:
        return ""
    return " (on further samples, as many as for the test)"


def _values(report: Report, key: str) -> str:
    """Return a key with its values, or with the ends of many numbers."""
    values = list(dict.fromkeys(in_one_line(cell.set[key]) for cell in report.results.cells))
    found = [cell.set[key] for cell in report.results.cells]
    numbers = [v for v in found if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(values) <= VALUES:
        return f"{key} ({', '.join(short_word(value) for value in values)})"
    if len(numbers) == len(report.results.cells):
        return f"{len(values)} values of {key} between {min(numbers):g} and {max(numbers):g}"
    return f"{len(values)} values of {key}"
