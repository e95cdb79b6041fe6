"""The page of several runs: their results in one table, then each."""

from __future__ import annotations

from collections.abc import Sequence

from minifw.page.document import Document, Section
from minifw.page.run import document_of
from minifw.runs import Run


def document_of_runs(some: Sequence[Run], allow_code: bool = False) -> Document:
    """Return the page of several finished runs of any kind; errors are those of `document_of`."""
    sections: list[Section] = []
    for number, run in enumerate(some, 1):
        of_run = document_of(run, allow_code, prefix=f"run{number}-")
        sections += of_run.sections
    return Document(f"{len(some)} runs", (), tuple(sections))
