"""The page of one run: of train, or of a comparison with PyTorch; others have their own files."""

from __future__ import annotations

from minifw.page import (
    arms,
    curves,
    explained,
    findings,
    methods,
    regions,
    series,
    shared,
    spread,
)
from minifw.page.comparison import of_comparison
from minifw.page.document import Document, Grid, Paragraph, Picture, Piece, Quote, Section
from minifw.page.sweep import of_sweep
from minifw.page.variance import of_variance
from minifw.report import classes, norms, predicted, tables
from minifw.report.words import many, sentence
from minifw.runs import Run
from minifw.runs.results import Results


def document_of(run: Run, allow_code: bool = False, prefix: str = "") -> Document:
    """Return the page of a finished run of any kind.

    Args:
        run: a finished run.
        allow_code: whether the Python files that its config names may be run; without, the page
            says less of the network.
        prefix: of the places of its sections, on a page of several runs.

    Raises:
        ArtefactError: a file of the run is missing, damaged, or not minifw's.
        StorageError: one cannot be read.

    """
    makers = {"compare": of_comparison, "sweep": of_sweep, "variance": of_variance}
    return makers.get(run.manifest.kind, of_train)(run, allow_code, prefix)


def of_train(run: Run, allow_code: bool, prefix: str) -> Document:
    """Return the page of a run of train, or of a comparison with PyTorch."""
    results, config = run.results(), shared.config_of(run, allow_code)
    said = findings.of_run(results)
    quotes = (
        Quote("Methods", methods.of_run(results, config, shared.versions(run))),
        Quote("Result", said),
    )
    grids = [Grid(name, table) for name, table in tables.of_results(results).items()]
    # On a page of several runs it would be much of the same.
    step = None if prefix else explained.section_of(run, allow_code)
    return Document(
        title=f"{results.name}: {_kind(results)}",
        lead=(
            sentence(f"{many(len(results.seeds), 'seed')} of {results.about}"),
            *findings.brief(results),
        ),
        sections=(
            Section(f"{prefix}summary", "In two paragraphs", (*quotes, *_notes(results))),
            Section(f"{prefix}tables", "Tables", tuple(grids)),
            Section(f"{prefix}charts", "Charts", tuple(charts(run, results, allow_code))),
            *([] if step is None else [step]),
            *shared.endings(run, config, prefix),
        ),
    )


def _kind(results: Results) -> str:
    if results.other is not None:
        return "compared with PyTorch"
    return "trained in both modes" if len(results.modes) > 1 else "a run"


def _notes(results: Results) -> list[Piece]:
    notes = [*(results.data.notes or ()), *findings.stops(arms.of_results(results))]
    return [Paragraph(sentence(note)) for note in notes]


def charts(run: Run, results: Results, allow_code: bool) -> list[Piece]:
    """Return the charts of a run."""
    measure = results.measured
    sides = arms.of_results(results, series.of_run(run))
    found = [
        curves.learning(sides, measure, results.data.test),
        spread.spread(sides, measure),
    ]
    pairs = [(inside[0], inside[1]) for inside in arms.groups(sides).values() if len(inside) == 2]
    said = [f"{results.title(m)}: {p.sentence}" for m, p in (results.pairs or {}).items()]
    if pairs and (chart := spread.paired(pairs, measure, said)) is not None:
        found.append(chart)
    if (chart := norms.of_run(run)) is not None:
        found.append(chart)
    of_classes = [classes.confusion(results), classes.calibration(results)]
    return [
        *map(Picture, found),
        *regions.pieces(run, results, allow_code),
        *(Picture(chart) for chart in of_classes if chart is not None),
        *map(Picture, predicted.charts(run, results)),
    ]
