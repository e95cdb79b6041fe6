"""Which document is made of runs: one of one run, by its kind, and another one of several."""

from __future__ import annotations

from collections.abc import Sequence

from minifw.page.document import Document, Grid, Listing, Section
from minifw.page.run import document_of
from minifw.report import tables
from minifw.runs import Run


def document_of_all(some: Sequence[Run], allow_code: bool = False) -> Document:
    """Return the document of one finished run, or of several."""
    if len(some) == 1 and some[0].manifest.kind == "train":
        return document_of(some[0], allow_code)
    sections = []
    for number, run in enumerate(some):
        grids: list[Grid] = []
        if run.manifest.kind == "train":
            grids = [Grid(name, table) for name, table in tables.of_results(run.results()).items()]
        listing = Listing("config.yaml", run.read_text("config.yaml"))
        sections.append(Section(f"run-{number}", run.manifest.name, (*grids, listing)))
    names = ", ".join(run.manifest.name for run in some)
    return Document(f"{some[0].manifest.kind}: {names}", (), tuple(sections))
